"""A dead connection that neither end notices: a firewall drops its packets, or the other host is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.events import Kind
from ledger.runs.run import Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support import history
from tests.support.parts import Parts
from tests.support.proxy import Proxy, blocks_for_runs
from tests.support.runs import a_request
from tests.support.server import Server
from tests.support.waiting import wait_until

ROUNDS = 5


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as started:
        yield started


def all_done(ledger: Ledger, runs: list[Run], timeout_s: float) -> None:
    wait_until(lambda: all(ledger.run(run.id).state is State.DONE for run in reversed(runs)), timeout_s, "all are done")


def test_workers_whose_blocking_connection_is_dead_lose_no_run(ledger: Ledger, parts: Parts, server: Server) -> None:
    """Only that connection loses its traffic; the worker's heartbeats continue. It used to take 45 s until this was
    noticed.
    """
    parts.dispatcher()
    with Proxy(server.socket) as proxy:
        parts.pool(2, 1, hold_ms=0, redis_url=proxy.url)
        names = {worker.name for worker in ledger.workers()}
        for _ in range(ROUNDS):
            wait_until(lambda: proxy.count(blocks_for_runs) == 3, 10, "every worker waits for a run")
            assert proxy.swallow(blocks_for_runs) == 3
            runs = [ledger.submit(a_request())[0] for _ in range(2)]
            all_done(ledger, runs, 10)
            assert {ledger.run(run.id).attempt for run in runs} == {1}
        assert {worker.name for worker in ledger.workers() if worker.alive} == names, "no worker was replaced"
        returned = history.count(ledger, Kind.RETURNED)
        assert not returned, "each run was begun before its deadline"


def test_a_connection_that_dies_during_a_run_replaces_no_worker(ledger: Ledger, parts: Parts, server: Server) -> None:
    """The worker's next use of it is to remove the id of the run from RQ's list, after the result was stored."""
    parts.dispatcher()
    with Proxy(server.socket) as proxy:
        parts.pool(1, 0, hold_ms=300, redis_url=proxy.url)  # shorter than the first heartbeat, which uses it too
        names = {worker.name for worker in ledger.workers()}
        for _ in range(2):
            run, _ = ledger.submit(a_request())
            parts.in_state(run, State.RUNNING)
            assert proxy.swallow(blocks_for_runs) == 1
            all_done(ledger, [run], 10)
            assert ledger.run(run.id).attempt == 1
        wait_until(lambda: not server_keys(server, "rq:wip:*"), 10, "no id is left in RQ's list")
        assert {worker.name for worker in ledger.workers() if worker.alive} == names, "no worker was replaced"


def server_keys(server: Server, pattern: str) -> list[str]:
    with server.client() as client:
        return [str(key) for key in client.scan_iter(pattern)]
