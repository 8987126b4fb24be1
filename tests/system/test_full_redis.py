"""A Redis without memory: running runs finish, new ones are refused, no worker restarts, and everything continues
afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from ledger.errors import StoreFull
from ledger.runs.run import Mode, State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.runs import submitted
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import Web

FULL = "Redis has no memory left, so no new run can be accepted; runs in progress finish"


@pytest.fixture
def small() -> Iterator[Server]:
    """A separate server to fill up."""
    server = Server(aof=True).start()
    yield server
    server.stop()


@pytest.fixture
def full_settings(small: Server, tmp_path: Path) -> Settings:
    return load_settings(redis_url=small.url, data=tmp_path)


@pytest.fixture
def ledger(full_settings: Settings) -> Iterator[Ledger]:
    with Ledger.connect(full_settings) as ledger:
        yield ledger


@contextmanager
def served(server: Server, data: Path) -> Iterator[Web]:
    web = Web(server.url, data)
    try:
        yield web
    finally:
        web.stop()


def fill(client: redis.Redis) -> None:
    """Store junk and set a limit well below what is used then: everything that needs memory is refused."""
    for number in range(400):
        client.set(f"junk:{number}", "x" * 10_000)
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - 1_000_000)


def empty(client: redis.Redis) -> None:
    for key in client.scan_iter("junk:*", count=1000):
        client.delete(key)


def pids(ledger: Ledger) -> dict[str, int]:
    return {worker.queue: worker.pid for worker in ledger.workers() if worker.alive}


def test_a_full_redis(small: Server, full_settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    with Parts(full_settings) as parts, small.client() as client, served(small, tmp_path) as web:
        parts.dispatcher()
        pool = parts.pool(3, 1, hold_ms=6000, run_timeout_s=60)
        before = pids(ledger)
        detailed = submitted(ledger, Mode.DETAILED)
        parts.in_state(detailed, State.RUNNING)
        waiting = submitted(ledger)

        fill(client)
        with pytest.raises(StoreFull):
            submitted(ledger)
        answer = web.submit()
        assert (answer.status, answer.json["type"]) == (503, "urn:reachq:problem:store-full")
        running = ledger.run(detailed.id)
        assert ledger.progress(detailed.id, running.token, "probe", 50, "half of it")
        wait_until(lambda: FULL in web.get("/readyz", token=None).body.decode(), 10, "readyz says it")
        assert web.get("/readyz", token=None).status == 503

        parts.in_state(detailed, State.DONE, 20)
        wait_until(lambda: ledger.run(waiting.id).wait_code == "redis-full", 10, "the waiting run says why it waits")
        quiet = time.monotonic() + 3  # a restart loop takes a second a turn
        wait_until(lambda: time.monotonic() > quiet, 10, "some time has passed")
        assert pids(ledger) == before
        assert pool.poll() is None

        empty(client)
        parts.in_state(waiting, State.DONE, 30)
        later = submitted(ledger, Mode.DETAILED)
        parts.in_state(later, State.DONE, 30)
        assert pids(ledger) == before
        assert ledger.health().why_not(Mode.QUICK) == ""


def test_a_worker_that_starts_while_redis_is_full_waits_in_its_process(
    small: Server, full_settings: Settings, ledger: Ledger
) -> None:
    with Parts(full_settings) as parts, small.client() as client:
        ledger.lead("x")
        client.delete("reachq:main:leader")
        fill(client)
        parts.pool(2, 0)
        before = pids(ledger)
        quiet = time.monotonic() + 3
        wait_until(lambda: time.monotonic() > quiet, 10, "some time has passed")
        assert pids(ledger) == before
        empty(client)
        parts.dispatcher()
        run = submitted(ledger)
        parts.in_state(run, State.DONE, 20)
        assert pids(ledger) == before
