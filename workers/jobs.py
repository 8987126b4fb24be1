"""The one job there is: take a run by its id, test it, write its end. What a run *is* stands in its record.

The promise of each step is the ledger's: `begin` gives a run to one attempt only, and everything written afterwards
carries that attempt's token, so a worker that was stopped for a while and wakes up can change nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ledger.errors import StoreDamaged, StoreFull, StoreUnavailable
from ledger.runs.run import Run
from ledger.store import Ledger
from netlab.service.client import BenchError
from workers.attempt import Drop, Hold
from workers.bench_tests import WORTH_WAITING
from workers.heartbeat import Pulse

Test = Callable[[Run, Hold], dict[str, Any]]
"""Tests a run and returns its result document; may raise BenchError; must end soon after `hold` is dropped."""

PATIENCE_S = 10.0
"""How long a finished run waits for a store that is away; then its lease has long been reaped."""

NOT_BEGUN = WORTH_WAITING | {"stale-fence"}
"""Refusals that come before the bench has begun anything of the run: they cost it no attempt."""

T = TypeVar("T")
log = logging.getLogger("reachq.workers")


@dataclass(frozen=True)
class Desk:
    """Where a worker works: its name, its queue, the ledger, its pulse, and the test it knows."""

    worker: str
    queue: str
    led: Ledger
    pulse: Pulse
    test: Test


def run(run_id: str, desk: Desk) -> bool:
    """Answer one ring of the doorbell: begin, test, write the end. Raises nothing that belongs to the run.

    False when there was nothing to do: no such run, or cancelled, reaped, another worker's by now. QueueTaken: the run
    belongs to the worker that has claimed this queue.
    """
    begun = _insist(lambda: desk.led.begin(run_id, desk.worker, desk.queue))
    if begun is None:
        return False
    with desk.pulse.holding(begun) as hold:
        settle = _attempt(begun, hold, desk)
        if settle is not None:
            _insist(settle)
    return True


def _attempt(run: Run, hold: Hold, desk: Desk) -> Callable[[], object] | None:
    """Test the run; returns the ledger call that writes its end, None when it is no longer ours to write."""
    led, run_id, token = desk.led, run.id, run.token
    hold.note = lambda phase, percent, message: _note(led, run, phase, percent, message)
    try:
        result = desk.test(run, hold)
    except BenchError as error:
        if hold.dropped is None:
            return _after_bench_error(error, run, led)
    except Exception as error:
        if hold.dropped is None:
            log.exception("run %s: the test broke", run_id)
            reason = f"{type(error).__name__}: {error}"
            return lambda: led.fail(run_id, token, reason)
    else:
        if hold.dropped in (None, Drop.STOPPING, Drop.TIMEOUT):
            return lambda: led.finish(run_id, token, result)
    return _after_drop(hold, run, led)


def _note(led: Ledger, run: Run, phase: str, percent: int, message: str) -> None:
    """Progress is for people: a store that is away does not stop the test for it."""
    with suppress(StoreUnavailable, StoreDamaged, StoreFull):
        led.progress(run.id, run.token, phase, percent, message)


def _after_bench_error(error: BenchError, run: Run, led: Ledger) -> Callable[[], object]:
    """A request that the bench refuses fails the run. A bench that dies during the test costs it this attempt, because the
    run may be the cause; a bench that has not begun the test does not. A stale fence shows that Redis has gone back to an
    older state: the ledger then continues above the fence that the bench has seen."""
    reason = f"bench: {error}"
    if error.code == "bad-request":
        return lambda: led.fail(run.id, run.token, reason)
    counts = error.code not in NOT_BEGUN
    return lambda: led.give_back(run.id, run.token, reason, counts=counts, fence_seen=error.fence)


def _after_drop(hold: Hold, run: Run, led: Ledger) -> Callable[[], object] | None:
    why = hold.dropped
    if why is Drop.CANCELLED:
        return lambda: led.stopped(run.id, run.token)
    if why is Drop.TIMEOUT:
        seconds = hold.ends - hold.begun
        return lambda: led.fail(run.id, run.token, f"no answer within {seconds:g} s (REACHQ_RUN_TIMEOUT_S)")
    if why is Drop.LOST:
        log.warning("run %s: %s", run.id, why)
        return None
    return lambda: led.give_back(run.id, run.token, str(why))


def _insist(call: Callable[[], T]) -> T:
    """Repeat a ledger call while Redis is unreachable or damaged; each is safe to repeat, by its token."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (StoreUnavailable, StoreDamaged):  # damage is repaired by the dispatcher, usually within a second
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
