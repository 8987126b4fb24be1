"""The test of a bulk run: sends all its questions to the bench, in one attempt, and collects the answers."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from ledger.runs.records import Answer
from ledger.runs.run import Run
from netlab.results import hits
from netlab.results.bulk import BulkAnswers, BulkResult, encode_bulk
from netlab.service.address import is_abstract
from netlab.service.client import BenchClient
from netlab.service.line import BenchError
from netlab.service.requests import AskedQuestion, RequestedService
from workers.attempt import AttemptContext

NOTE_S = 0.3
"""Minimum time between two messages of progress."""
BENCH_S = 120.0
"""How long a run waits for the bench of the snapshot that it names. A bench of 300 routers is built in some seconds."""
ASK_S = 20.0
"""Interval at which a waiting run repeats that it needs the bench."""
PAUSE_S = 0.05


@dataclass(frozen=True)
class BulkOutcome:
    """The result of a bulk run, and {name of a rule: hits} over all its questions."""

    result: BulkResult
    hits: dict[str, int]

    def answer(self) -> Answer:
        """Convert it to the record that the store keeps."""
        return Answer(
            verdict=self.result.verdict,
            document=encode_bulk(self.result),
            stopped_by=", ".join(f"{count} {verdict}" for verdict, count in self.result.counts.items()),
            facts=self.result.facts,
            hits=self.hits,
        )


def snapshot_address(bench: str, facts: str) -> str:
    """Return the address of the bench of a snapshot, beside the address of the current bench."""
    stem, dot, suffix = bench.rpartition(".")
    return f"{stem}-{facts}{dot}{suffix}"


def ask_all(run: Run, attempt: AttemptContext, client: BenchClient, *, rules: bool) -> BulkOutcome:
    """Send all questions and return the answers. Raises BenchError if the bench does not answer all of them."""
    assert run.dscp is not None, "a promoted bulk run has a lane"
    began, noted = time.monotonic(), 0.0
    asked = [
        AskedQuestion(
            question.asked.source,
            question.asked.destination,
            tuple(RequestedService(service.port, service.protocol) for service in question.asked.services),
            question.asked.source_port,
        )
        for question in attempt.bulk.questions
    ]
    answers, counted = BulkAnswers(), Counter[str]()
    with (
        client.attempt(run_id=run.id, mode=str(run.mode), lane=run.dscp, fence=run.fence) as on_bench,
        attempt.closing(on_bench.close),
    ):
        results = on_bench.bulk(asked, rules=rules)
        for number, (question, result) in enumerate(zip(attempt.bulk.questions, results, strict=True), 1):
            if run.snapshot and result.facts != run.snapshot:
                raise BenchError(
                    "bad-reply", f"the bench has the facts {result.facts}, not the snapshot {run.snapshot}"
                )
            answers.add(question.line, result)
            counted.update(hits.counted(result))
            attempt.extend()
            if time.monotonic() - noted > NOTE_S:
                noted = time.monotonic()
                attempt.note("ask", 100 * number // len(asked), f"{number} of {len(asked)} questions answered")
    total_ms = {"total": round((time.monotonic() - began) * 1e3, 3)}
    return BulkOutcome(answers.result(run.id, total_ms), dict(counted.most_common(hits.NAMES_MAX)))


def wait_for_bench(run: Run, attempt: AttemptContext, address: str) -> None:
    """Wait until the bench of the run's snapshot is there. Raises BenchError if it is not built in time.

    Returns early if the attempt is aborted.
    """
    if is_abstract(address):
        raise BenchError("bad-request", "this host has no bench service, so it can only ask its own bench")
    client, began, asked = BenchClient(address, timeout_s=2.0), time.monotonic(), 0.0
    while True:
        if time.monotonic() - asked > ASK_S:
            asked = time.monotonic()
            attempt.bulk.ask_snapshot()
        try:
            client.status()
            return
        except BenchError as error:
            if time.monotonic() - began > BENCH_S:
                why = f"the bench of snapshot {run.snapshot} was not built within {BENCH_S:g} s ({error})"
                raise BenchError("bad-request", why) from None
        attempt.extend()
        if attempt.wait(PAUSE_S):
            return
