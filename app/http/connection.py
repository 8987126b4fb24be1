"""One connection of the web server: what has been received and not read, written and not sent, and by when."""

from __future__ import annotations

import contextlib
import enum
import io
import socket
import time
from ipaddress import IPv6Address, ip_address
from typing import Any

from cheroot import server as http

PATIENCE_S = 10.0
RATE = 4096
"""Bytes a second that a client must send or take."""
LINGER_S = 2.0


class Stage(enum.Enum):
    """What a connection waits for; app.http.connections draws it."""

    READING = enum.auto()
    WORKING = enum.auto()
    SENDING = enum.auto()
    LINGERING = enum.auto()


class Incoming(io.BytesIO):
    """One whole request; it ends where the request does, so reading it never waits."""

    bytes_read = 0


class Outgoing:
    """What cheroot writes an answer to."""

    bytes_written = 0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> int:
        """Send what the client takes now, and keep the rest."""
        self._connection.unsent += data
        self._connection.flush()
        return len(data)


class Connection(http.HTTPConnection):
    """One connection. It belongs to a pool thread while it is WORKING, otherwise to the selector's thread."""

    def __init__(self, server: Any, sock: socket.socket, address: str) -> None:
        super().__init__(server, sock, lambda *_: None)
        self.rfile, self.wfile = Incoming(), Outgoing(self)
        self.remote_addr = address
        self.stage = Stage.READING
        self.received = bytearray()
        self.unsent = bytearray()
        self.moved = 0  # bytes in this stage
        self.began = time.monotonic()
        self.promised = False  # 100 Continue was sent
        self.ending = False
        self.adopted = False

    def enter(self, stage: Stage) -> None:
        """Begin a stage, with its full time."""
        self.stage, self.moved, self.began = stage, 0, time.monotonic()

    @property
    def deadline(self) -> float:
        """When the client has been too slow in this stage, in time.monotonic()."""
        return self.began + (LINGER_S if self.stage is Stage.LINGERING else PATIENCE_S + self.moved / RATE)

    def flush(self) -> None:
        """Send what the client takes now; OSError when it is gone."""
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                sent = self.socket.send(self.unsent)
                self.moved += sent
                del self.unsent[:sent]

    def close(self) -> None:
        """Called by a pool thread: the connection ends once its answer has been sent, or goes on with its taker."""
        self.ending = True
        self.server.put_back(self)


def client_of(address: str) -> str:
    """Whom the limit counts: the address, of IPv6 its /64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and not found.ipv4_mapped:
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)
