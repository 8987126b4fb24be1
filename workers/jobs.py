"""The only job of a worker: loads a run by its id, tests it and stores how it ended.

The data of the run is in its record. The ledger protects each step: `begin` gives a run to one attempt only, and every
later write carries that attempt's token. So a worker that was suspended for a while and continues can change nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from ledger.errors import StoreDamaged, StoreFull, StoreUnavailable
from ledger.runs.records import Answer
from ledger.runs.run import Mode, Run
from ledger.store import WorkerLedger
from netlab.results import hits
from netlab.results.codec import encode
from netlab.results.document import Result
from netlab.service.client import BenchError
from workers.attempt import AttemptContext, BulkWork, StopReason
from workers.bench_tests import WORTH_WAITING
from workers.bulk import BulkOutcome
from workers.heartbeat import Heartbeat

Test = Callable[[Run, AttemptContext], Result | BulkOutcome]
"""Function that tests a run and returns its result.

It may raise BenchError, and must end soon after `attempt` is aborted.
"""

PATIENCE_S = 10.0
"""How long a finished run waits for an unreachable Redis. After that, its lease was reaped long ago."""

NOT_BEGUN = WORTH_WAITING | {"stale-fence"}
"""Codes of refusals before the bench has begun the run. These do not use up an attempt."""

T = TypeVar("T")
log = logging.getLogger("reachq.workers")


@dataclass(frozen=True)
class WorkerContext:
    """Everything that a worker uses: its name, its queue, the ledger, its heartbeat, and the test."""

    worker: str
    queue: str
    ledger: WorkerLedger
    heartbeat: Heartbeat
    test: Test


def run(run_id: str, context: WorkerContext) -> bool:
    """Process one run id: begin the run, test it, and store how it ended. Errors of the test are stored, not raised.

    Returns False if there was nothing to do, because there is no such run, or it was cancelled, reaped or begun by
    another worker. Raises QueueTaken if the run now belongs to another worker, which has claimed this queue.
    """
    begun = _retry_while_unavailable(lambda: context.ledger.begin(run_id, context.worker, context.queue))
    if begun is None:
        return False
    with context.heartbeat.holding(begun) as attempt:
        settle = _attempt(begun, attempt, context)
        if settle is not None:
            _retry_while_unavailable(settle)
    return True


def _attempt(run: Run, attempt: AttemptContext, context: WorkerContext) -> Callable[[], object] | None:
    """Test the run. Returns the ledger call that stores how it ended, or None if the attempt was lost."""
    ledger, run_id, token = context.ledger, run.id, run.token
    attempt.note = lambda phase, percent, message: _note(ledger, run, phase, percent, message)
    try:
        if run.mode is Mode.BULK:
            attempt.bulk = BulkWork(ledger.questions(run_id), lambda: _ask_snapshot(ledger, run))
        result = context.test(run, attempt)
    except BenchError as error:
        if attempt.stop_reason is None:
            return _after_bench_error(error, run, ledger)
    except Exception as error:
        if attempt.stop_reason is None:
            log.exception("run %s: the test raised an error", run_id)
            reason = f"{type(error).__name__}: {error}"
            return lambda: ledger.fail(run_id, token, reason)
    else:
        if attempt.stop_reason in (None, StopReason.STOPPING, StopReason.TIMEOUT):
            answer = answer_of(result)
            return lambda: ledger.finish(run_id, token, answer)
    return _after_drop(attempt, run, ledger)


def answer_of(result: Result | BulkOutcome) -> Answer:
    """Convert a result to the record that the store keeps."""
    if isinstance(result, BulkOutcome):
        return result.answer()
    facts = hits.facts_of(result)
    return Answer(
        verdict=result.verdict,
        document=encode(result),
        stopped_by=hits.stopped_by(result),
        facts=facts,
        hits=hits.counted(result) if facts else {},
    )


def _ask_snapshot(ledger: WorkerLedger, run: Run) -> None:
    """Have the bench of the run's snapshot kept open. The next call repeats what an unreachable Redis missed."""
    with suppress(StoreUnavailable, StoreDamaged, StoreFull):
        ledger.ask_snapshot(run.snapshot)


def _note(ledger: WorkerLedger, run: Run, phase: str, percent: int, message: str) -> None:
    """Store progress. It is only for display, so an unreachable Redis does not stop the test."""
    with suppress(StoreUnavailable, StoreDamaged, StoreFull):
        ledger.progress(run.id, run.token, phase, percent, message)


def _after_bench_error(error: BenchError, run: Run, ledger: WorkerLedger) -> Callable[[], object]:
    """Return the ledger call for a test that ended with a BenchError.

    If the bench refuses the request, the run fails. If the bench dies during the test, the run loses this attempt,
    because the run may be the cause; if the bench has not begun the test, it does not. A stale fence shows that Redis
    has gone back to an older state, so the ledger then issues fences above the one that the bench has seen.
    """
    reason = f"bench: {error}"
    if error.code == "bad-request":
        return lambda: ledger.fail(run.id, run.token, reason)
    counts = error.code not in NOT_BEGUN
    return lambda: ledger.give_back(run.id, run.token, reason, counts=counts, fence_seen=error.fence)


def _after_drop(attempt: AttemptContext, run: Run, ledger: WorkerLedger) -> Callable[[], object] | None:
    why = attempt.stop_reason
    if why is StopReason.CANCELLED:
        return lambda: ledger.stopped(run.id, run.token)
    if why is StopReason.TIMEOUT:
        seconds = attempt.ends - attempt.begun
        return lambda: ledger.fail(run.id, run.token, f"timed out after {seconds:.3g} s")
    if why is StopReason.LOST:
        log.warning("run %s: %s", run.id, why)
        return None
    return lambda: ledger.give_back(run.id, run.token, str(why))


def _retry_while_unavailable(call: Callable[[], T]) -> T:
    """Repeat a ledger call while Redis is unreachable or damaged, for up to PATIENCE_S.

    The call must be safe to repeat. The token of the attempt ensures that.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (StoreUnavailable, StoreDamaged):  # the dispatcher repairs the damage, usually within a second
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
