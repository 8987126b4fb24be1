"""The command `reachq diff`: what a change breaks, and what it opens."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from app.answers.impact.compare import AnswersDoNotMatch
from app.answers.impact.expectation import NOTHING, Expectation, read_expectation
from app.changes.asking import ask_both
from app.changes.questions import RECENT, BadRows, assemble, flows_of, recent_questions, rows_of
from app.changes.reporting import NoReport, Progress, progress_of, report_of, report_of_no_change
from app.cli import interrupt, remote_diff
from app.cli.change_report import ReportForm, report_options
from app.cli.console import style
from app.cli.login_name import login_name
from app.cli.status_line import StatusLine
from app.cli.submit import LOST_CONTACT_S
from app.cli.system import data_option, network_option, open_ledger, remote_api
from app.formatting import short
from app.snapshots.push import problems_of, push_path, wait_for_check
from ledger.changes.records import Change
from ledger.errors import BadInput, SnapshotNotFound, StoreUnavailable
from ledger.runs.requests import RunRequest
from ledger.snapshots.records import SnapshotState
from ledger.store import AppLedger

POLL_S = 0.02
QUIET_S = 0.4
"""Time in s before the first progress message. A report that is there sooner needs none."""
SAID_S = 5.0
"""Time in s between two messages of progress where they cannot replace one another: in a file, or in the log of a job."""
NO_REPORT = 4
STDIN = "standard input"


@click.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--rows",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the questions, one per line; - for standard input.",
)
@click.option(
    "--recent",
    type=click.IntRange(1, 2000),
    help=f"Ask this number of recent questions; default {RECENT} without --rows.",
)
@click.option(
    "--expect", type=click.Path(path_type=Path, allow_dash=True), help="YAML file that says what the change may do."
)
@click.option("--note", default="", help="A note for the list of comparisons.")
@report_options
@network_option
@data_option
def diff(
    before: str,
    after: str,
    rows: Path | None,
    recent: int | None,
    expect: Path | None,
    note: str,
    shown: ReportForm,
    data: Path | None,
) -> int:
    """Ask the same questions before and after a change, and show which answers differ.

    BEFORE and AFTER are each `current`, the facts hash of a snapshot or the start of it, or a folder or tar archive with the
    facts of the routers, which is pushed first. The questions are the rows of --rows, as for `submit --file`; without it,
    they are the recent questions of all users. The network's management flows are always asked as well
    (`reachq network flows`).

    Ctrl-C stops the waiting, not the comparison: `reachq changes` shows it later.

    The exit code is 0 if no answer changed, or exactly as --expect announces, 1 for any other change, 3 if nothing is wrong
    but some results are unknown on one side, 2 for bad input, and 4 if there is no report.
    """
    text, expectation = _expectation(expect)
    if api := remote_api(data):
        given = read_rows_file(rows) if rows else ""
        asked_again = recent or (0 if rows else RECENT)
        return remote_diff.diff(
            api,
            (before, after),
            rows=given,
            recent=asked_again,
            expectation=text,
            expected=expectation if expect else None,
            note=note,
            shown=shown,
        )
    ledger = open_ledger(data)
    asked = _rows(rows) if rows else []
    sides = [_side(ledger, *named) for named in (("before", before), ("after", after))]
    if sides[0] == sides[1] and _is_folder(before, after):
        click.echo(f"both sides are snapshot {sides[0]}: nothing changed, so nothing was asked", err=True)
        return shown.print(report_of_no_change(sides[0], expectation, expected=bool(expect)))
    if recent or not rows:
        last = max((line for line, _ in asked), default=0)
        asked += list(enumerate(recent_questions(ledger, recent or RECENT), last + 1))
    change = ask_both(
        ledger, sides[0], sides[1], assemble(ledger, asked), user=login_name(), note_text=note, expectation=text
    )
    return report_when_finished(ledger, change, shown)


def read_rows_file(file: Path, *, flows: bool = False) -> str:
    """Return the rows of a file. Wrong ones are listed on stderr. Raises BadInput or UsageError."""
    text = _text(file)
    try:
        flows_of(text) if flows else rows_of(text)
    except BadRows as bad:
        for row in bad.rows:
            for error in row.errors:
                click.echo(f"{_shown(file)}:{row.line}: {error}", err=True)
        number = len(bad.rows)
        wrong = "1 row is" if number == 1 else f"{number} rows are"
        raise BadInput("rows", _shown(file), f"was not used: {wrong} invalid, see above") from None
    return text


def report_when_finished(ledger: AppLedger, change: Change, shown: ReportForm) -> int:
    """Wait for the end of a comparison and print its report, or why there is none. Returns the exit code."""
    if not _wait(ledger, change):
        return NO_REPORT
    try:
        report = report_of(ledger, change)
    except (NoReport, AnswersDoNotMatch, SnapshotNotFound) as bad:
        click.echo(f"{style('reachq:', fg='red')} {bad}", err=True)
        return NO_REPORT
    return shown.print(report)


def _wait(ledger: AppLedger, change: Change) -> bool:
    """Wait for the end of a comparison, with progress on stderr. Returns False, and says why, if there is no report."""
    line = StatusLine()
    try:
        progress = _end_of(ledger, change, line)
    except KeyboardInterrupt:
        interrupt.handled()
        line.clear()
        click.echo(_interrupted(change), err=True)
        return False
    finally:
        line.clear()
    if progress.problem:
        click.echo(f"{style('reachq:', fg='red')} there is no report: {progress.problem}", err=True)
    return not progress.problem


def _interrupted(change: Change) -> str:
    show, remove = (f"`reachq changes {verb} {short(change.id)}`" for verb in ("show", "remove"))
    return f"comparison {short(change.id)} continues: {show} shows its report, {remove} cancels it"


def _end_of(ledger: AppLedger, change: Change, line: StatusLine) -> Progress:
    """Wait until a comparison has ended. Continues after a restart of Redis."""
    began = said = contact = time.monotonic()
    while True:
        now = time.monotonic()
        try:
            progress = progress_of(ledger, change)
            contact, text = now, _progress_text(progress)
            if progress.finished or progress.problem:
                return progress
        except StoreUnavailable:
            if now - contact > LOST_CONTACT_S:
                raise
            text = "Redis does not answer, trying again"
        if now - began > QUIET_S and (line.terminal or now - said > SAID_S):
            said = now
            line.show(text)
        time.sleep(POLL_S if now - began < 2 else POLL_S * 10)


def _progress_text(progress: Progress) -> str:
    text = f"{progress.answered:,} of {progress.questions:,} questions answered"
    return f"{text}; {progress.waiting}" if progress.waiting and not progress.answered else text


def _is_folder(*names: str) -> bool:
    return any(name != "current" and Path(name).exists() for name in names)


def _side(ledger: AppLedger, side: str, name: str) -> str:
    """Return the facts hash of a side. A folder or archive is pushed first."""
    if _is_folder(name):
        pushed = push_path(ledger, Path(name), by=login_name(), note="pushed by reachq diff")
        snapshot = wait_for_check(ledger, pushed.facts)
        if snapshot.state is SnapshotState.REFUSED:
            raise problems_of(snapshot)
        return pushed.facts
    try:
        return ledger.snapshot(name).facts
    except SnapshotNotFound:
        remedy = "is not a folder, an archive or a snapshot: `reachq facts list` shows the snapshots"
        raise BadInput(side, name, remedy) from None


def _rows(file: Path) -> list[tuple[int, RunRequest]]:
    return rows_of(read_rows_file(file))


def _expectation(file: Path | None) -> tuple[str, Expectation]:
    """Return the text of the file, and what it says."""
    if file is None:
        return "", NOTHING
    text = _text(file)
    return text, read_expectation(text, _shown(file))


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as bad:
        raise BadInput("file", str(file), f"cannot be read: {bad.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput("file", _shown(file), "is not UTF-8 text: save it as UTF-8") from None


def _shown(file: Path) -> str:
    return STDIN if str(file) == "-" else str(file)
