"""The command `reachq up`: runs the whole system from one terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli.system import data_option


@click.command()
@click.option("--network", type=click.Path(path_type=Path), help="Facts of the network; default: a sample network.")
@click.option("--host", help="Address that the web server listens on, IPv4 or IPv6; default 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of the web server, 0 for any free port; default 8080."
)
@click.option("--first/--no-first", default=True, help="Run a first test when the system is up.")
@data_option
def up(network: Path | None, host: str | None, port: int | None, first: bool, data: Path | None) -> int:
    """Start the whole system and stay in the foreground; Ctrl-C stops it.

    Redis (an embedded server in the data folder, unless REACHQ_REDIS_URL names one), web, two dispatchers,
    the bench and the workers. A process that dies is restarted.
    """
    from app.launch.up import run_system  # imported here because only this command needs it

    return run_system(data=data, network=network, host=host, port=port, first=first, colour=sys.stdout.isatty())
