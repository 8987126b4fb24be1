"""Redis goes back to an older state while the bench continues: its fences are ahead, and no run fails because of that."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.runs.run import Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support import old_state
from tests.support.bench_system import System
from tests.support.parts import Parts
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.support.waiting import wait_until

BEFORE, BETWEEN, AFTER = 5, 60, 60
SURVIVES_MS = 30_000
"""Lifetime of a leadership lock that is still held when Redis is back: no new term begins."""


def answered(system: System, count: int) -> list[Run]:
    runs = system.submit(count)
    wait_until(lambda: system.ended(runs), 30, f"all {count} are answered")
    return runs


def without_a_lost_attempt(system: System, runs: list[Run]) -> None:
    now = [system.ledger.run(run.id) for run in runs]
    assert {(run.state, run.attempt) for run in now} == {(State.DONE, 1)}


@pytest.mark.parametrize("leader_ms", [1500, SURVIVES_MS], ids=["a new term", "the lock survives"])
def test_a_restored_backup_costs_no_run_an_attempt(aof_server: Server, tmp_path: Path, leader_ms: int) -> None:
    settings = load_settings(redis_url=aof_server.url, data=tmp_path)
    with Ledger.connect(settings) as ledger, Parts(settings) as parts:
        system = System(parts, ledger, leader_ms=leader_ms)
        system.bench()
        system.workers(8)
        answered(system, BEFORE)
        go_back = old_state.remembered(aof_server, tmp_path)
        answered(system, BETWEEN)
        go_back()
        without_a_lost_attempt(system, answered(system, AFTER))
        ledger.trim()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A server and its replica."""
    port = free_port()
    master = Server(options=("--port", str(port), "--repl-diskless-sync-delay", "0")).start()
    replica = Server(options=("--replicaof", f"127.0.0.1 {port}")).start()
    yield master, replica
    replica.stop()
    master.stop()


@pytest.mark.parametrize("leader_ms", [1500, SURVIVES_MS], ids=["a new term", "the lock survives"])
def test_a_replica_that_lagged_behind_costs_no_run_an_attempt(
    pair: tuple[Server, Server], tmp_path: Path, leader_ms: int
) -> None:
    master, replica = pair
    with Proxy(master.socket) as proxy:
        settings = load_settings(redis_url=proxy.url, data=tmp_path)
        with Ledger.connect(settings) as ledger, Parts(settings) as parts:
            system = System(parts, ledger, leader_ms=leader_ms)
            system.bench()
            system.workers(8)
            answered(system, BEFORE)
            old_state.caught_up(master, replica)
            with replica.client() as client:
                client.replicaof("NO", "ONE")
            answered(system, BETWEEN)
            proxy.move_to(replica.socket)
            without_a_lost_attempt(system, answered(system, AFTER))
