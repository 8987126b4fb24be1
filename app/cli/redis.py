"""The command `reachq redis`: helps to set up your own Redis server for reachq."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from app.cli.system import json_option, print_json
from ledger.errors import BadInput
from ledger.redis.acl import ROLES, Role
from ledger.redis.address import password_in
from ledger.settings import load_settings


@click.group("redis")
def redis_group() -> None:
    """Access rules for your own Redis server; does not connect to it."""


@redis_group.command()
@click.option("--role", type=click.Choice(list(ROLES)), help="Print only the rule of this role.")
@click.option(
    "--network",
    "--bench",
    "networks",
    metavar="NAME",
    multiple=True,
    help="A network that the rules cover; give it again for more. Default REACHQ_NETWORK_NAME or main.",
)
@click.option(
    "--passwords",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with a password file for each user; a missing file is created with a random password.",
)
@json_option
def acl(role: str | None, networks: tuple[str, ...], passwords: Path | None, as_json: bool) -> None:
    """Print the minimum rights of each process in Redis, as lines of an ACL file.

    One user for each role, named after the first network. Without --passwords the rules contain a
    placeholder for the SHA-256 of each password, and Redis refuses the file until it is replaced.
    """
    benches = list(dict.fromkeys(load_settings(bench=name).bench for name in networks or (None,)))
    chosen = [ROLES[role]] if role else list(ROLES.values())
    password_of = {each.name: _password(passwords, each, benches[0]) if passwords else None for each in chosen}
    if as_json:
        users = [_document(each, benches, password_of[each.name]) for each in chosen]
        print_json({"bench": benches[0], "networks": benches, "users": users})
        return
    lines = [each.rule(benches, password_of[each.name]) for each in chosen]
    click.echo("\n".join(lines))


def _document(role: Role, benches: list[str], password: str | None) -> dict[str, object]:
    return {
        "role": role.name,
        "user": role.user(benches[0]),
        "purpose": role.purpose,
        "commands": list(role.all_commands),
        "keys": role.patterns(*benches),
        "rule": role.rule(benches, password),
    }


def _password(folder: Path, role: Role, bench: str) -> str:
    """Return the user's password from its file in the folder.

    If the file is missing, it is created with a random password, readable only by its owner.
    """
    file = folder / role.user(bench)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w") as out:
                out.write(secrets.token_urlsafe(32) + "\n")
        return password_in(file)
    except OSError as error:
        raise BadInput("passwords", str(file), f"cannot be written: {error.strerror}") from None
    except ValueError as error:
        raise BadInput("passwords", str(file), str(error)) from None
