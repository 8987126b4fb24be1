"""Submits the rows of a file for `reachq submit --file`, and optionally waits for all their answers."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from app.api.bulk_documents import rows_document
from app.api.documents import run_document
from app.cli import interrupt
from app.cli.bulk_text import row_lines
from app.cli.exit_codes import EXIT_CODES, NOT_ANSWERED
from app.cli.status_line import StatusLine
from app.cli.system import print_json
from app.formatting import runs_of, short
from app.questions import answered
from app.questions.answered import AnsweredRow
from app.questions.planned import PlannedRun, planned, submit_all
from app.rows import FILE_ROWS_MAX, Row, read_rows
from ledger.bench.health import Health
from ledger.errors import (
    BadInput,
    RunDamaged,
    RunNotFound,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    TooManyWaiting,
)
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.store import AppLedger

USER = "cli"
BLOCK_MS = 500
LOOK_S = 0.5
"""Minimum time between two reads of all runs."""
LOST_CONTACT_S = 30.0
FILE_MAX = 16 * 1024 * 1024


def read_file(path: str, mode: str) -> dict[int, RunRequest] | None:
    """Return {line: question} of a file (`-`: stdin), or list the invalid rows on stderr and return None.

    Raises BadInput if the file cannot be read or has no rows or too many.
    """
    rows = read_rows(_text(path), mode=mode, at_most=FILE_ROWS_MAX)
    if not rows:
        raise BadInput("file", path, "has no rows: write source, destination and services in each line")
    if any(row.errors for row in rows):
        _list_errors(rows)
        return None
    return {row.line: row.request for row in rows if row.request}


def _text(path: str) -> str:
    try:
        content = sys.stdin.buffer.read(FILE_MAX + 1) if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise BadInput("file", path, f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_MAX:
        raise BadInput("file", path, f"is larger than {FILE_MAX // 1024 // 1024} MiB: submit it in parts")
    return content.decode("utf-8", "replace")


def _list_errors(rows: Sequence[Row]) -> None:
    wrong = [row for row in rows if row.errors]
    for row in wrong:
        for error in row.errors:
            click.echo(f"line {row.line}: {error}", err=True)
    are = "is" if len(wrong) == 1 else "are"
    click.echo(f"reachq: nothing was submitted: {len(wrong):,} of {len(rows):,} rows {are} invalid", err=True)


def submit_file(ledger: AppLedger, questions: dict[int, RunRequest], *, wait: bool, as_json: bool, as_csv: bool) -> int:
    """Submit the questions of a file. Returns the exit code."""
    plan, runs = planned(questions), dict[str, Run]()
    try:
        for one, run, _ in submit_all(ledger, plan, user=USER, batch=str(uuid.uuid4())):
            runs[one.name] = run
        if not wait:
            _submitted(list(runs.values()), len(questions), as_json=as_json)
            return 0
        status_line = StatusLine()
        try:
            ended = wait_for_all(ledger, list(runs.values()), status_line)
        finally:
            status_line.clear()
    except (StoreUnavailable, StoreFull, TooManyWaiting):
        if runs:
            click.echo(_continue(list(runs.values()), len(plan)), err=True)
        raise
    except KeyboardInterrupt:
        interrupt.handled()
        click.echo(_continue(list(runs.values()), len(plan)), err=True)
        return NOT_ANSWERED
    return _report(ledger, plan, {name: ended[run.id] for name, run in runs.items()}, as_json=as_json, as_csv=as_csv)


def _submitted(runs: list[Run], count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"runs": [run_document(run).model_dump(mode="json") for run in runs]})
        return
    click.echo(f"submitted {count:,} question{'' if count == 1 else 's'} in {runs_of(len(runs))}")
    for run in runs:
        click.echo(f"  reachq show {short(run.id)}")


def _continue(runs: list[Run], planned_count: int) -> str:
    """Return the text when the command ends early: what was submitted, and how to see and cancel it."""
    if not runs:
        return "interrupted before the first run was submitted; `reachq list` shows it if it was stored"
    ids = " ".join(short(run.id) for run in runs)
    rest = "" if len(runs) == planned_count else f" of {planned_count:,}"
    return (
        f"{runs_of(len(runs))}{rest} submitted, not stopped by the end of this command: `reachq show RUN` shows a run,"
        f" `reachq cancel RUN` stops it\n  {ids}"
    )


def wait_for_all(ledger: AppLedger, runs: Sequence[Run], status_line: StatusLine) -> dict[str, Run]:
    """Block until all runs have ended, and print the progress on stderr. Returns {run id: run}."""
    known = {run.id: run for run in runs}
    first_ms = min(run.submitted_ms for run in runs)
    after = f"{max(first_ms - 1, 0)}-0"  # stream ids use Redis's clock, so no later event is missed
    contact = time.monotonic()
    while True:
        began = time.monotonic()
        try:
            _read_again(ledger, known)
            contact = time.monotonic()
            if all(run.state in ENDED for run in known.values()):
                return known
            status_line.show(progress(ledger, known.values(), ledger.health))
            while time.monotonic() - began < LOOK_S:
                for event in ledger.events(after, block_ms=BLOCK_MS):
                    after = event.id
        except (StoreUnavailable, StoreDamaged) as error:
            if time.monotonic() - contact > LOST_CONTACT_S:
                raise
            damaged = isinstance(error, StoreDamaged)
            status_line.show(str(error) if damaged else "Redis does not answer, trying again")
            time.sleep(0.2)


def _read_again(ledger: AppLedger, known: dict[str, Run]) -> None:
    """Read the unfinished runs again. A run that is gone raises StoreUnavailable."""
    left = [run_id for run_id, run in known.items() if run.state not in ENDED]
    found = {run.id: run for run in ledger.runs_named(left)}
    for run_id in left:
        known[run_id] = found.get(run_id) or _one(ledger, known[run_id])


def _one(ledger: AppLedger, run: Run) -> Run:
    """Return a run that the list lacks: it was damaged and set aside, or its data was deleted."""
    try:
        return ledger.run(run.id)
    except (RunNotFound, RunDamaged) as error:
        raise StoreUnavailable(f"run {short(run.id)} cannot be read any more: {error}") from None


def progress(ledger: AppLedger, runs: Iterable[Run], health: Callable[[], Health]) -> str:
    """Return the progress of all runs as text, such as `1,024 of 5,000 questions answered`.

    If no run has begun, it says what prevents that.
    """
    runs = list(runs)
    total = sum(run.questions for run in runs)
    done = sum(_answered_of(ledger, run) for run in runs)
    text = f"{done:,} of {total:,} questions answered"
    waiting = [run for run in runs if run.state is State.PENDING]
    if len(waiting) == sum(run.state not in ENDED for run in runs):
        why = health().why_not(waiting[0].mode, remedy=True) or waiting[0].wait_reason
        return f"{text}; waiting{f': {why}' if why else ''}"
    return text


def _answered_of(ledger: AppLedger, run: Run) -> int:
    if run.state is State.DONE:
        return run.questions
    if run.mode is not Mode.BULK or run.state is not State.RUNNING:
        return 0
    log = ledger.log(run.id)
    return run.questions * log[-1].percent // 100 if log and log[-1].ms >= run.started_ms else 0


def _report(
    ledger: AppLedger, plan: Sequence[PlannedRun], ended: dict[str, Run], *, as_json: bool, as_csv: bool
) -> int:
    rows, damage = _rows(ledger, plan, ended)
    if as_json:
        click.echo(rows_document(list(ended.values()), rows))
    elif as_csv:
        click.echo(answered.answers_csv(rows), nl=False)
    else:
        click.echo(row_lines(rows))
    for text in damage:
        click.echo(f"reachq: {text}", err=True)
    return exit_code(rows)


def _rows(ledger: AppLedger, plan: Sequence[PlannedRun], ended: dict[str, Run]) -> tuple[list[AnsweredRow], list[str]]:
    """Return the rows in the order of the file, and what is damaged."""
    bulk = [run for run in ended.values() if run.mode is Mode.BULK]
    rows, damage = answered.of_bulk_runs(ledger, bulk)
    for one in plan:
        run = ended[one.name]
        for line, question in zip(one.lines, _questions(one), strict=True):
            if run.mode is not Mode.BULK:
                rows[line] = answered.of_single(line, run)
            elif line not in rows:
                where = (question.source, question.destination, question.services, question.source_port)
                rows[line] = AnsweredRow(line, run, *where)
    return [rows[line] for line in sorted(rows)], damage


def _questions(one: PlannedRun) -> list[RunRequest]:
    if isinstance(one.request, RunRequest):
        return [one.request]
    return [question.asked for question in one.request.questions]


def exit_code(rows: Iterable[AnsweredRow]) -> int:
    """Return the exit code of the worst answer: NO, then UNKNOWN, then no answer at all; 0 if all are YES."""
    codes = {EXIT_CODES.get(one.verdict, NOT_ANSWERED) for one in rows}
    return next((code for code in (EXIT_CODES["NO"], EXIT_CODES["UNKNOWN"], NOT_ANSWERED) if code in codes), 0)
