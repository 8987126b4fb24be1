"""The command `reachq diff`: what a change breaks, and what it opens."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import click
import msgspec

from app.answers.impact.expectation import read_expectation
from app.answers.impact.markdown import impact_markdown
from app.answers.impact.selection import CLASSES, Selection, chosen, read_selection
from app.answers.impact.table import impact_csv
from app.changes.asking import ask_both
from app.changes.questions import RECENT, BadRows, assemble, recent_questions, rows_of
from app.changes.reporting import Progress, Report, progress_of, report_of
from app.cli import interrupt
from app.cli.console import style
from app.cli.impact_text import impact_text
from app.cli.login_name import login_name
from app.cli.status_line import StatusLine
from app.cli.system import data_option, json_option, network_option, open_ledger
from app.formatting import short
from app.snapshots.push import problems_of, push_path, wait_for_check
from ledger.changes.records import Change
from ledger.errors import BadInput
from ledger.runs.requests import RunRequest
from ledger.snapshots.records import SnapshotState
from ledger.store import AppLedger

POLL_S = 0.02
QUIET_S = 0.4
"""Time in s before the first progress message. A report that is there sooner needs none."""
SAID_S = 5.0
"""Time in s between two messages of progress where they cannot replace one another: in a file, or in the log of a job."""
NO_REPORT = 4


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--rows", type=click.Path(path_type=Path, allow_dash=True), help="File with the questions, one per line.")
@click.option(
    "--recent",
    type=click.IntRange(1, 2000),
    help=f"Ask this number of recent questions; default {RECENT} without --rows.",
)
@click.option("--expect", type=click.Path(path_type=Path), help="YAML file that says what may change.")
@click.option("--note", default="", help="A note for the list of comparisons.")
@click.option(
    "--class", "kinds", multiple=True, type=click.Choice(CLASSES), help="List only this class; may be repeated."
)
@click.option("--router", default="", help="List only what passes this router or is blocked by it.")
@click.option("--address", default="", help="List only what comes from or goes to this address or subnet.")
@click.option("--services", default="", help="List only these services.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the changed cells as CSV.")
@click.option("--markdown", is_flag=True, help="Print the report as Markdown, for a merge request.")
@json_option
@network_option
@data_option
def diff(
    before: str,
    after: str,
    rows: Path | None,
    recent: int | None,
    expect: Path | None,
    note: str,
    kinds: tuple[str, ...],
    router: str,
    address: str,
    services: str,
    as_csv: bool,
    markdown: bool,
    as_json: bool,
    data: Path | None,
) -> int:
    """Ask the same questions before and after a change, and show which answers differ.

    BEFORE and AFTER are each `current`, the facts hash of a snapshot or the start of it, or a folder or tar archive with the
    facts of the routers, which is pushed first. The questions are the rows of --rows, as for `submit --file`; without it,
    they are the recent questions of all users. The network's management flows are always asked, too.

    The exit code is 0 if nothing changed or exactly what --expect announces, 1 for any other change, 3 if only the result
    of some questions is unknown, 2 for bad input, and 4 if there is no report.
    """
    if sum((as_csv, markdown, as_json)) > 1:
        raise click.UsageError("give only one of --csv, --markdown and --json")
    selection = read_selection(kinds, router, address, services)
    expectation = _expectation(expect)
    ledger = open_ledger(data)
    asked = _rows(rows) if rows else []
    sides = [_side(ledger, name) for name in (before, after)]
    if recent or not rows:
        last = max((line for line, _ in asked), default=0)
        asked += list(enumerate(recent_questions(ledger, recent or RECENT), last + 1))
    user = login_name()
    questions = assemble(ledger, asked)
    change = ask_both(ledger, sides[0], sides[1], questions, user=user, note_text=note, expectation=expectation)
    if not _wait(ledger, change):
        return NO_REPORT
    report = report_of(ledger, change)
    form = "json" if as_json else "csv" if as_csv else "markdown" if markdown else "text"
    click.echo(_printed(report, selection, form), nl=False)
    return report.judgement.exit_code


def _printed(report: Report, selection: Selection, form: str) -> str:
    impact = chosen(report.impact, selection)
    if form == "json":
        document = {"impact": impact, "judgement": report.judgement}
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
    if form == "csv":
        return impact_csv(impact)
    judgement = report.judgement if report.expected else None
    if form == "markdown":
        return impact_markdown(impact, judgement)
    return impact_text(impact, judgement, width=shutil.get_terminal_size().columns) + "\n"


def _side(ledger: AppLedger, name: str) -> str:
    """Return the facts hash of a side. A folder or archive is pushed first."""
    path = Path(name)
    if name != "current" and path.exists():
        pushed = push_path(ledger, path, by=login_name(), note="pushed by reachq diff")
        snapshot = wait_for_check(ledger, pushed.facts)
        if snapshot.state is SnapshotState.REFUSED:
            raise problems_of(snapshot)
        return pushed.facts
    return ledger.snapshot(name).facts


def _rows(file: Path) -> list[tuple[int, RunRequest]]:
    try:
        return rows_of(_text(file))
    except BadRows as bad:
        for row in bad.rows:
            for error in row.errors:
                click.echo(f"{file}:{row.line}: {error}", err=True)
        raise click.UsageError(f"{len(bad.rows)} of the rows cannot be asked, so nothing was asked") from None


def _expectation(file: Path | None) -> str:
    if file is None:
        return ""
    text = _text(file)
    read_expectation(text, str(file))
    return text


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as bad:
        raise BadInput("file", str(file), f"cannot be read: {bad.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput("file", str(file), "is not UTF-8 text: save it as UTF-8") from None


def _wait(ledger: AppLedger, change: Change) -> bool:
    """Wait for the end of a comparison, with progress on stderr. Returns False, and says why, if there is no report."""
    line, began = StatusLine(), time.monotonic()
    said = began
    try:
        while True:
            progress = progress_of(ledger, change)
            if progress.finished or progress.problem:
                break
            if time.monotonic() - began > QUIET_S and (line.terminal or time.monotonic() - said > SAID_S):
                said = time.monotonic()
                line.show(_progress_text(progress))
            time.sleep(POLL_S if time.monotonic() - began < 2 else POLL_S * 10)
    except KeyboardInterrupt:
        interrupt.handled()
        line.clear()
        click.echo(f"comparison {short(change.id)} continues; its runs are in `reachq list`", err=True)
        return False
    finally:
        line.clear()
    if progress.problem:
        click.echo(f"{style('reachq:', fg='red')} there is no report: {progress.problem}", err=True)
    return not progress.problem


def _progress_text(progress: Progress) -> str:
    text = f"{progress.answered:,} of {progress.questions:,} questions answered"
    return f"{text}; {progress.waiting}" if progress.waiting and not progress.answered else text
