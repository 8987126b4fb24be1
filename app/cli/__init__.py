"""The `reachq` command: submits tests, shows results, starts the system, controls the bench, and manages users.

Every command except `up` and `facts` finds the system by its data folder (`--data`, REACHQ_DATA, by default
~/.local/state/reachq) or by REACHQ_REDIS_URL. It accesses Redis through `ledger`, not through the web server.

All commands have the same exit codes: 0 for success (with `submit --wait`: every service is YES), 1 for a NO or if `up`
failed, 2 for bad input, 3 for an UNKNOWN, 4 for no result (cancelled, failed, still running, or no system found), and
130 if interrupted by Ctrl-C. An error is one line on stderr that says what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from app.cli import interrupt
from app.cli.console import style
from app.cli.lazy import Lazy, LazyGroup
from app.remote.api import ApiAway, ApiRefused
from ledger.errors import (
    BadInput,
    ChangeNotFound,
    HostNotFound,
    LastAdmin,
    NetworkInUse,
    NetworkNotFound,
    ReachqError,
    RunEnded,
    RunNotFound,
    SettingsError,
    SnapshotConflict,
    SnapshotInUse,
    SnapshotNotFound,
    SnapshotNotReady,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    TokenNotFound,
    TooManyNetworks,
    TooManyTokens,
    TooManyWaiting,
    UnsuitableStore,
    UserExists,
    UserNotFound,
)
from netlab.errors import NetlabError
from netlab.terminal import guard

DONE, A_NO, BAD_INPUT, AN_UNKNOWN, NOT_ANSWERED = 0, 1, 2, 3, 4
SNAPSHOTS = (ChangeNotFound, SnapshotNotFound, SnapshotConflict, SnapshotInUse)
NETWORKS = (NetworkNotFound, NetworkInUse, TooManyNetworks)
PEOPLE = (UserNotFound, UserExists, LastAdmin, TokenNotFound, TooManyTokens)
COMMANDS = {
    "up": Lazy("app.cli.up:up", "Start the whole system and stay in the foreground; Ctrl-C stops it."),
    "submit": Lazy(
        "app.cli.submit:submit", "Test whether SOURCE reaches DESTINATION on SERVICES, or test the rows of a file."
    ),
    "diff": Lazy(
        "app.cli.diff:diff", "Ask the same questions before and after a change, and show which answers differ."
    ),
    "changes": Lazy(
        "app.cli.changes:changes",
        "Comparisons of snapshots: what `reachq diff`, the page /changes and the API asked before and after a change.",
    ),
    "show": Lazy("app.cli.show:show", "Show RUN: its result, or its state."),
    "list": Lazy("app.cli.show:listing", "List runs, newest first."),
    "cancel": Lazy("app.cli.show:cancel", "Cancel RUN, or all runs that match the options."),
    "queue": Lazy("app.cli.show:queue", "Show running, waiting (with the reason) and finished runs."),
    "lanes": Lazy("app.cli.show:lanes", "Show the 32 lanes (DSCP 32-63) of each host and the runs that use them."),
    "bench": Lazy("app.cli.bench:bench", "The bench: the kernel replica of the network."),
    "host": Lazy("app.cli.host:host", "The hosts of this installation: their state, and maintenance."),
    "network": Lazy("app.cli.network:network", "The networks of this installation."),
    "facts": Lazy("app.cli.facts:facts", "Facts of the routers, and the snapshots made of them."),
    "user": Lazy("app.cli.user:user", "Users who may sign in, and their roles."),
    "token": Lazy("app.cli.user:token", "API tokens, with the permissions of their user."),
    "redis": Lazy("app.cli.redis:redis_group", "Access rules for your own Redis server; does not connect to it."),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reachq", message="reachq %(version)s")
def reachq() -> None:
    """Can A reach B, and what blocks it? Answered by a real packet through a kernel replica of the network."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command, and end with SystemExit. A user's mistake never causes a traceback."""
    guard()
    reachq.load_named_in(sys.argv[1:] if argv is None else argv)  # an import can lose a KeyboardInterrupt
    interrupt.guard(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> None:
    try:
        outcome = reachq.main(args=argv, prog_name="reachq", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(outcome if isinstance(outcome, int) else DONE)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        _fail(BAD_INPUT, error.format_message() + hint)
    except click.ClickException as error:
        _fail(error.exit_code, error.format_message())
    except click.Abort:
        raise KeyboardInterrupt from None
    except (BadInput, RunNotFound, RunEnded, SettingsError, HostNotFound, *PEOPLE, *NETWORKS, *SNAPSHOTS) as error:
        _fail(BAD_INPUT, str(error))
    except (StoreUnavailable, StoreFull, StoreDamaged, TooManyWaiting, UnsuitableStore, SnapshotNotReady) as error:
        _fail(NOT_ANSWERED, str(error))
    except ApiRefused as refused:
        _fail(BAD_INPUT if refused.is_input else NOT_ANSWERED, _refused(refused))
    except ApiAway as away:
        _fail(NOT_ANSWERED, str(away))
    except NetlabError as error:
        _fail(BAD_INPUT, str(error))
    except ReachqError as error:
        _fail(A_NO, str(error))
    except BrokenPipeError:  # `reachq list | head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)


def _refused(refused: ApiRefused) -> str:
    if len(refused.errors) < 2:
        return str(refused)
    return "\n".join([str(refused), *(f"  {field}: {message}" for field, message in refused.errors)])


def _fail(code: int, message: str) -> None:
    click.echo(f"{style('reachq:', fg='red')} {message}", err=True)
    sys.exit(code)
