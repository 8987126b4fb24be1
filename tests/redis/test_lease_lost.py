"""A worker stops its test when the lease is lost, or when it cannot know: without waiting in the test.

The test that the worker runs ends only when it is aborted, so a worker that goes on is noticed because it never ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
import redis

from ledger.runs.records import Choice, Promotion, Renewal
from ledger.runs.run import Run, State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger, WorkerLedger
from netlab.results.document import Result
from tests.support.patience import patience
from tests.support.proxy import Proxy
from tests.support.results import read
from tests.support.runs import QUICK, leading, overdue, queue_of, submitted, worker_of
from tests.support.server import Server
from tests.support.stand_in_pool import answered
from workers import jobs
from workers.attempt import AttemptContext, StopReason
from workers.heartbeat import Heartbeat
from workers.jobs import WorkerContext

QUEUE, WORKER = queue_of(QUICK), worker_of(queue_of(QUICK))


class Dropped(Exception):
    """How the test ends once it is aborted."""


class Working:
    """One worker in a thread, with its heartbeat, and a test that lasts until it is aborted."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.begun, self.why = threading.Event(), list[StopReason | None]()
        self.heartbeat = Heartbeat(settings, WORKER, QUEUE, QUICK, 1)
        self._desk = WorkerContext(WORKER, QUEUE, ledger, self.heartbeat, self._test)

    def _test(self, run: Run, hold: AttemptContext) -> NoReturn:
        self.begun.set()
        hold.wait(patience(15))
        self.why.append(hold.stop_reason)
        raise Dropped

    @contextmanager
    def on(self, run: Run) -> Iterator[threading.Thread]:
        """Work on a promoted run inside the block; yields the thread."""
        thread = threading.Thread(target=jobs.run, args=(run.id, self._desk))
        self.heartbeat.start()
        thread.start()
        assert self.begun.wait(patience(5))
        yield thread
        thread.join(patience(20))
        assert not thread.is_alive()
        self.heartbeat.close()


@pytest.fixture
def given(ledger: Ledger) -> Run:
    """A run promoted to WORKER's queue."""
    run = submitted(ledger)
    ledger.announce(WORKER, QUEUE, QUICK, 1)
    (outcome,) = ledger.promote(leading(ledger), [Choice(run.id, QUICK, QUEUE)])
    assert outcome.status is Promotion.PROMOTED
    return ledger.run(run.id)


def test_a_worker_that_has_lost_its_lease_stops_and_writes_nothing(
    settings: Settings, ledger: Ledger, client: redis.Redis, given: Run
) -> None:
    """Fails when Heartbeat._renew does not abort the test of a lost lease."""
    working = Working(settings, ledger)
    with working.on(given):
        overdue(client, given.id)
        while not (reaped := ledger.reap(leading(ledger))):  # until it hits between two renewals
            overdue(client, given.id)
        assert [one.run_id for one in reaped] == [given.id]
        before = ledger.run(given.id)
    assert working.why == [StopReason.LOST]
    assert before.state is State.PENDING
    assert ledger.run(given.id) == before


def test_a_worker_that_cannot_renew_stops_before_its_lease_ends(server: Server, ledger: Ledger, given: Run) -> None:
    """Fails when Heartbeat._reach does not abort the test after CUT_OFF_MS: the lease lasts a minute, so nothing else
    ends it.
    """
    with Proxy(server.socket) as proxy:
        settings = load_settings(redis_url=proxy.url, lease_ms=60_000)
        working = Working(settings, ledger)
        with working.on(given):
            proxy.cut()
        proxy.mend()
    assert working.why == [StopReason.CUT_OFF]
    after = ledger.run(given.id)
    assert (after.state, after.attempt) == (State.PENDING, 1), (
        "the worker itself can still reach Redis: it gives it back"
    )


def test_progress_that_cannot_be_noted_does_not_end_the_test(
    server: Server, settings: Settings, ledger: Ledger, given: Run
) -> None:
    """Fails when jobs._note raises for an unreachable Redis: the run would fail although its test succeeds."""
    with Proxy(server.socket) as proxy, Ledger.connect(load_settings(redis_url=proxy.url)) as lossy:

        def test(run: Run, attempt: AttemptContext) -> Result:
            proxy.lose_reply_to("half way")
            attempt.note("walk", 50, "half way")
            assert proxy.lost.wait(patience(5))
            return read(answered(run))

        heartbeat = Heartbeat(settings, WORKER, QUEUE, QUICK, 1)
        heartbeat.start()
        assert jobs.run(given.id, WorkerContext(WORKER, QUEUE, lossy, heartbeat, test))
        heartbeat.close()
    assert ledger.run(given.id).state is State.DONE


def test_a_lease_counts_from_the_question_however_late_the_answer(
    settings: Settings, ledger: Ledger, given: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when Heartbeat._renew counts from the reply: the worker would abort its test later than the lease allows."""
    begun = ledger.begin(given.id, WORKER, QUEUE)
    assert begun is not None
    heartbeat = Heartbeat(settings, WORKER, QUEUE, QUICK, 1)
    asked = list[float]()
    renew = WorkerLedger.renew

    def late(ledger: WorkerLedger, run_id: str, token: str) -> Renewal:
        asked.append(time.monotonic())
        return renew(ledger, run_id, token)

    monkeypatch.setattr(WorkerLedger, "renew", late)
    with heartbeat.holding(begun) as hold:
        heartbeat._renew(hold)
        assert hold.renewed <= asked[0]
    heartbeat._ledger.close()
