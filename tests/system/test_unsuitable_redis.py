"""Every process refuses an unsuitable Redis server and warns of one that loses data, in one plain sentence."""

from __future__ import annotations

import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.runs import all_up
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import ROOT, Web
from tests.system.running import REACHQ, clean_environment

PROCESSES = {
    "web": [sys.executable, "-m", "app"],
    "dispatcher": [sys.executable, "-m", "compat_dispatcher"],
    "workers": [sys.executable, "-m", "workers", "--quick", "1", "--detailed", "0"],
    "up": [str(REACHQ), "up", "--no-first"],
    "command": [str(REACHQ), "queue"],
    "doctor": [str(REACHQ), "bench", "doctor"],
}
EVICTING = "maxmemory-policy allkeys-lru"
Start = Callable[..., Server]


class OldRedis(socketserver.ThreadingTCPServer):
    """Speaks RESP like Redis 6.2, as far as a client checks before it refuses the server."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _OldRedisConnection)
        self.url = f"redis://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _OldRedisConnection(socketserver.StreamRequestHandler):
    INFO = "redis_version:6.2.14\r\nredis_mode:standalone\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2].decode())
            self.wfile.write(self.answer(words[0].upper()).encode())

    def answer(self, command: str) -> str:
        if command == "INFO":
            return f"${len(self.INFO)}\r\n{self.INFO}\r\n"
        if command in ("EVALSHA", "EVAL"):
            return "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'\r\n"
        return {"CONFIG": "*2\r\n$4\r\nsave\r\n$0\r\n\r\n", "GET": "$-1\r\n"}.get(command, "+OK\r\n")


@pytest.fixture
def old_redis() -> Iterator[OldRedis]:
    server = OldRedis()
    yield server
    server.shutdown()
    server.server_close()


def environment(url: str, data: Path) -> dict[str, str]:
    return clean_environment() | {"REACHQ_REDIS_URL": url, "REACHQ_DATA": str(data), "REACHQ_PORT": "0"}


def refused(name: str, url: str, data: Path) -> tuple[int, str]:
    done = subprocess.run(
        PROCESSES[name],
        cwd=ROOT,
        env=environment(url, data),
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_cluster_is_refused(name: str, start_server: Start, tmp_path: Path) -> None:
    code, output = refused(name, start_server("--cluster-enabled", "yes").url, tmp_path)
    assert code != 0
    assert output.count("Redis runs in Cluster mode, and reachq needs all its keys on one server") == 1, output
    assert "Traceback" not in output


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_an_old_version_is_refused(name: str, old_redis: OldRedis, tmp_path: Path) -> None:
    code, output = refused(name, old_redis.url, tmp_path)
    assert code != 0
    assert output.count("Redis has version 6.2.14, and reachq needs 7.0 or newer; upgrade it") == 1, output
    assert "Traceback" not in output


@pytest.mark.parametrize("name", ["web", "dispatcher", "workers"])
def test_a_process_warns_of_an_evicting_server_and_runs(name: str, start_server: Start, tmp_path: Path) -> None:
    server = start_server("--maxmemory-policy", "allkeys-lru", aof=False)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            PROCESSES[name], cwd=ROOT, env=environment(server.url, tmp_path), stdout=output, stderr=output
        )
    try:
        wait_until(lambda: EVICTING in log.read_text(), 20, f"{name} warns of the policy")
        assert "Redis keeps nothing on disk" in log.read_text()
        with server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory-policy", "volatile-lru")
        wait_until(lambda: "maxmemory-policy volatile-lru" in log.read_text(), 20, f"{name} looks again")
        assert log.read_text().count(EVICTING) == 1, "once, not with every look"
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(patience(15))


def test_readyz_and_the_doctor_and_status_say_it(start_server: Start, tmp_path: Path) -> None:
    server = start_server("--maxmemory-policy", "allkeys-lru")
    sentence = f"Redis deletes keys when its memory is full ({EVICTING})"
    for words in (("bench", "status"), ("bench", "doctor")):
        done = subprocess.run(
            [REACHQ, *words],
            env=environment(server.url, tmp_path),
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )
        assert sentence in done.stdout, done.stdout + done.stderr
    web = Web(server.url, tmp_path)
    try:
        answer = web.get("/readyz", token=None)
        assert answer.status == 503, "no dispatcher runs"
        assert any(sentence in warning for warning in answer.json["warnings"]), answer.json
        with Ledger.connect(load_settings(redis_url=server.url, data=tmp_path)) as ledger:

            def ready() -> bool:
                all_up(ledger)
                return web.get("/readyz", token=None).status == 200

            wait_until(ready, 10, "it is ready")
            all_up(ledger)
        answer = web.get("/readyz", token=None)
        assert any(sentence in warning for warning in answer.json["warnings"]), answer.json
        with server.client() as client:
            client.config_set("maxmemory", 1)
            client.config_set("maxmemory-policy", "noeviction")
        wait_until(
            lambda: (
                "Redis has no memory left, so no new run can be accepted"
                in web.get("/readyz", token=None).body.decode()
            ),
            10,
            "readyz says that nothing can be accepted",
        )
        answer = web.get("/readyz", token=None)
        assert (answer.status, answer.json["errors"][0]["field"]) == (503, "redis")
        with server.client() as client:
            client.config_set("maxmemory", 0)
        wait_until(
            lambda: "no memory left" not in web.get("/readyz", token=None).body.decode(), 10, "there is memory again"
        )
    finally:
        web.stop()


def test_a_server_that_is_replaced_while_a_dispatcher_runs(start_server: Start, tmp_path: Path) -> None:
    """The dispatcher ends with the sentence; what keeps it alive starts it again, and it refuses again."""
    good, clustered = start_server(), start_server("--cluster-enabled", "yes")
    link = tmp_path / "redis.sock"
    link.symlink_to(good.socket)
    process = subprocess.Popen(
        PROCESSES["dispatcher"],
        cwd=ROOT,
        env=environment(f"unix://{link}", tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    with good.client() as client:
        wait_until(lambda: client.exists("reachq:main:leader"), 20, "it leads")
    new = tmp_path / "new.sock"
    new.symlink_to(clustered.socket)
    os.replace(new, link)
    good.kill9()
    _, output = process.communicate(timeout=patience(30))
    assert process.returncode == 2
    assert "Redis runs in Cluster mode" in output
