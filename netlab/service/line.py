"""The client's end of a connection to a bench, or to the service of all benches: requests and replies as JSON lines."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

import msgspec

from netlab.errors import NetlabError
from netlab.service.address import socket_address
from netlab.service.peer import Peer, peer_of
from netlab.service.replies import Reply, decode_reply
from netlab.service.requests import ToBench, ToBenchService, encode_request


class BenchError(NetlabError):
    """The bench refused a request, or did not answer as expected.

    `code` is unavailable, impostor, busy, restarting, stale-fence, lost, bad-request, not-found, forbidden or refused.
    `impostor` means that another user's process listens at the bench's address. After `impostor` and `busy` the request
    can be repeated, since no test has started.

    A bench that quits on request sends `restarting` to open attempts. Repeat the request: a new bench will start soon.
    If a bench ends in another way, open attempts get `lost`, and requests whose test has not started get `unavailable`.
    With `stale-fence`, `fence` is the highest fence that the bench has seen; otherwise it is 0. With `refused`, no bench
    can be built from the facts, and `problems` has a sentence for each fault, with file and line.
    """

    def __init__(self, code: str, message: str, fence: int = 0, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.fence = fence
        self.problems = problems


@contextlib.contextmanager
def connected(address: str, timeout_s: float) -> Iterator[Line]:
    """Connect to `address` for the duration of the body. `timeout_s` limits the connection and each reply.

    Raises BenchError if no bench answers there, or if another user's process does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        # Blocking, with the kernel's own timeout: a connect with a Python timeout fails at once when the queue is full.
        limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        try:
            with socket_address(address) as name:
                sock.connect(name)
            sock.settimeout(timeout_s)
            peer = peer_of(sock)
        except OSError as bad:
            raise BenchError("unavailable", f"no bench answers at {address}: {bad}") from None
        if not peer.trusted:
            raise BenchError(
                "impostor",
                f"{peer} listens at {address} in the bench's place. No request was sent: a bench runs as user "
                f"{os.geteuid()} or root. Stop that process, or use a path in a private folder (REACHQ_BENCH_SOCKET)",
            )
        yield Line(sock, peer)


class Line:
    """JSON lines over one connected socket."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self._socket = sock
        self.peer = peer
        self._read = b""
        self._answered = False

    def send(self, request: ToBench | ToBenchService) -> None:
        """Send one request. Raises BenchError."""
        try:
            self._socket.sendall(encode_request(request))
        except UnicodeEncodeError as bad:
            raise BenchError("bad-request", f"{bad.object!r} is not valid Unicode") from None
        except OSError as bad:
            with contextlib.suppress(OSError):  # the bench may have sent the reason before it closed
                if self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    self.receive()
            raise self._gone(f": {bad}") from None

    def receive(self) -> Reply:
        """Return the next reply. Raises BenchError if it is a refusal, or if there is none."""
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
            raise BenchError(reply.code, reply.message, reply.fence, reply.problems)
        return reply

    def _gone(self, why: str = "") -> BenchError:
        with contextlib.suppress(OSError):  # there may be an unread reply
            self._answered = self._answered or bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        if self._answered:
            return BenchError("lost", f"the bench has closed the attempt{why}")
        return BenchError("unavailable", f"the bench went away before it admitted the attempt{why}")

    def shutdown(self) -> None:
        """End the connection now. Any thread may call this."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
