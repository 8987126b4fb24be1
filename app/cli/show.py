"""Commands that show runs, the queue and the lanes, and that cancel runs."""

from __future__ import annotations

from pathlib import Path

import click

from app.answers.cancelled import cancelled
from app.api.documents import CancelDocument, lanes_document, queue_document, run_document, run_page
from app.cli import remote_runs, tables
from app.cli.login_name import login_name
from app.cli.submit import report
from app.cli.system import data_option, find_run, json_option, network_option, open_ledger, print_json, remote_api
from app.formatting import runs_of, short
from dscp.pool import lasting_problems
from ledger.runs.cancelling import Choice
from ledger.runs.run import Mode, State
from ledger.store import AppLedger


@click.command()
@click.argument("run")
@json_option
@data_option
def show(run: str, as_json: bool, data: Path | None) -> int:
    """Show RUN: its result, or its state. RUN is an id or the first characters of one.

    With --json, prints the result document of a finished run, or the run record of any other run. The exit code is
    that of `submit --wait`; 4 while there is no answer.
    """
    if api := remote_api(data):
        return remote_runs.show(api, run, as_json=as_json)
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
    if api := remote_api(data):
        remote_runs.listing(api, state=state, limit=limit, offset=offset, as_json=as_json)
        return
    runs, total = open_ledger(data).runs(offset=offset, limit=limit, state=State(state) if state else None)
    if as_json:
        print_json(run_page(runs, total, offset=offset, limit=limit))
    else:
        click.echo(tables.run_list(runs, total, offset))


@click.command()
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="All waiting and running runs of the network.")
@click.option("--user", metavar="NAME", help="Those of this user.")
@click.option("--mode", type=click.Choice(list(Mode)), help="Those of this mode.")
@click.option("--state", type=click.Choice([State.PENDING, State.PROMOTED, State.RUNNING]), help="Those in this state.")
@click.option("--text", metavar="WORDS", help="Those with these services, or addresses or ids that begin so.")
@click.option("--yes", is_flag=True, help="Do not ask before several runs are cancelled.")
@json_option
@network_option
@data_option
def cancel(
    run: str | None,
    everything: bool,
    user: str | None,
    mode: str | None,
    state: str | None,
    text: str | None,
    yes: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Cancel RUN, or all runs that match the options.

    Waiting runs end at once. Running ones are stopped by their workers within a second. Runs that are submitted
    later are not cancelled. With --json, prints the run, or the numbers of runs; it does not ask.
    """
    filters = any(value is not None for value in (user, mode, state, text))
    if run is not None and (everything or filters):
        raise click.UsageError("give either RUN, or --all or a filter")
    if run is None and not everything and not filters:
        raise click.UsageError("give RUN, or a filter, or --all")
    if run is not None and (api := remote_api(data)):
        remote_runs.cancel(api, run, as_json=as_json)
        return
    ledger = open_ledger(data)
    if run is None:
        choice = Choice(user, Mode(mode) if mode else None, State(state) if state else None, text or "")
        _cancel_matching(ledger, choice, ask=not (yes or as_json), as_json=as_json)
        return
    target = find_run(ledger, run)
    after = ledger.of_network(target.bench).cancel(target.id, by=login_name())
    if as_json:
        print_json(run_document(after))
    elif after.state is State.CANCELLED:
        click.echo(f"run {short(after.id)} has been cancelled")
    else:
        click.echo(f"run {short(after.id)} is being cancelled: its worker stops it within a second")


def _cancel_matching(ledger: AppLedger, choice: Choice, *, ask: bool, as_json: bool) -> None:
    if ask:
        found = sum(map(len, ledger.matching(choice)))
        if found and not click.confirm(f"Cancel {runs_of(found, 'waiting or running run')}?"):
            click.echo("nothing was done")
            return
    count = ledger.cancel_matching(choice, by=login_name())
    if as_json:
        print_json(CancelDocument.of(count))
    else:
        click.echo(cancelled(count))


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
