"""Finds the running system for a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel

from app.launch.embedded import SOCKET
from app.remote.api import Api
from ledger.errors import BadInput, StoreRefused, StoreUnavailable
from ledger.runs.run import Run
from ledger.settings import Settings, load_settings
from ledger.store import AppLedger

Command = TypeVar("Command", bound=Callable[..., Any])
UUID_LENGTH = 36
_NETWORK = "reachq.network"


class NotRunning(StoreUnavailable):
    """There is no running reachq here."""


def data_option(command: Command) -> Command:
    """Add the `--data` option, which every command has."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Data folder of the running system; default REACHQ_DATA or ~/.local/state/reachq.",
    )(command)


def network_option(command: Command) -> Command:
    """Add the `--network` option, which `open_ledger` and `network_settings` follow."""

    def keep(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
        ctx.meta[_NETWORK] = name

    return click.option(
        "--network",
        metavar="NAME",
        callback=keep,
        expose_value=False,
        help="Name of the network; default REACHQ_NETWORK_NAME or main.",
    )(command)


def _named_network() -> str | None:
    """Return the network that the command line names, or None."""
    context = click.get_current_context(silent=True)
    name: str | None = context.meta.get(_NETWORK) if context else None
    return name


def json_option(command: Command) -> Command:
    """Add the `--json` option, which prints the document of the HTTP API instead of text."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def open_ledger(data: Path | None) -> AppLedger:
    """Return the ledger of the system in `data`, or of REACHQ_REDIS_URL, for the network of `--network`.

    Raises NetworkNotFound, NotRunning, which says how to start a system, and UnsuitableStore if the Redis server is
    unsuitable.
    """
    settings = load_settings(data=data)
    if settings.url and data is None:
        raise BadInput(
            "REACHQ_URL",
            settings.url,
            "is set, but this command needs Redis: run it on a host of reachq, without REACHQ_URL",
        )
    if data is not None and settings.redis_url and _exists(settings.data / SOCKET):
        settings = settings.model_copy(update={"redis_url": ""})  # an option takes precedence over the environment
    if not settings.redis_url and not _exists(settings.data / SOCKET):
        raise NotRunning(_absent(settings))
    ledger = AppLedger.connect(settings)
    try:
        ledger.vet(lambda warning: None)  # not ping: a server that cannot write refuses it, but may still be read
    except StoreRefused:
        raise
    except StoreUnavailable as error:
        raise NotRunning(f"{_absent(settings)} ({error})") from None
    return ledger.of_network(name) if (name := _named_network()) else ledger


def remote_api(data: Path | None) -> Api | None:
    """Return the API at REACHQ_URL, or None if the command uses Redis: without REACHQ_URL, or with `--data`.

    Raises BadInput for an invalid address, or without REACHQ_TOKEN.
    """
    settings = load_settings(data=data)
    if not settings.url or data is not None:
        return None
    return Api(settings.url, settings.token.get_secret_value(), _named_network() or "")


def network_settings(data: Path | None) -> Settings:
    """Return the settings for the network of `--network`, without asking Redis."""
    settings = load_settings(data=data)
    return settings.for_network(_named_network() or settings.own_network)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        raise NotRunning(f"{path.parent} belongs to another user: use your own folder: --data DIR") from None


def _absent(settings: Settings) -> str:
    if settings.redis_url:
        return "the Redis named by REACHQ_REDIS_URL does not answer: start it, or correct the address"
    return (
        f"reachq is not running here (nothing in {settings.data}): start it with `reachq up`,"
        " or say where it runs with --data DIR or REACHQ_REDIS_URL"
    )


def find_run(ledger: AppLedger, given: str) -> Run:
    """Return the run with this id or with an id that begins with these characters.

    Raises RunNotFound if none or several match, and BadInput if this cannot be an id.
    """
    run_id = given.strip().lower()
    if len(run_id) == UUID_LENGTH:
        return ledger.run(run_id)
    if not run_id or not set(run_id) <= set("0123456789abcdef-"):
        raise BadInput("run", given, "is not a valid run id: `reachq list` shows them")
    return ledger.run_starting_with(run_id)


def print_json(document: Any) -> None:
    """Print a document, or what JSON can hold, as JSON."""
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    click.echo(json.dumps(plain, indent=2))
