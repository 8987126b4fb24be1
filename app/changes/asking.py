"""Asks the questions of a comparison in both snapshots: bulk runs for each, and a record that names them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

from app.changes.questions import Questions
from app.changes.removing import cancel_runs
from ledger.changes.records import Change
from ledger.errors import BadInput
from ledger.runs.bulk import BulkRequest, in_parts
from ledger.snapshots.records import note
from ledger.store import AppLedger


def ask_both(
    ledger: AppLedger,
    before: str,
    after: str,
    questions: Questions,
    *,
    user: str,
    note_text: str = "",
    expectation: str = "",
) -> Change:
    """Submit the questions to both snapshots, and store the comparison.

    `before` and `after` are facts hashes, starts of them, or `current`. `expectation` is the text of a valid YAML file, or
    "". The runs of both sides take turns in the queue, so that they are tested at about the same time. If one of them
    cannot be stored, the others are cancelled. Raises SnapshotNotFound, SnapshotNotReady, TooManyWaiting, StoreFull, or
    BadInput if both sides are the same snapshot.
    """
    sides = [ledger.snapshot(name) for name in (before, after)]
    if sides[0].facts == sides[1].facts:
        raise BadInput("after", after, f"is the same snapshot as `before` ({before}): give two different snapshots")
    change = Change(
        id=str(uuid.uuid4()),
        user=user,
        created_ms=0,
        before=sides[0].facts,
        after=sides[1].facts,
        questions=len(questions.asked),
        runs_before=(),
        runs_after=(),
        note=note("note", note_text),
        expectation=expectation,
        guarded=tuple(sorted(questions.guarded)),
    )
    runs: tuple[list[str], list[str]] = [], []
    try:
        for side, part in _in_turns(questions, change):
            runs[side].append(ledger.submit_bulk(part, user=user)[0].id)
        return ledger.add_change(replace(change, runs_before=tuple(runs[0]), runs_after=tuple(runs[1])))
    except BaseException:  # also of Ctrl-C: no comparison would name these runs
        cancel_runs(ledger, [*runs[0], *runs[1]], by=user)
        raise


def _in_turns(questions: Questions, change: Change) -> Iterator[tuple[int, BulkRequest]]:
    """Yield (0 before or 1 after the change, the next part of the questions) for both snapshots in turns."""
    for parts in zip(*(in_parts(questions.asked, facts) for facts in (change.before, change.after)), strict=True):
        yield from enumerate(parts)
