"""Commands for the bench."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from app.api.bench_documents import bench_document
from app.cli import tables
from app.cli.login_name import login_name
from app.cli.netlab_process import netlab_command, run_netlab
from app.cli.system import (
    NotRunning,
    data_option,
    json_option,
    network_option,
    network_settings,
    open_ledger,
    print_json,
)
from ledger.errors import UnsuitableStore
from ledger.redis.suitability import Level
from ledger.settings import load_settings
from netlab.facts.sample import network_folder
from netlab.service.client import BenchClient, default_address
from netlab.service.status import BenchReport

BENCH_TIMEOUT_S = 10.0


@click.group()
def bench() -> None:
    """The bench: the kernel replica of the network."""


@bench.command()
@json_option
@network_option
@data_option
def status(as_json: bool, data: Path | None) -> None:
    """Show the last report of the bench, the leader and the workers."""
    ledger = open_ledger(data)
    report, paused, health = BenchReport.read(ledger.bench_status()), ledger.paused(), ledger.health()
    leader, workers = ledger.leader(), ledger.workers()
    if as_json:
        document = bench_document(
            ledger.settings.bench, report, paused=paused, leader=leader, workers=workers, health=health
        )
        print_json(document)
    else:
        click.echo(tables.bench(report, leader, health, paused=paused))


@bench.command()
@click.option("--why", default="", help="The reason, shown to users whose runs wait.")
@network_option
@data_option
def pause(why: str, data: Path | None) -> None:
    """Stop starting runs; running ones finish, new ones queue."""
    ledger = open_ledger(data)
    changed = ledger.pause(login_name(), why)
    paused = ledger.paused()
    message = tables.pause(paused) if paused else "another user resumed the bench at the same moment"
    click.echo(message if changed else f"{message}; nothing changed")


@bench.command()
@network_option
@data_option
def resume(data: Path | None) -> None:
    """End a pause, so that waiting runs start again."""
    resumed = open_ledger(data).resume(login_name())
    click.echo("bench resumed: waiting runs will start" if resumed else "the bench is not paused")


@bench.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@network_option
@data_option
def restart(yes: bool, data: Path | None) -> None:
    """Restart the bench, so that it loads the current facts.

    `reachq up` and docker compose start it again at once. Runs on the bench are retried.
    """
    ledger = open_ledger(data)
    if not yes and not click.confirm("Running tests will be retried. Restart the bench?"):
        click.echo("nothing was done")
        return
    new = ledger.restart_bench(login_name())
    up = ledger.counts().bench_up
    message = (
        "restart requested"
        if up
        else "no bench is running; a bench that starts within the next minute will restart once"
    )
    click.echo(message if new else f"already requested; {message}")


@bench.command()
@click.option("--network", type=click.Path(path_type=Path), help="Facts to check; default REACHQ_NETWORK.")
@data_option
def doctor(network: Path | None, data: Path | None) -> int:
    """Check this machine and the running system, and report what is missing."""
    folder = network_folder(load_settings(network=network).network).absolute()
    code = run_netlab("--network", str(folder), "--doctor")
    return max(code, _examine_system(data))


def _examine_system(data: Path | None) -> int:
    """Print one line for each fault of the running system. Returns 1 if the system cannot test runs, otherwise 0."""
    try:
        with open_ledger(data) as ledger:
            health = {name: ledger.of_network(name).health() for name in ledger.network_names()}
    except NotRunning as absent:
        click.echo(f"skipped the running system: {absent}")
        return 0
    except UnsuitableStore as unsuitable:
        click.echo(f"FAILED  redis: {unsuitable}")
        return 1
    for name, its in health.items():
        where = f"network {name}: " if len(health) > 1 else ""
        for part in ("redis", "dispatcher", "workers", "bench"):
            ours = [trouble for trouble in its.troubles if trouble.part == part]
            for trouble in ours:
                level = "WARNING" if trouble.level is Level.WARNING else "FAILED "
                click.echo(f"{level} {where}{part}: {trouble}")
            if not ours:
                click.echo(f"ok      {where}{part}")
    return int(any(its.blocking for its in health.values()))


@bench.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("router")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@network_option
@data_option
def shell(router: str, command: tuple[str, ...], data: Path | None) -> None:
    """Open a shell in the network namespace of ROUTER, or run COMMAND there.

    WARNING: this is the live replica. A change to routes, rules or interfaces changes the results of all runs until the
    bench restarts (`reachq bench restart`).

    Needs root or the user who started the bench. The exit code is that of the command; 125: the namespace cannot be
    entered, 126: the command cannot be executed, 127: the command was not found.

    Example: `reachq bench shell dc-fw -- nft list ruleset`
    """
    words = command[1:] if command[:1] == ("--",) else command
    argv, environment = netlab_command("--socket", _bench_address(data), "--shell", router, "--", *words)
    sys.stdout.flush()
    os.execve(argv[0], argv, environment)


@bench.command()
@json_option
@network_option
@data_option
def journal(as_json: bool, data: Path | None) -> None:
    """Show which run used the network when, and each use of `bench shell`, oldest first.

    The bench keeps its last 2000 entries in memory. Needs root or the user who started the bench.
    """
    entries = BenchClient(_bench_address(data), BENCH_TIMEOUT_S).journal()
    if as_json:
        print_json({"journal": msgspec.to_builtins(entries)})
    else:
        click.echo(tables.journal(entries))


def _bench_address(data: Path | None) -> str:
    settings = network_settings(data)
    return settings.bench_socket or default_address(settings.data, settings.bench)
