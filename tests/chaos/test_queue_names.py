"""Each worker has its own queue, whenever pools start and whatever happens to their connection to Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis

from ledger.bench.processes import AnnouncedWorker
from ledger.events import Kind
from ledger.runs.records import Answer, Choice
from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support import history
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.proxy import Proxy
from tests.support.runs import a_request
from tests.support.server import Server
from tests.support.waiting import wait_until

STARTS = int(os.environ.get("REACHQ_TEST_STARTS", "20"))
WORKERS = 4


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as started:
        yield started


def submit(ledger: Ledger, count: int) -> list[Run]:
    return [ledger.submit(a_request())[0] for _ in range(count)]


def all_done(ledger: Ledger, runs: list[Run], timeout_s: float = 20) -> None:
    wait_until(lambda: all(ledger.run(run.id).state is State.DONE for run in reversed(runs)), timeout_s, "all are done")


def live(ledger: Ledger) -> list[AnnouncedWorker]:
    return [worker for worker in ledger.workers() if worker.alive]


def begun_without_a_second_try(ledger: Ledger, runs: list[Run]) -> None:
    """Check that no promotion was lost to a worker that shares a queue: each run was promoted and begun once."""
    assert {ledger.run(run.id).attempt for run in runs} == {1}
    promoted = history.count(ledger, Kind.PROMOTED)
    assert {promoted[run.id] for run in runs} == {1}


def test_pools_that_start_at_the_same_moment_share_no_queue(ledger: Ledger, parts: Parts, client: redis.Redis) -> None:
    parts.dispatcher()
    for _ in range(STARTS):
        pools = [
            parts.start("tests.support.stand_in_pool", "--hold-ms", "1", quick=WORKERS, detailed=0) for _ in range(2)
        ]
        wait_until(lambda: len(live(ledger)) == 2 * WORKERS, 15, "every worker of both pools has a queue")
        assert {worker.queue for worker in live(ledger)} == {f"main-quick-{n}" for n in range(1, 2 * WORKERS + 1)}
        runs = submit(ledger, 4 * WORKERS)
        all_done(ledger, runs)
        begun_without_a_second_try(ledger, runs)
        for pool in pools:
            pool.terminate()
        for pool in pools:
            pool.wait(timeout=patience(10))
        assert ledger.workers() == []


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.socket) as between:
        yield between


def test_a_pool_cut_from_redis_leaves_its_names_to_the_pool_that_took_them(
    ledger: Ledger, parts: Parts, proxy: Proxy
) -> None:
    parts.dispatcher()
    first = parts.pool(WORKERS, hold_ms=1, redis_url=proxy.url)
    proxy.cut()
    wait_until(lambda: live(ledger) == [], 10, "the pool that was cut off is silent")
    second = parts.pool(WORKERS, hold_ms=1)
    names = {str(worker.name): str(worker.queue) for worker in live(ledger)}
    assert set(names.values()) == {f"main-quick-{n}" for n in range(1, WORKERS + 1)}
    proxy.mend()
    wait_until(lambda: len(live(ledger)) == 2 * WORKERS, 20, "all workers of both pools have a queue")
    after = {str(worker.name): str(worker.queue) for worker in live(ledger)}
    assert len(set(after.values())) == 2 * WORKERS, "all queue names are distinct"
    assert names.items() <= after.items(), "the second pool has kept its own"
    runs = submit(ledger, 50)
    all_done(ledger, runs)
    begun_without_a_second_try(ledger, runs)
    assert first.poll() is None
    assert second.poll() is None


def test_a_stopped_worker_that_wakes_hands_on_what_it_takes_from_a_queue_that_is_another_s(
    ledger: Ledger, parts: Parts, client: redis.Redis
) -> None:
    """Between the claim of its queue and the moment when it notices, the old worker may still take a run id from it."""
    parts.pool(1)
    (old,) = ledger.workers()
    queue = str(old.queue)
    ledger.announce("its successor", queue, Mode(old.mode), 1, dead=str(old.name))
    ledger.lead("test")
    (run,) = submit(ledger, 1)
    ledger.promote(1, [Choice(run.id, run.mode, queue)])
    wait_until(
        lambda: (
            client.lrange(f"rq:queue:{queue}", 0, -1) == [run.id]
            and client.llen(f"rq:queue:{queue}:intermediate") == 0
            and len(ledger.workers()) == 2
        ),
        6,
        "the id is back in the queue, and the old worker has another queue",
    )
    assert ledger.begin(run.id, "its successor", queue) is not None
    begun = ledger.run(run.id)
    assert ledger.finish(run.id, begun.token, Answer("YES"))
