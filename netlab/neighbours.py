"""Forgets a router's neighbours after a detailed run: hosts that are gone, packets still waiting for one. rtnetlink(7)."""

from __future__ import annotations

import socket
import struct

from netlab.netlink import NETLINK_ROUTE, attributes

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_REQUEST, _DUMP, _DONE, _ERROR = 0x1, 0x300, 3, 2
_NUD_NOARP_OR_PERMANENT = 0x40 | 0x80
_NDA_DST = 1


class NeighbourTable:
    """One router's ARP table; made inside the router's namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.settimeout(5.0)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def forget(self) -> None:
        """Delete every entry the router learned, or is still asking for."""
        self._sequence += 1
        ndmsg = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, 0, 0, 0, 0)
        self._socket.send(self._message(_RTM_GETNEIGH, _REQUEST | _DUMP, ndmsg))
        learned = list(self._learned())
        for index, destination in learned:
            self._sequence += 1
            body = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, index, 0, 0, 0)
            body += struct.pack("=HH", 8, _NDA_DST) + destination
            self._socket.send(self._message(_RTM_DELNEIGH, _REQUEST, body))

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        return struct.pack("=IHHII", 16 + len(body), kind, flags, self._sequence, 0) + body

    def _learned(self) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        while True:
            data = self._socket.recv(1 << 16)
            at = 0
            while at < len(data):
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
                if sequence == self._sequence and kind in (_DONE, _ERROR):
                    return found
                if sequence == self._sequence and kind == _RTM_NEWNEIGH:
                    _, _, _, index, state, _, _ = struct.unpack_from("=BBHiHBB", data, at + 16)
                    named = dict(attributes(data[at + 28 : at + length]))
                    if _NDA_DST in named and not state & _NUD_NOARP_OR_PERMANENT:
                        found.append((index, named[_NDA_DST]))
                at += (length + 3) & ~3
