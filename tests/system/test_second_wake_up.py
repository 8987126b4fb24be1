"""A worker that dies between taking the id of its run (BLMOVE) and `begin`: the next worker of the queue processes it."""

from __future__ import annotations

import redis

from ledger.events import Kind
from ledger.runs.run import State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support import history
from tests.support.parts import Parts
from tests.support.runs import QUICK, promoted, queue_of
from tests.support.waiting import wait_until


def test_what_a_dead_worker_took_and_did_not_begin_is_done_by_the_next(settings: Settings, client: redis.Redis) -> None:
    """Fails when RunWorker.requeue_intermediate does nothing.

    No dispatcher runs and the promotion lasts a minute, so nothing else can bring the run back.
    """
    patient = load_settings(redis_url=settings.redis_url, data=settings.data, begin_ms=60_000)
    with Ledger.connect(patient) as ledger, Parts(patient) as parts:
        run = promoted(ledger, QUICK, number=1)
        name = queue_of(QUICK, 1)
        queue = f"rq:queue:{name}"
        assert client.lmove(queue, f"{queue}:intermediate") == run.id
        assert client.zadd("reachq:main:workers", {name: 1}, xx=True, ch=True), "the worker died long ago"
        parts.pool(1, hold_ms=0)
        done = parts.in_state(run, State.DONE)
        assert done.attempt == 1
        assert history.count(ledger, Kind.RETURNED) == {}
        wait_until(lambda: not client.exists(f"{queue}:intermediate"), 5, "the id is let go of")
