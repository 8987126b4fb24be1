"""Dispatchers, workers, pool and server killed or stopped at the worst moment: no run is lost or answered twice."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ledger.errors import StoreUnavailable
from ledger.events import Kind
from ledger.redis.scripts import BEGIN
from ledger.runs.run import Run, State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support import history, leaks
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.proxy import Proxy
from tests.support.runs import a_request
from tests.support.server import Server
from tests.support.waiting import wait_until


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as started:
        yield started


def submit(ledger: Ledger, count: int = 1) -> list[Run]:
    return [ledger.submit(a_request())[0] for _ in range(count)]


def done(ledger: Ledger, runs: list[Run]) -> bool:
    return all(ledger.run(run.id).state is State.DONE for run in reversed(runs))


def answered_once(ledger: Ledger, runs: list[Run]) -> None:
    assert history.count(ledger, Kind.FINISHED) == {run.id: 1 for run in runs}
    assert history.incompatible(ledger) == []
    assert not any(lane.leased for lane in ledger.lanes())


@pytest.mark.parametrize("attempt", range(3))
def test_another_leads_within_two_seconds_of_a_killed_leader(ledger: Ledger, parts: Parts, attempt: int) -> None:
    dispatchers = {process.pid: process for process in (parts.dispatcher(), parts.dispatcher(), parts.dispatcher())}
    parts.pool(4, hold_ms=20)
    leader = dispatchers[wait_until(parts.leader_pid, 5, "one leads")]
    runs = submit(ledger, 50)
    leader.kill()
    killed = time.monotonic()
    wait_until(lambda: parts.leader_pid() not in (0, leader.pid), 3, "another leads")
    assert time.monotonic() - killed < patience(2)
    wait_until(lambda: done(ledger, runs), 10, "all are answered")
    answered_once(ledger, runs)


def test_a_leader_that_was_stopped_does_nothing_when_it_wakes(ledger: Ledger, parts: Parts) -> None:
    first = parts.dispatcher()
    wait_until(lambda: parts.leader_pid() == first.pid, 5, "the first leads")
    second = parts.dispatcher()
    first.send_signal(signal.SIGSTOP)
    wait_until(lambda: parts.leader_pid() == second.pid, 5, "the second leads")
    runs = submit(ledger, 60)
    first.send_signal(signal.SIGCONT)
    parts.pool(4, hold_ms=10)
    wait_until(lambda: done(ledger, runs), 10, "all are answered")
    answered_once(ledger, runs)
    promoted = history.count(ledger, Kind.PROMOTED)
    assert set(promoted.values()) == {1}
    assert [event.fields["epoch"] for event in history.all_events(ledger) if event.kind is Kind.LED] == ["1", "2"]


def test_the_run_of_a_killed_worker_is_answered_on_the_next_attempt(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(2, hold_ms=700)
    (run,) = submit(ledger)
    parts.in_state(run, State.RUNNING)
    parts.worker_of(run).kill()
    killed = time.monotonic()
    wait_until(lambda: ledger.run(run.id).attempt == 2, 6, "the next attempt")
    assert time.monotonic() - killed < patience(5)
    assert parts.in_state(run, State.DONE).attempt == 2
    answered_once(ledger, [run])
    wait_until(lambda: parts.alive() == 2, 5, "the worker has been replaced")
    runs = submit(ledger, 6)
    wait_until(lambda: done(ledger, runs), 10, "both workers work")


def test_a_worker_stopped_and_woken_changes_nothing(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(2, hold_ms=700)
    (run,) = submit(ledger)
    parts.in_state(run, State.RUNNING)
    worker = parts.worker_of(run)
    worker.suspend()
    stopped = time.monotonic()
    wait_until(
        lambda: not any(lane.leased for lane in ledger.lanes()) or ledger.run(run.id).attempt > 1, 6, "it is back"
    )
    assert time.monotonic() - stopped < patience(5)
    answered = parts.in_state(run, State.DONE)
    assert answered.attempt == 2
    assert not answered.worker.endswith(f".{worker.pid}")
    wait_until(lambda: time.monotonic() - stopped > 10, 11, "ten seconds have passed")
    worker.resume()
    wait_until(lambda: parts.alive() == 2, 5, "it is alive again")
    runs = submit(ledger, 4)
    wait_until(lambda: done(ledger, runs), 10, "it works again")
    answered_once(ledger, [run, *runs])
    assert worker.is_running()
    assert ledger.run(run.id) == answered


def test_a_lost_reply_to_begin_costs_no_attempt(ledger: Ledger, parts: Parts, server: Server) -> None:
    parts.dispatcher()
    with Proxy(server.socket) as proxy:
        parts.pool(1, hold_ms=0, redis_url=proxy.url)
        (first,) = submit(ledger)
        parts.in_state(first, State.DONE)
        proxy.lose_reply_to(BEGIN.sha)
        (run,) = submit(ledger)
        assert parts.in_state(run, State.DONE).attempt == 1
        assert proxy.lost.is_set(), "the reply was lost"
    answered_once(ledger, [first, run])
    assert history.count(ledger, Kind.BEGUN) == {first.id: 1, run.id: 1}


def test_a_run_that_kills_every_worker_fails_in_the_end(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    parts.pool(2, hold_ms=60_000, lease_ms=600, renew_ms=200)
    (run,) = submit(ledger)
    for attempt in (1, 2, 3):
        wait_until(functools.partial(lambda n: ledger.run(run.id).attempt == n, attempt), 8, f"attempt {attempt}")
        parts.in_state(run, State.RUNNING)
        parts.worker_of(run).kill()
    failed = parts.in_state(run, State.FAILED)
    assert "attempt 3 of 3" in failed.error
    assert not any(lane.leased for lane in ledger.lanes())


def test_no_worker_outlives_its_pool(ledger: Ledger, parts: Parts) -> None:
    pool = parts.pool(8, 1)
    children = psutil.Process(pool.pid).children(recursive=True)
    assert len(children) == 9
    pool.kill()
    _, alive = psutil.wait_procs(children, timeout=patience(2))
    assert [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_runs_survive_a_pool_killed_and_started_again(ledger: Ledger, parts: Parts) -> None:
    parts.dispatcher()
    pool = parts.pool(8, hold_ms=30)
    runs = submit(ledger, 60)
    wait_until(lambda: len(history.count(ledger, Kind.FINISHED)) > 10, 5, "some are answered")
    pool.kill()
    pool.wait()
    parts.start("tests.support.stand_in_pool", quick=8, detailed=0)
    wait_until(lambda: done(ledger, runs), 20, "all are answered")
    answered_once(ledger, runs)
    assert {worker.queue for worker in ledger.workers()} == {f"main-quick-{n}" for n in range(1, 9)}


@pytest.fixture
def kept(aof_server: Server, tmp_path: Path) -> Settings:
    """Settings for a server that keeps its data after a kill."""
    return load_settings(redis_url=aof_server.url, data=tmp_path)


def test_no_run_is_lost_or_doubled_when_the_server_is_killed(aof_server: Server, kept: Settings) -> None:
    with Ledger.connect(kept) as ledger, Parts(kept) as parts:
        parts.dispatcher()
        parts.dispatcher()
        parts.pool(8, hold_ms=40)
        runs = submit(ledger, 100)
        wait_until(lambda: len(history.count(ledger, Kind.FINISHED)) > 20, 5, "some are answered")
        aof_server.kill9()
        with pytest.raises(StoreUnavailable):
            ledger.ping()
        aof_server.start()
        wait_until(lambda: done(ledger, runs), 20, "all are answered")
        answered_once(ledger, runs)
        assert parts.leader_pid()
        wait_until(lambda: parts.alive() == 8, 5, "every worker is back")
    with aof_server.client() as client:
        assert leaks.broken_invariants(client) == []
