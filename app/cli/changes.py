"""The commands `reachq changes`: the stored comparisons of `reachq diff`, of the pages and of the API."""

from __future__ import annotations

from pathlib import Path

import click

from app.api.change_documents import ChangeDocument, ChangeList
from app.changes.removing import remove_comparison
from app.changes.reporting import progress_of
from app.cli.change_report import ReportForm, report_options
from app.cli.console import columns, style
from app.cli.diff import report_when_finished
from app.cli.login_name import login_name
from app.cli.system import data_option, json_option, network_option, open_ledger, print_json
from app.formatting import ago, short
from ledger.changes.records import KEPT, Change
from ledger.errors import BadInput, ChangeNotFound
from ledger.store import AppLedger


@click.group()
def changes() -> None:
    """Comparisons of snapshots: what `reachq diff`, the page /changes and the API asked before and after a change.

    A network keeps its newest 200 comparisons. Their reports can be shown as long as their runs are in the history.
    """


@changes.command("list")
@click.option("--limit", type=click.IntRange(1, KEPT), default=20, show_default=True, help="Maximum number of them.")
@json_option
@network_option
@data_option
def listing(limit: int, as_json: bool, data: Path | None) -> None:
    """List comparisons, newest first."""
    found = open_ledger(data).changes(limit=limit)
    if as_json:
        print_json(ChangeList.of(found))
    elif not found:
        click.echo("no comparisons yet; `reachq diff current FOLDER` makes one")
    else:
        names = ("id", "before", "after", "questions", "asked", "by", "note")
        click.echo(columns([[style(name, bold=True) for name in names], *map(_listed, found)]))


@changes.command()
@click.argument("change")
@report_options
@network_option
@data_option
def show(change: str, shown: ReportForm, data: Path | None) -> int:
    """Show the report of comparison CHANGE. CHANGE is an id or the first characters of one.

    If questions are not answered yet, it waits for them. The exit codes are those of `reachq diff`.
    """
    ledger = open_ledger(data)
    return report_when_finished(ledger, find_change(ledger, change), shown)


@changes.command()
@click.argument("change")
@json_option
@network_option
@data_option
def remove(change: str, as_json: bool, data: Path | None) -> None:
    """Remove comparison CHANGE and cancel its unfinished runs; the snapshot of a what-if is removed as well."""
    ledger = open_ledger(data)
    found = find_change(ledger, change)
    document = ChangeDocument.of(found, progress_of(ledger, found))
    remove_comparison(ledger, found, by=login_name())
    if as_json:
        print_json(document)
    else:
        click.echo(f"comparison {short(found.id)} is removed")


def find_change(ledger: AppLedger, given: str) -> Change:
    """Return the comparison with this id, or with an id that begins so. Raises ChangeNotFound or BadInput."""
    start = given.strip().lower()
    if not start or not set(start) <= set("0123456789abcdef-"):
        raise BadInput("change", given, "is not a valid id: `reachq changes list` shows them")
    found = [change_id for change_id in ledger.change_ids() if change_id.startswith(start)]
    if not found:
        raise ChangeNotFound(f"There is no comparison {start[:40]}; `reachq changes list` shows them.")
    if len(found) > 1:
        raise BadInput("change", given, f"is the start of {len(found)} ids: give more characters")
    return ledger.change(found[0])


def _listed(one: Change) -> list[str]:
    return [short(one.id), one.before, one.after, str(one.questions), ago(one.created_ms), one.user, one.note]
