"""Reads the nftrace events of one router: the kernel's trace of the rules that packets matched.

Source: linux/netfilter/nf_tables.h, enum nft_trace_attributes. The kernel sends one message for every rule that a
traced packet matched and for every policy. The first message of each base chain contains the packet's headers. Rules of
iptables appear too, because iptables-nft stores them as nftables rules.
"""

from __future__ import annotations

import errno
import socket
import struct
from functools import lru_cache
from typing import Any

from netlab.kernel.netlink import NETLINK_NETFILTER
from netlab.kernel.packet_filter import FAMILIES
from netlab.packets.netlink_attributes import attributes
from netlab.rules.trace_events import Event, Kind, Verdict

_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTRACE = 270, 1, 9
_NFT_MSG_TRACE = (10 << 8) | 17
_RECEIVE_BYTES = 8 << 20
_NAMES = 128
"""Number of bytes at the start of a message that contain the names of its table and chain."""
_SO_RCVBUFFORCE = 33
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID, _NETWORK, _TRANSPORT, _IIF, _OIF, _FAMILY, _POLICY = (
    1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16,
)  # fmt: skip
_ID_COMES, _NETWORK_COMES = (struct.pack("=HH", *a) for a in ((8, _ID), (24, _NETWORK)))
"""The bytes with which these attributes begin. The kernel sends the first 20 bytes of an IPv4 header."""


class TraceLost(Exception):
    """The kernel sent more events than the socket could hold; some are lost."""


class TraceReader:
    """Receives one router's trace events. Create it inside the router's namespace, and keep it as long as the router."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        except PermissionError:  # not permitted in a user namespace; then the system's maximum applies
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTRACE)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self, *, besides: str = "") -> list[Event]:
        """Return all waiting events in order, except those of table `besides`.

        Raises TraceLost if the kernel lost some.
        """
        events: list[Event] = []
        skip = besides.encode() + b"\0"
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return events
            except OSError as bad:
                if bad.errno == errno.ENOBUFS:
                    raise TraceLost from None
                raise
            at = 0
            while at < len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _NFT_MSG_TRACE and not (besides and skip in data[at : at + _NAMES]):
                    events.append(_event(data[at + 20 : at + length]))
                at += (length + 3) & ~3

    def drop(self) -> None:
        """Discard all waiting events, which belong to earlier packets."""
        while True:
            try:
                self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as bad:
                if bad.errno != errno.ENOBUFS:
                    raise


def _event(body: bytes) -> Event:
    """Decode one message.

    The fields other than the id and the headers are cached, since they are the same for most packets.
    """
    if body[16:20] != _ID_COMES:
        return _read(body)
    at = body.find(_NETWORK_COMES, 24)
    trace = int.from_bytes(body[20:24], "big")
    if at < 0:
        return _new(Event, (trace, *_alike(body[:16], body[24:])))
    alike = _alike(body[:16], body[24:at])
    length = body[at + 24] + 256 * body[at + 25]
    transport = body[at + 28 : at + 24 + length] if body[at + 26] == _TRANSPORT else b""
    return _new(Event, (trace, *alike[:7], body[at + 4 : at + 24], transport, *alike[9:11], body))


# A NamedTuple's own constructor takes a fifth of the time to read an event, and a run has ten thousand.
_new = tuple.__new__


@lru_cache(maxsize=8192)
def _alike(head: bytes, rest: bytes) -> tuple[Any, ...]:
    """Return the fields of an event without its id. The result has only the headers that are in `rest`."""
    return tuple(_read(head + rest))[1:]


def _read(body: bytes) -> Event:
    fields = dict(attributes(body))
    kind = _KINDS[fields[_TYPE]]
    verdict, target = Verdict.CONTINUE, ""
    if kind is Kind.POLICY:
        verdict = _verdict(fields[_POLICY])
    elif _VERDICT in fields:
        inner = dict(attributes(fields[_VERDICT]))
        verdict, target = _verdict(inner[1]), _text(inner.get(2, b""))
    number = int.from_bytes
    return Event(
        number(fields.get(_ID, b""), "big"),
        FAMILIES.get(number(fields.get(_FAMILY, b""), "big"), "?"),
        _text(fields.get(_TABLE, b"")),
        _text(fields.get(_CHAIN, b"")),
        kind,
        number(fields.get(_HANDLE, b""), "big"),
        verdict,
        target,
        fields.get(_NETWORK, b""),
        fields.get(_TRANSPORT, b""),
        number(fields.get(_IIF, b""), "big"),
        number(fields.get(_OIF, b""), "big"),
        body,
    )


_KINDS = {kind.value.to_bytes(4, "big"): kind for kind in Kind}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}


def _verdict(value: bytes) -> Verdict:
    (code,) = struct.unpack("!i", value)
    return _VERDICTS.get(code) or _VERDICTS[code & 0xFF]  # the upper 16 bits of QUEUE are the number of the queue


@lru_cache(maxsize=4096)
def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
