"""One connection of the web server: its input and output buffers and its deadline."""

from __future__ import annotations

import contextlib
import enum
import io
import re
import socket
import time
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from cheroot import server as http

PATIENCE_S = 10.0
RATE = 4096
"""Minimum number of bytes per second that a client must send or receive."""
LINGER_S = 2.0


class Stage(enum.Enum):
    """What a connection waits for. app.http.connections has a diagram of the stages."""

    READING = enum.auto()
    WORKING = enum.auto()
    SENDING = enum.auto()
    LINGERING = enum.auto()


class Large(NamedTuple):
    """A kind of request that may have a large body. Each is kept in memory, so only a few are received at once."""

    line: re.Pattern[bytes]
    """Pattern of the request line."""
    body_max: int
    """In bytes."""
    at_once: int
    """Maximum number of these at the same time, until each is answered."""
    of_one: int
    """The same for one client, so that it leaves room for others."""


class Incoming(io.BytesIO):
    """One complete request. Reading past its end returns nothing and never blocks."""

    bytes_read = 0


class Outgoing:
    """The file object to which cheroot writes a response."""

    bytes_written = 0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> int:
        """Send as much as the client accepts now, and buffer the rest."""
        self._connection.unsent += data
        self._connection.flush()
        return len(data)


class Connection(http.HTTPConnection):
    """One connection. In the stage WORKING it belongs to a pool thread, otherwise to the selector's thread."""

    def __init__(self, server: Any, sock: socket.socket, address: str) -> None:
        super().__init__(server, sock, lambda *_: None)
        self.rfile, self.wfile = Incoming(), Outgoing(self)
        self.remote_addr = address
        self.stage = Stage.READING
        self.received = bytearray()
        self.unsent = bytearray()
        self.moved = 0  # bytes in the current stage
        self.began = time.monotonic()
        self.promised = False  # 100 Continue was sent
        self.large: Large | None = None  # the kind of request with a large body that is being received
        self.ending = False
        self.adopted = False

    def enter(self, stage: Stage) -> None:
        """Enter a stage and start its time limit."""
        self.stage, self.moved, self.began = stage, 0, time.monotonic()

    @property
    def deadline(self) -> float:
        """The time (of time.monotonic()) after which the client is too slow in this stage."""
        return self.began + (LINGER_S if self.stage is Stage.LINGERING else PATIENCE_S + self.moved / RATE)

    def flush(self) -> None:
        """Send as much as the client accepts now. Raises OSError if the client is gone."""
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                sent = self.socket.send(self.unsent)
                self.moved += sent
                del self.unsent[:sent]

    def close(self) -> None:
        """Mark the connection as closing. A pool thread calls this.

        The connection ends after its response was sent, or passes to its taker.
        """
        self.ending = True
        self.server.put_back(self)


def client_of(address: str) -> str:
    """Return the key by which the connections of a client are limited: its IPv4 address, or its IPv6 /64."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address) and not ip.ipv4_mapped:
        return str(IPv6Address(int(ip) >> 64 << 64))
    return str(ip)
