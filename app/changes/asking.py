"""Asks the questions of a comparison in both snapshots: bulk runs for each, and a record that names them."""

from __future__ import annotations

import uuid

from app.changes.questions import Questions
from ledger.changes.records import Change
from ledger.errors import BadInput
from ledger.runs.bulk import in_parts
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
    "". The runs of both sides take turns in the queue, so that they are tested at about the same time. Raises
    SnapshotNotFound, SnapshotNotReady, TooManyWaiting, StoreFull, or BadInput if both sides are the same snapshot.
    """
    sides = [ledger.snapshot(name).facts for name in (before, after)]
    if sides[0] == sides[1]:
        raise BadInput("after", after, f"is the snapshot {sides[0]} as well: give two different snapshots")
    change_id, noted = str(uuid.uuid4()), note("note", note_text)
    runs: list[list[str]] = [[], []]
    for number, parts in enumerate(zip(*(in_parts(questions.asked, facts) for facts in sides), strict=True)):
        for side, part in enumerate(parts):
            key = f"comparison {change_id} {side} {number}"
            runs[side].append(ledger.submit_bulk(part, user=user, idempotency_key=key)[0].id)
    return ledger.add_change(
        Change(
            id=change_id,
            user=user,
            created_ms=0,
            before=sides[0],
            after=sides[1],
            questions=len(questions.asked),
            runs_before=tuple(runs[0]),
            runs_after=tuple(runs[1]),
            note=noted,
            expectation=expectation,
            guarded=tuple(sorted(questions.guarded)),
        )
    )
