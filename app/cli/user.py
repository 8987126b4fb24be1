"""Commands that manage users and their API tokens, for use on the machine that runs reachq.

They do not require the user's own password, because access to Redis is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.console import columns
from app.cli.login_name import login_name
from app.cli.system import data_option, json_option, open_ledger, print_json
from app.formatting import ago
from ledger.people.records import UserRole, role_of

if TYPE_CHECKING:
    from app.people.accounts import Accounts

Command = TypeVar("Command", bound=Callable[..., Any])
ROLES = ", ".join(UserRole)


def _accounts(data: Path | None) -> Accounts:
    from app.people.accounts import Accounts  # only these commands need argon2

    return Accounts(open_ledger(data))


def _prompt_option(command: Command) -> Command:
    return click.option("--prompt", is_flag=True, help="Type the password; otherwise a random one is printed.")(command)


def _typed(prompt: bool) -> str | None:
    if not prompt:
        return None
    return str(click.prompt("password", hide_input=True, confirmation_prompt="repeat password", err=True))


def _tell(name: str, password: str, prompt: bool) -> None:
    click.echo(f"{name} signs in with the password that you typed" if prompt else f"password of {name}: {password}")


@click.group()
def user() -> None:
    """Users who may sign in, and their roles."""


@user.command("list")
@json_option
@data_option
def list_users(as_json: bool, data: Path | None) -> None:
    """List the users."""
    users = _accounts(data).users()
    if as_json:
        print_json({"users": [asdict(each) for each in users]})
        return
    rows = [
        [each.name, each.role, ago(each.seen_ms) or "never", str(each.sessions), str(each.tokens), each.by]
        for each in users
    ]
    no_users = "no users yet: the web server creates `admin` when it starts; or run `reachq user add NAME --role admin`"
    click.echo(
        columns([["user", "role", "last seen", "sessions", "tokens", "changed by"], *rows]) if rows else no_users
    )


@user.command()
@click.argument("name")
@click.option("--role", default="user", show_default=True, help=f"One of {ROLES}.")
@_prompt_option
@data_option
def add(name: str, role: str, prompt: bool, data: Path | None) -> None:
    """Add user NAME and print the password (shown once).

    A viewer can see all users' runs but change nothing; a user can run tests and see only their own runs; an admin can do
    everything.
    """
    new_role = role_of(role)
    accounts = _accounts(data)
    made = accounts.add_user(name, new_role, _typed(prompt), by=login_name())
    _tell(name, made, prompt)


@user.command()
@click.argument("name")
@_prompt_option
@data_option
def password(name: str, prompt: bool, data: Path | None) -> None:
    """Set a new password for user NAME and print it (shown once). Ends sessions, keeps API tokens, unlocks the account."""
    accounts = _accounts(data)
    accounts.user(name)
    _tell(name, accounts.set_password(name, _typed(prompt), by=login_name()), prompt)


@user.command()
@click.argument("name")
@click.argument("role")
@data_option
def role(name: str, role: str, data: Path | None) -> None:
    """Change the role of user NAME: viewer, user or admin. Ends sessions; API tokens get the new role at once."""
    new_role = role_of(role)
    changed = _accounts(data).set_role(name, new_role, by=login_name())
    click.echo(f"{name} is {new_role} {'now' if changed else 'already'}")


@user.command()
@click.argument("name")
@data_option
def remove(name: str, data: Path | None) -> None:
    """Remove user NAME with all sessions and API tokens. The runs are kept under that name."""
    _accounts(data).remove_user(name, by=login_name())
    click.echo(f"{name} has been removed")


@click.group()
def token() -> None:
    """API tokens, with the permissions of their user."""


@token.command()
@click.argument("name")
@click.argument("label")
@data_option
def make(name: str, label: str, data: Path | None) -> None:
    """Create a token for user NAME, labelled LABEL, and print it (shown once)."""
    secret, made = _accounts(data).make_token(name, label, by=login_name())
    click.echo(f"token {made.id} of {name}: {secret}")


@token.command("list")
@click.argument("name", required=False)
@json_option
@data_option
def list_tokens(name: str | None, as_json: bool, data: Path | None) -> None:
    """List the tokens of NAME, or of all users."""
    accounts = _accounts(data)
    owners = [accounts.user(name)] if name else accounts.users()
    tokens = [each for owner in owners for each in accounts.tokens(owner.name)]
    if as_json:
        print_json({"tokens": [asdict(each) for each in tokens]})
        return
    rows = [
        [each.id, each.user, each.role, each.name, ago(each.created_ms), ago(each.used_ms) or "never"]
        for each in tokens
    ]
    head = ["token", "user", "role", "label", "made", "last used"]
    click.echo(columns([head, *rows]) if rows else "no tokens: `reachq token make NAME LABEL` makes one")


@token.command()
@click.argument("name")
@click.argument("token_id", metavar="TOKEN")
@data_option
def revoke(name: str, token_id: str, data: Path | None) -> None:
    """Revoke TOKEN (an id from `reachq token list`) of user NAME."""
    _accounts(data).revoke_token(name, token_id, by=login_name())
    click.echo(f"token {token_id} of {name} has been revoked")
