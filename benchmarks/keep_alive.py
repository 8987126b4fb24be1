"""An HTTP client with minimal overhead: prepared requests over a few persistent connections, one thread."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Mapping


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as sent over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Line:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._had = b""
        self._sent = 0.0

    def send(self, data: bytes) -> None:
        """Send the request."""
        self._sent = time.perf_counter()
        self.sock.sendall(data)

    def answered(self, status: int) -> float | None:
        """Read what has arrived. Returns the seconds since `send` once the response is complete, otherwise None.

        Asserts that the response has this status.
        """
        self._had += self.sock.recv(1 << 20)
        head, separator, body = self._had.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return None
        took, code = time.perf_counter() - self._sent, int(head.split(b" ", 2)[1])
        assert code == status, f"{code} instead of {status}: {self._had[:500]!r}"
        self._had = b""
        return took


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError(f"an answer without a length: {head!r}")


def ask(port: int, requests: Iterator[bytes], count: int, connections: int, status: int) -> tuple[list[float], float]:
    """Send `count` requests, always one per connection; returns the seconds of each, and of all together."""
    lines = [Line(port) for _ in range(connections)]
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        began, left = time.perf_counter(), count
        for line in lines:
            selector.register(line.sock, selectors.EVENT_READ, line)
            line.send(next(requests))
            left -= 1
        while len(took) < count:
            for key, _ in selector.select(30):
                seconds = key.data.answered(status)
                if seconds is None:
                    continue
                took.append(seconds)
                if left:
                    key.data.send(next(requests))
                    left -= 1
        whole = time.perf_counter() - began
    for line in lines:
        line.sock.close()
    return took, whole
