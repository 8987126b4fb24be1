"""A minimal netlink client: send a request, read a dump or one reply, wait for an acknowledgement.

It needs microseconds where general libraries need milliseconds. Sockets remain open for the life of the bench, because
closing one after a deletion takes about 15 ms. Source: linux/netlink.h, netlink(7).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from netlab.errors import NetlinkError

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
REQUEST, ACK, DUMP, CREATE = 0x1, 0x4, 0x300, 0x400
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
_HEADER = struct.Struct("=IHHII")
_BUFFER = 1 << 17
_TIMEOUT_S = 5.0


class NetlinkSocket:
    """One socket in the namespace in which it was created. Not thread-safe."""

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.settimeout(_TIMEOUT_S)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def begin(self) -> None:
        """Begin a request: take a new sequence number, which all messages of the request share."""
        self._sequence += 1

    def message(self, kind: int, flags: int, body: bytes) -> bytes:
        """Return one message of the request that the last call of `begin` began."""
        return _HEADER.pack(16 + len(body), kind, flags, self._sequence, 0) + body

    def send(self, *messages: bytes) -> None:
        """Send the messages of the request to the kernel."""
        self._socket.send(b"".join(messages))

    def dump(self, kind: int, body: bytes, what: str) -> Iterator[bytes]:
        """Request a dump and yield the bodies of its messages.

        Raises NetlinkError if the dump fails, or if it is inconsistent because something changed during the dump.
        """
        self.begin()
        self.send(self.message(kind, REQUEST | DUMP, body))
        for reply, flags, reply_body in self._replies():
            if reply == _DONE:
                return
            if reply == _ERROR:
                raise NetlinkError(what, -struct.unpack_from("=i", reply_body)[0])
            if flags & _DUMP_INTERRUPTED:
                raise NetlinkError(what, errno.EINTR)
            yield reply_body

    def ask(self, kind: int, body: bytes, what: str) -> bytes:
        """Send a request that has one reply and return its body. Raises NetlinkError with the kernel's errno."""
        self.begin()
        self.send(self.message(kind, REQUEST, body))
        for reply, _, reply_body in self._replies():
            if reply == _ERROR:
                raise NetlinkError(what, -struct.unpack_from("=i", reply_body)[0])
            return reply_body
        raise AssertionError("a netlink socket never closes")

    def change(self, kind: int, flags: int, body: bytes, what: str) -> None:
        """Request a change and wait until it is done. Raises NetlinkError if the kernel refuses it."""
        self.begin()
        self.send(self.message(kind, REQUEST | ACK | flags, body))
        self.acknowledged(what)

    def acknowledged(self, what: str) -> None:
        """Wait for the acknowledgement of the request. Raises NetlinkError if the kernel refused it."""
        for reply, _, reply_body in self._replies():
            if reply == _ERROR:
                (number,) = struct.unpack_from("=i", reply_body)
                if number:
                    raise NetlinkError(what, -number)
                return

    def _replies(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (type, flags, body) of every message that answers the current request. Other messages are skipped."""
        while True:
            data = self._socket.recv(_BUFFER)
            at = 0
            while at < len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
                if sequence == self._sequence:
                    yield kind, flags, data[at + 16 : at + length]
                at += (length + 3) & ~3
