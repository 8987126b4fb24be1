"""The web server as a separate process, and a client that shows exactly what was received."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from app.factory import create_app
from app.integrations.metrics import Metrics
from app.live.feed import Feed
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.kernel import prctl
from tests.support.patience import patience

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "test-token-0123456789"
QUESTION = {"source": "10.1.10.20", "destination": "10.3.20.8", "services": "443/tcp,53/udp"}


def _die_with_parent() -> None:
    prctl.set_parent_death_signal(signal.SIGKILL)


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Web:
    """`python -m app` on a port of its own, against the Redis at `redis_url`."""

    def __init__(self, redis_url: str, data: Path, *, wait: bool = True, **more: str) -> None:
        """With `wait=False` it is only started; call `wait_ready` then."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("REACHQ_")}
        env |= {"REACHQ_REDIS_URL": redis_url, "REACHQ_DATA": str(data), "REACHQ_PORT": "0"}
        env |= {"REACHQ_TOKEN": TOKEN, "REACHQ_HEARTBEAT_S": "0.2"} | more
        self.log = data / "web.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app"],
                cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, preexec_fn=_die_with_parent,
            )  # fmt: skip
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it reports that it is ready, and where."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"web ready: http://127\.0\.0\.1:(\d+)\n", line)
        assert found, f"{line!r}\n{self.log.read_text()}"
        self.port = int(found[1])

    def stop(self) -> float:
        """Send SIGTERM; returns the seconds until it ended with exit code 0."""
        began = time.monotonic()
        self.process.terminate()
        assert self.process.wait(patience(10)) == 0, self.log.read_text()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return time.monotonic() - began

    def connect(self, timeout_s: float = 10.0) -> http.client.HTTPConnection:
        """A connection, for several requests."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience(timeout_s))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = TOKEN,
    ) -> Reply:
        """One request; `body` bytes are sent unchanged, anything else as JSON."""
        sent = {"Authorization": f"Bearer {token}"} if token is not None else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Reply:
        """Send a GET request."""
        return self.call("GET", path, **more)

    def submit(self, headers: Mapping[str, str] | None = None, **fields: object) -> Reply:
        """POST /api/runs with a typical request, some of its fields replaced; `...` omits one."""
        body = {name: value for name, value in {**QUESTION, **fields}.items() if value is not ...}
        return self.call("POST", "/api/runs", body, headers)

    def raw(self, sent: bytes, timeout_s: float = 10.0) -> bytes:
        """Everything received for these exact bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout_s) as sock:
            sock.sendall(sent)
            received = bytearray()
            while data := sock.recv(65536):
                received += data
            return bytes(received)


def application(settings: Settings, ledger: Ledger) -> Flask:
    """The Flask application in this process, wired as `python -m app` wires it."""
    return create_app(settings, ledger=ledger, feed=Feed(ledger, ledger), metrics=Metrics(ledger), token=TOKEN)


class EventStream:
    """One listener on /api/events, reading in a thread until closed or disconnected; `header` authenticates it."""

    def __init__(
        self, web: Web, last_event_id: str = "", *, header: str = f"Authorization: Bearer {TOKEN}", network: str = ""
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.comments = 0
        self.ended = threading.Event()
        self._sock = socket.create_connection(("127.0.0.1", web.port), 20)
        resume = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        self._sock.sendall(f"GET {network}/api/events HTTP/1.1\r\nHost: x\r\n{header}\r\n{resume}\r\n".encode())
        self._lines = self._read_lines()
        self.status = int(next(self._lines).split()[1])
        self.headers: dict[str, str] = {}
        while line := next(self._lines):
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        next(self._lines)  # `retry:` has arrived: the listener has been handed over or is about to be
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read_lines(self) -> Iterator[str]:
        with self._sock.makefile("r", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")

    def _read(self) -> None:
        try:
            for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.ids.append(value)
                elif name == "data":
                    self.events.append(json.loads(value))
                elif line.startswith(":"):
                    self.comments += 1
        except OSError:
            pass
        finally:
            self.ended.set()

    def close(self) -> None:
        """Disconnect, as a closed browser tab does."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join(patience(5))
