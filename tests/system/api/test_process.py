"""`python -m app` as a process: how it starts, refuses to start, and ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import patience
from tests.support.server import Server
from tests.support.web import ROOT, Web


def run_app(data: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start it where it cannot run, and return its output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("REACHQ_")}
    env |= {"REACHQ_DATA": str(data), **settings}
    command = [sys.executable, "-m", "app"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=patience(20))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_app(tmp_path, REACHQ_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1:" in done.stderr
    assert "REACHQ_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"REACHQ_PORT": "99999"}, "REACHQ_PORT"),
        ({"REACHQ_TOKEN": "x"}, "REACHQ_TOKEN"),
        ({"REACHQ_REDIS_URL": "nonsense://x"}, "REACHQ_REDIS_URL"),
        ({"REACHQ_REDIS_URL": "redis://host:port"}, "REACHQ_REDIS_URL"),
        ({"REACHQ_REDIS_URL": "localhost"}, "unix:///path"),
    ],
)
def test_a_setting_that_cannot_be_used(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    done = run_app(tmp_path, **settings)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_it_starts_without_redis_and_says_so(tmp_path: Path) -> None:
    web = Web(f"unix://{tmp_path}/none.sock", tmp_path)
    try:
        assert web.get("/healthz").status == 200
        answer = web.get("/readyz")
        assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (503, ["redis"])
        for path in ("/api/runs", "/api/queue", "/api/lanes", "/api/bench", "/api/events"):
            answer = web.get(path)
            assert (answer.status, answer.json["type"]) == (503, "urn:reachq:problem:store-unavailable"), path
            assert answer.headers["retry-after"] == "1"
        answer = web.get("/rq/0/data/queues.json")
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "Traceback" not in web.log.read_text()
    finally:
        web.stop()


def test_the_first_start_makes_the_token(server: Server, tmp_path: Path) -> None:
    web = Web(server.url, tmp_path, REACHQ_TOKEN="")
    try:
        path = tmp_path / "token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert web.get("/api/runs", token=path.read_text().strip()).status == 200
        assert web.get("/api/runs").status == 401
    finally:
        web.stop()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT] * 20, [signal.SIGTERM, signal.SIGINT] * 10])
def test_signals_end_it_however_many(server: Server, tmp_path: Path, signals: list[signal.Signals]) -> None:
    web = Web(server.url, tmp_path)
    for number in signals:
        web.process.send_signal(number)
    assert web.stop() < patience(3)


def test_head_is_get_without_a_body(server: Server, tmp_path: Path) -> None:
    web = Web(server.url, tmp_path)
    try:
        for path in ("/healthz", "/api/runs", "/api/queue", "/api/events", "/rq/"):
            answer = web.call("HEAD", path)
            assert (answer.status, answer.body) == (200, b""), path
    finally:
        web.stop()
