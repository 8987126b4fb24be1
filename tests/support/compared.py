"""Comparisons of two snapshots whose answers no bench gave."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from ledger.changes.records import Change
from ledger.runs.records import Answer, Choice
from ledger.runs.run import Mode, Run
from ledger.snapshots.records import NewSnapshot, SnapshotState
from ledger.store import Ledger
from netlab.results.bulk import BulkAnswer, BulkResult, BulkService, encode_bulk
from tests.support.bulk_results import a_rule, cell
from tests.support.runs import leading, queue_of, worker_of

BEFORE, AFTER = "b" * 12, "a" * 12
BLOCKED = cell("NO", by="dc-fw", rule=0)
"""A service that rule 0 of the result blocks."""


def push(ledger: Ledger, facts: str, state: SnapshotState = SnapshotState.READY, *, note: str = "") -> str:
    """A snapshot with one rule, which contains its hash."""
    rules = f"*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m comment --comment {facts} -j ACCEPT\nCOMMIT\n".encode()
    files = {"dc-fw/iptables.rules": (hashlib.sha256(rules).hexdigest(), rules)}
    ledger.push_snapshot(NewSnapshot(facts, files, (), 1, "campus", note=note), by="ada")
    if state is not SnapshotState.CHECKING:
        problems = ["dc-fw/iptables.rules:3: bad"] if state is SnapshotState.REFUSED else []
        ledger.settle_check(facts, state, host="h1", problems=problems, warnings=[])
    return facts


def two_snapshots(ledger: Ledger) -> tuple[str, str]:
    """The snapshots BEFORE, which is current, and AFTER."""
    push(ledger, BEFORE)
    ledger.use_snapshot(BEFORE, by="ada")
    return BEFORE, push(ledger, AFTER)


def a_change(number: int = 0, *, before: str = BEFORE, after: str = AFTER, user: str = "ada") -> Change:
    """A comparison as it is stored, with runs that do not exist."""
    return Change(
        id=f"{number:08x}-0000-4000-8000-000000000000",
        user=user,
        created_ms=0,
        before=before,
        after=after,
        questions=2,
        runs_before=("r1", "r2"),
        runs_after=("r3", "r4"),
        note="ticket 7",
        expectation="version: 1\nlost: any\n",
        guarded=(2,),
    )


def begun(ledger: Ledger, run_id: str) -> Run:
    """A bulk run that its worker has begun."""
    queue = queue_of(Mode.BULK)
    ledger.announce(worker_of(queue), queue, Mode.BULK, 1)
    ledger.promote(leading(ledger), [Choice(run_id, Mode.BULK, queue)])
    run = ledger.begin(run_id, worker_of(queue))
    assert run is not None
    return run


def answer(ledger: Ledger, runs: Iterable[str], facts: str, cells: Mapping[int, BulkService] | None = None) -> None:
    """Answer the questions of bulk runs. `cells` has the answers by line; all others are YES."""
    for run_id in runs:
        run = begun(ledger, run_id)
        answers = []
        for question in ledger.questions(run_id):
            asked, found = question.asked, []
            for service in asked.services:
                one = (cells or {}).get(question.line, cell())
                found.append(cell(one.result, service=str(service), by=" ".join(one.blocked_by), rule=one.rule))
            ports = {"source_port": asked.source_port}
            worst = "NO" if any(one.result == "NO" for one in found) else found[0].result
            answers.append(
                BulkAnswer(question.line, asked.source, asked.destination, worst, tuple(found), **ports)  # type: ignore[arg-type]
            )
        result = BulkResult(run_id=run_id, facts=facts, answers=tuple(answers), rules=(a_rule(),), notes=())
        assert ledger.finish(run_id, run.token, Answer("NO", encode_bulk(result), facts=facts))


def answer_both(
    ledger: Ledger,
    change: Change,
    *,
    before: Mapping[int, BulkService] | None = None,
    after: Mapping[int, BulkService] | None = None,
) -> None:
    """Answer all questions of a comparison."""
    answer(ledger, change.runs_before, change.before, before)
    answer(ledger, change.runs_after, change.after, after)
