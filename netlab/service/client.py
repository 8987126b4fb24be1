"""Client of the bench for workers: blocking, with one connection per attempt. Closing the connection ends the attempt."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netlab.errors import NetlabError
from netlab.results.document import DetailedResult, QuickResult
from netlab.service.address import default_address, socket_address
from netlab.service.peer import Peer, peer_of
from netlab.service.replies import JournalEntry, Reply, decode_reply
from netlab.service.status import BenchStatus

__all__ = ["BenchAttempt", "BenchClient", "BenchError", "Service", "default_address"]

Service = tuple[int | None, str]
"""(port, protocol). The port is None for icmp."""


class BenchError(NetlabError):
    """The bench refused a request, or did not answer as expected.

    `code` is unavailable, impostor, busy, restarting, stale-fence, lost, bad-request, not-found or forbidden.
    `impostor` means that another user's process listens at the bench's address. After `impostor` and `busy` the request
    can be repeated, since no test has started.

    A bench that quits on request sends `restarting` to open attempts. Repeat the request: a new bench will start soon.
    If a bench ends in another way, open attempts get `lost`, and requests whose test has not started get `unavailable`.
    With `stale-fence`, `fence` is the highest fence that the bench has seen; otherwise it is 0.
    """

    def __init__(self, code: str, message: str, fence: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.fence = fence


class BenchClient:
    """One bench at one address. `timeout_s` is the time limit for each connection and each reply."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def status(self) -> BenchStatus:
        """Return the bench's status. Raises BenchError."""
        with self._connected() as line:
            line.send({"op": "status"})
            status = line.receive().status
            assert status
            return status

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return the journal: which run used the network when, oldest entry first. Raises BenchError."""
        with self._connected() as line:
            line.send({"op": "journal"})
            return line.receive().journal

    def namespace(self, router: str) -> Path:
        """Return the path of a router's network namespace, /proc/PID/fd/N, which is valid while the bench runs.

        Raises BenchError with code `not-found` if the bench has no such router (the message lists its routers), and
        with code `forbidden` if the bench runs in another PID namespace.
        """
        with self._connected() as line:
            line.send({"op": "namespace", "router": router})
            descriptor = line.receive().descriptor
            if not line.peer.pid:
                raise BenchError("forbidden", "the bench runs in another PID namespace; run this in its container")
            return Path(f"/proc/{line.peer.pid}/fd/{descriptor}")

    def quit(self) -> None:
        """Ask the bench to end cleanly, with exit code 0. Raises BenchError if no bench is running."""
        with self._connected() as line:
            line.send({"op": "quit"})
            line.receive()

    @contextlib.contextmanager
    def attempt(self, *, run_id: str, mode: str, lane: int | None, fence: int) -> Iterator[BenchAttempt]:
        """Open an attempt for the duration of the body. Raises BenchError."""
        with self._connected() as line:
            # Its reply is read together with that of the first test: this saves a round trip, and `close` can end the
            # wait for it.
            line.send({"op": "attempt", "run_id": run_id, "mode": mode, "lane": lane, "fence": fence})
            yield BenchAttempt(line)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[_Line]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            # Blocking, with the kernel's own timeout: a connect with a Python timeout fails at once when the queue is
            # full.
            limit = struct.pack("ll", int(self._timeout_s), int(self._timeout_s % 1 * 1e6))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            try:
                with socket_address(self._address) as name:
                    sock.connect(name)
                sock.settimeout(self._timeout_s)
                peer = peer_of(sock)
            except OSError as bad:
                raise BenchError("unavailable", f"no bench answers at {self._address}: {bad}") from None
            if not peer.trusted:
                raise BenchError(
                    "impostor",
                    f"{peer} listens at {self._address} in the bench's place. No request was sent: a bench runs as user "
                    f"{os.geteuid()} or root. Stop that process, or use a path in a private folder (REACHQ_BENCH_SOCKET)",
                )
            yield _Line(sock, peer)


class BenchAttempt:
    """A requested attempt. Whether the bench has admitted it is known with the reply to the first test."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._admitted = False

    def quick(
        self,
        source: str,
        destination: str,
        services: Sequence[Service],
        *,
        source_port: int | None = None,
        rules: bool = True,
    ) -> QuickResult:
        """Run a quick test. If `rules` is True, each NO comes with its rule. Raises BenchError."""
        self._line.send(
            {
                "op": "quick",
                "source": source,
                "destination": destination,
                "services": [{"port": port, "protocol": protocol} for port, protocol in services],
                "source_port": source_port,
                "rules": rules,
            }
        )
        result = self._receive().result
        assert isinstance(result, QuickResult)
        return result

    def detailed(
        self,
        source: str,
        destination: str,
        services: Sequence[Service],
        *,
        source_port: int | None = None,
        progress: Callable[[str, int, str], None],
    ) -> DetailedResult:
        """Run a detailed test. `progress` is called with phase, percent and message. Raises BenchError."""
        self._line.send(
            {
                "op": "detailed",
                "source": source,
                "destination": destination,
                "services": [{"port": port, "protocol": protocol} for port, protocol in services],
                "source_port": source_port,
            }
        )
        while step := (reply := self._receive()).progress:
            progress(step.phase, step.percent, step.message)
        assert isinstance(reply.result, DetailedResult)
        return reply.result

    def _receive(self) -> Reply:
        if not self._admitted:
            self._line.receive()
            self._admitted = True
        return self._line.receive()

    def close(self) -> None:
        """End the attempt now. Any thread may call this; a thread that waits for the bench gets a BenchError."""
        self._line.shutdown()


class _Line:
    """JSON lines over one socket."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self._socket = sock
        self.peer = peer
        self._read = b""
        self._answered = False

    def send(self, request: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as bad:
            with contextlib.suppress(OSError):  # the bench may have sent the reason before it closed
                if self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    self.receive()
            raise self._gone(f": {bad}") from None

    def receive(self) -> Reply:
        while b"\n" not in self._read:
            try:
                data = self._socket.recv(1 << 18)
            except TimeoutError:
                code = "lost" if self._answered else "unavailable"
                raise BenchError(code, f"the bench did not answer within {self._socket.gettimeout()} s") from None
            except OSError as bad:
                raise self._gone(f": {bad}") from None
            if not data:
                raise self._gone()
            self._read += data
        self._answered = True
        text, self._read = self._read.split(b"\n", 1)
        try:
            reply = decode_reply(text)
        except msgspec.DecodeError as bad:
            raise BenchError("lost", f"the bench's reply cannot be read: {bad}") from None
        if not reply.ok:
            raise BenchError(reply.code, reply.message, reply.fence)
        return reply

    def _gone(self, why: str = "") -> BenchError:
        with contextlib.suppress(OSError):  # there may be an unread reply
            self._answered = self._answered or bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        if self._answered:
            return BenchError("lost", f"the bench has closed the attempt{why}")
        return BenchError("unavailable", f"the bench went away before it admitted the attempt{why}")

    def shutdown(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
