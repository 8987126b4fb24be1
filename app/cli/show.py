"""Commands that show runs, the queue and the lanes, and that cancel a run."""

from __future__ import annotations

from pathlib import Path

import click

from app.api.documents import lanes_document, queue_document, run_document, run_page
from app.cli import tables
from app.cli.login_name import login_name
from app.cli.submit import report
from app.cli.system import data_option, find_run, json_option, network_option, open_ledger, print_json
from app.formatting import short
from dscp.pool import lasting_problems
from ledger.runs.run import State


@click.command()
@click.argument("run")
@json_option
@data_option
def show(run: str, as_json: bool, data: Path | None) -> int:
    """Show RUN: its result, or its state. RUN is an id or the first characters of one.

    With --json, prints the result document of a finished run, or the run record of any other run. The exit code is
    that of `submit --wait`; 4 while there is no answer.
    """
    ledger = open_ledger(data)
    return report(ledger, find_run(ledger, run), as_json=as_json)


@click.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only runs in this state.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Maximum number of runs.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip this many of the newest runs.")
@json_option
@network_option
@data_option
def listing(state: str | None, limit: int, offset: int, as_json: bool, data: Path | None) -> None:
    """List runs, newest first."""
    runs, total = open_ledger(data).runs(offset=offset, limit=limit, state=State(state) if state else None)
    if as_json:
        print_json(run_page(runs, total, offset=offset, limit=limit))
    else:
        click.echo(tables.run_list(runs, total, offset))


@click.command()
@click.argument("run")
@json_option
@data_option
def cancel(run: str, as_json: bool, data: Path | None) -> None:
    """Cancel RUN, waiting or running."""
    ledger = open_ledger(data)
    target = find_run(ledger, run)
    after = ledger.of_network(target.bench).cancel(target.id, by=login_name())
    if as_json:
        print_json(run_document(after))
    elif after.state is State.CANCELLED:
        click.echo(f"run {short(after.id)} has been cancelled")
    else:
        click.echo(f"run {short(after.id)} is being cancelled: its worker stops it within a second")


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Maximum number of runs in each section.",
)
@json_option
@network_option
@data_option
def queue(limit: int, as_json: bool, data: Path | None) -> None:
    """Show running, waiting (with the reason) and finished runs."""
    ledger = open_ledger(data)
    view = ledger.queue(limit=limit)
    if as_json:
        print_json(queue_document(view))
    else:
        click.echo(tables.queue(view, health=ledger.health(), paused=ledger.paused()))


@click.command()
@json_option
@network_option
@data_option
def lanes(as_json: bool, data: Path | None) -> None:
    """Show the 32 lanes (DSCP 32-63) of each host and the runs that use them."""
    ledger = open_ledger(data)
    all_lanes = ledger.lanes()
    problems = lasting_problems(all_lanes, ledger.lanes)
    if as_json:
        print_json(lanes_document(all_lanes, problems))
    else:
        click.echo(tables.lanes(all_lanes, problems))
