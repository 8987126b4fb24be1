"""Dispatchers and workers as processes while the clock of their Redis server is set forward or back by an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.events import Kind
from ledger.runs.run import Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support import history
from tests.support.clock import FakeClock, fake_clock_library, set_clock
from tests.support.parts import Parts
from tests.support.runs import a_request
from tests.support.server import Server
from tests.support.waiting import wait_until

HOUR_S = 3600
Step = Callable[[int], None]
needs_library = pytest.mark.skipif(fake_clock_library() is None, reason="libfaketime is not installed")


@pytest.fixture(params=["moved data", pytest.param("the server's clock", marks=needs_library)])
def clocked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Step]]:
    """A server, and a function that sets its clock forward (or back) by this many seconds."""
    if request.param == "moved data":
        server = Server().start()
        with server.client() as client:
            yield server, lambda seconds: set_clock(client, seconds * 1000)
    else:
        clock = FakeClock(tmp_path)
        server = Server(environment=clock.environment).start()
        yield server, clock.set
    server.stop()


def submit(ledger: Ledger, count: int) -> list[Run]:
    return [ledger.submit(a_request())[0] for _ in range(count)]


def all_done(ledger: Ledger, runs: list[Run], timeout_s: float) -> None:
    wait_until(lambda: all(ledger.run(run.id).state is State.DONE for run in reversed(runs)), timeout_s, "all are done")


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
def test_runs_go_on_and_lose_no_attempt(
    request: pytest.FixtureRequest, clocked: tuple[Server, Step], tmp_path: Path, step_s: int
) -> None:
    server, step = clocked
    if step_s > 0 and request.node.callspec.params["clocked"] == "moved data":
        pytest.skip("the leader does not see a clock that is set forward when only the data move")
    settings = load_settings(redis_url=server.url, data=tmp_path)
    with Ledger.connect(settings) as ledger, Parts(settings) as parts:
        parts.dispatcher()
        parts.pool(4, 1, hold_ms=300)
        runs = submit(ledger, 24)
        wait_until(lambda: len(history.count(ledger, Kind.FINISHED)) >= 4, 10, "some are answered")
        step(step_s)
        all_done(ledger, runs, 20)
        assert {ledger.run(run.id).attempt for run in runs} == {1}


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
def test_a_leader_and_a_worker_that_die_at_the_step_are_replaced_in_time(
    clocked: tuple[Server, Step], tmp_path: Path, step_s: int
) -> None:
    server, step = clocked
    settings = load_settings(redis_url=server.url, data=tmp_path)
    with Ledger.connect(settings) as ledger, Parts(settings) as parts:
        dispatchers = {process.pid: process for process in (parts.dispatcher(), parts.dispatcher())}
        parts.pool(2, hold_ms=1500)
        leader = wait_until(parts.leader_pid, 5, "one leads")
        (run,) = submit(ledger, 1)
        parts.in_state(run, State.RUNNING)
        worker = parts.worker_of(run)
        step(step_s)
        worker.kill()
        dispatchers[leader].kill()
        later = submit(ledger, 4)
        wait_until(lambda: parts.leader_pid() not in (0, leader), 5, "the other leads")
        all_done(ledger, [run, *later], 20)
        assert ledger.run(run.id).attempt == 2
        assert {ledger.run(one.id).attempt for one in later} == {1}
