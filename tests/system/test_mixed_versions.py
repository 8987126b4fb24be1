"""Processes of two versions refuse to work together, each with the reason and the remedy, and lose no run."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis

from ledger.redis.keys import LAYOUT, LAYOUT_KEY
from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.runs import submitted
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import ROOT, Web
from tests.system.running import System
from tests.system.test_unsuitable_redis import PROCESSES, environment

WORKER = "Another version of reachq works with this Redis server: its worker main-quick-9 on web2; stop it, install"
DISPATCHER = "Another version of reachq works with this Redis server: its dispatcher old-7-ab12; stop it, install"
NEWER = f"A newer version of reachq has worked with this Redis server (its layout is {LAYOUT + 1}, that of this"
Older = Callable[[redis.Redis], AbstractContextManager[None]]
REMEDY = "install the newer version on this machine, and start its processes again"


@contextmanager
def kept_alive(client: redis.Redis, write: Callable[[int], object]) -> Iterator[None]:
    """Call `write` with the server's time in ms ten times a second, as a live process of an older version would."""
    over = threading.Event()

    def keep() -> None:
        while True:
            seconds, micros = client.time()
            write(seconds * 1000 + micros // 1000)
            if over.wait(0.1):
                return

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def older_worker(client: redis.Redis) -> Iterator[None]:
    """A live worker whose record has no layout. At the end it is killed: its heartbeat remains."""

    def announce(now_ms: int) -> None:
        client.hset(
            "reachq:main:worker:main-quick-9", mapping={"name": "main-quick-9.a.7", "mode": "quick", "host": "web2"}
        )
        client.zadd("reachq:main:workers", {"main-quick-9": now_ms})

    with kept_alive(client, announce):
        wait_until(lambda: client.zscore("reachq:main:workers", "main-quick-9"), 10, "it is announced")
        yield


@contextmanager
def older_dispatcher(client: redis.Redis) -> Iterator[None]:
    """A live leader whose lock has no layout. At the end it is killed: its lock expires."""
    with kept_alive(client, lambda now_ms: client.set("reachq:main:leader", "old-7-ab12 5", px=1500)):
        wait_until(lambda: client.get("reachq:main:leader") == "old-7-ab12 5", 10, "it leads")
        yield


def ended(process: subprocess.Popen[str], timeout_s: float = 30) -> int:
    """The exit code of a process that ends without a signal."""
    return process.wait(patience(timeout_s))


@pytest.mark.parametrize("name", ["web", "dispatcher", "workers", "up", "command", "doctor"])
@pytest.mark.parametrize(("other", "said"), [(older_worker, WORKER), (older_dispatcher, DISPATCHER)])
def test_no_process_starts_beside_one_of_an_older_version(
    settings: Settings, client: redis.Redis, tmp_path: Path, name: str, other: Older, said: str
) -> None:
    with other(client):
        done = subprocess.run(
            PROCESSES[name],
            cwd=ROOT,
            env=environment(settings.redis_url, tmp_path),
            capture_output=True,
            text=True,
            timeout=patience(30),
            check=False,
        )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert output.count(said) == 1, output
    assert "Traceback" not in output
    assert not client.exists(LAYOUT_KEY)
    client.delete("reachq:main:leader")


def test_a_system_starts_when_the_older_processes_are_gone(
    settings: Settings, ledger: Ledger, client: redis.Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who starts too early is started again, by systemd for example, until the heartbeat of the older worker is too old."""
    run = submitted(ledger)
    with Parts(settings) as parts:
        with older_worker(client):
            pool = parts.start("tests.support.stand_in_pool", quick=1, detailed=0)
            dispatcher = parts.dispatcher()
            assert ended(dispatcher) == 2
            assert ended(pool) != 0
        assert WORKER in capfd.readouterr().err
        assert ledger.run(run.id).state is State.PENDING
        wait_until(lambda: not alive(client), 15, "its heartbeat is too old")
        parts.dispatcher()
        parts.pool(1)
        assert parts.in_state(run, State.DONE, 20).attempt == 1
        assert client.get(LAYOUT_KEY) == str(LAYOUT)
        client.delete("reachq:main:worker:main-quick-9")


def alive(client: redis.Redis) -> bool:
    """Whether the older worker counts as alive."""
    seconds, micros = client.time()
    return float(client.zscore("reachq:main:workers", "main-quick-9") or 0) >= seconds * 1000 + micros // 1000 - 3000


def test_running_processes_stop_when_an_older_one_appears(
    settings: Settings, ledger: Ledger, client: redis.Redis, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    web = Web(settings.redis_url, tmp_path)
    with Parts(settings) as parts:
        try:
            dispatchers = [parts.dispatcher() for _ in range(2)]
            pool = parts.pool(1, hold_ms=600_000)
            run = submitted(ledger)
            parts.in_state(run, State.RUNNING, 20)
            waiting = submitted(ledger)
            with older_worker(client):
                assert [ended(process) for process in (*dispatchers, pool)] == [2, 2, 1]
                assert ledger.leader() is None
                assert ledger.run(run.id).state is State.PENDING, "the pool has given its run back"
                assert ledger.run(waiting.id).state is State.PENDING
                wait_until(lambda: web.get("/api/queue").status == 503, 30, "the web server refuses")
                assert "Another version of reachq works with this" in web.get("/api/queue").json["detail"]
                assert web.submit().status == 503
            assert WORKER in capfd.readouterr().err
            assert WORKER in web.log.read_text()
            wait_until(lambda: web.get("/api/queue").status == 200, 30, "the web server continues")
            parts.dispatcher()
            parts.pool(1)
            for each in (run, waiting):
                parts.in_state(each, State.DONE, 20)
        finally:
            web.stop()
    client.delete("reachq:main:worker:main-quick-9")


@pytest.fixture
def system(server: Server, tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "data", options=["--no-first"], settings={"REACHQ_REDIS_URL": server.url})
    yield system.ready()
    system.close()


def answer(system: System, path: str, accept: str = "application/json") -> tuple[int, str]:
    """Status and body of a response to the system token."""
    token = (system.data / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{system.url}{path}", headers=headers), timeout=30
        ) as reply:
            return int(reply.status), reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_whole_system_stops_when_a_newer_version_has_worked_here(system: System, server: Server) -> None:
    """The supervisor starts its processes again and again, so they work as soon as the cause is gone."""
    with Ledger.connect(load_settings(redis_url=server.url, data=system.data)) as ledger, server.client() as client:
        wait_until(lambda: answer(system, "/readyz")[0] == 200, 60, "all is up")
        assert client.get(LAYOUT_KEY) == str(LAYOUT)
        ledger.pause("test")
        runs = [submitted(ledger) for _ in range(3)] + [submitted(ledger, Mode.DETAILED)]
        client.set(LAYOUT_KEY, LAYOUT + 1)
        for part in ("dispatcher", "workers"):
            wait_until(partial(refuses, system, part), 60, f"{part} refuses")
        wait_until(lambda: answer(system, "/api/runs")[0] == 503, 30, "the web server refuses")
        for path, accept in (("/api/runs", "application/json"), ("/", "text/html"), ("/sign-in", "text/html")):
            status, body = answer(system, path, accept)
            assert status == 503, (path, body)
            assert NEWER in body, path
            assert REMEDY in body, path
        status, body = answer(system, "/readyz")
        assert status == 503
        assert NEWER in json.loads(body)["detail"]
        assert answer(system, "/healthz")[0] == 200
        refused = system.run("queue")
        assert refused.returncode == 4
        assert NEWER in refused.stderr
        assert REMEDY in refused.stderr
        wait_until(
            lambda: ledger.leader() is None and not any(worker.alive for worker in ledger.workers()), 30, "none works"
        )
        assert all(state(ledger, run) is State.PENDING for run in runs)
        assert client.get(LAYOUT_KEY) == str(LAYOUT + 1), "an older process never lowers it"

        client.set(LAYOUT_KEY, LAYOUT)
        wait_until(lambda: answer(system, "/api/runs")[0] == 200, 60, "the web server answers again")
        assert ledger.resume("test")
        for run in runs:
            wait_until(lambda run=run: state(ledger, run) is State.DONE, 90, "a run that waited is answered")  # type: ignore[misc]
        assert "Traceback" not in system.output
        assert system.end() == 0
        system.assert_gone()


def refuses(system: System, part: str) -> bool:
    """Whether a process of the system has ended with the message."""
    return re.search(rf"{part}.*\| {part}: {re.escape(NEWER)}", system.output) is not None


def state(ledger: Ledger, run: Run) -> State:
    return ledger.run(run.id).state
