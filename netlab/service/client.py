"""Client of the bench for workers. Blocking, one connection per attempt; closing it ends the attempt."""

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
from netlab.service.replies import Reply, decode_reply

__all__ = ["BenchAttempt", "BenchClient", "BenchError", "Service", "default_address"]

Service = tuple[int | None, str]
"""Port and protocol; the port is None for icmp."""


class BenchError(NetlabError):
    """The bench did not answer as requested.

    `code`: unavailable, impostor, busy, restarting, stale-fence, lost, bad-request, not-found or forbidden. After
    `impostor` (another user's process listens at the bench's address) and `busy`, nothing was sent to the bench: ask
    again.

    A bench that ends on request answers `restarting` to open attempts: ask again, a new one starts soon. With
    `stale-fence`, `fence` is the highest one that the bench has seen; 0 otherwise. A bench that ends is `lost` for open
    attempts and `unavailable` for all others, whose tests have not begun.
    """

    def __init__(self, code: str, message: str, fence: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.fence = fence


class BenchClient:
    """One bench at one address; `timeout_s` bounds every wait for it."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def status(self) -> dict[str, Any]:
        """The bench's status document; raises BenchError."""
        with self._connected() as line:
            line.send({"op": "status"})
            return line.receive().status

    def journal(self) -> list[dict[str, Any]]:
        """The uses of the network, oldest first; raises BenchError."""
        with self._connected() as line:
            line.send({"op": "journal"})
            return line.receive().journal

    def namespace(self, router: str) -> Path:
        """The path of a router's network namespace, /proc/PID/fd/N, valid as long as the bench runs; raises BenchError.

        The code is `not-found` when the bench has no such router; the message lists its routers.
        """
        with self._connected() as line:
            line.send({"op": "namespace", "router": router})
            descriptor = line.receive().descriptor
            if not line.peer.pid:
                raise BenchError("forbidden", "the bench runs in another PID namespace; run this in its container")
            return Path(f"/proc/{line.peer.pid}/fd/{descriptor}")

    def quit(self) -> None:
        """Ask the bench to end cleanly, with exit code 0; raises BenchError when there is none."""
        with self._connected() as line:
            line.send({"op": "quit"})
            line.receive()

    @contextlib.contextmanager
    def attempt(self, *, run_id: str, mode: str, lane: int | None, fence: int) -> Iterator[BenchAttempt]:
        """Open an attempt for the length of the body; raises BenchError."""
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
    """A requested attempt; the reply to the first test shows whether it was admitted."""

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
        """Run the quick test, each NO with its rule if `rules`; raises BenchError."""
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
        """Run the detailed test; `progress` is called with phase, percent and message. Raises BenchError."""
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
        """End the attempt now, from any thread: another thread that waits for the bench gets a BenchError."""
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
                raise BenchError(code, f"the bench did not answer in {self._socket.gettimeout()} s") from None
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
        with contextlib.suppress(OSError):  # an unread reply may be here
            self._answered = self._answered or bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        if self._answered:
            return BenchError("lost", f"the bench has closed the attempt{why}")
        return BenchError("unavailable", f"the bench went away before it admitted the attempt{why}")

    def shutdown(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
