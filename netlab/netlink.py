"""The three netlink requests the hot path needs, spelled directly: dump a set, flush sets, ask for a route.

General libraries take milliseconds where this takes microseconds. Sources: linux/netfilter/nf_tables.h, rtnetlink(7).
Sockets stay open for the life of the bench: closing one after a deletion waits ~15 ms.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from netlab.errors import NetlinkError

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
_REQUEST, _ACK, _DUMP, _CREATE = 0x1, 0x4, 0x300, 0x400
_NESTED = 0x8000
_CT_DELETE = (1 << 8) | 2
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
_NFT, _GETCHAIN, _GETRULE, _NEWSETELEM, _GETSETELEM, _DELSETELEM = 10 << 8, 4, 7, 12, 13, 14
_BATCH_BEGIN, _BATCH_END = 16, 17
_NFPROTO_IPV4 = 2
_RTM_GETROUTE, _RTM_NEWROUTE, _RTM_SETLINK = 26, 24, 19
_IFLA_MASTER, _IFF_UP = 10, 1
_HEADER = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")
_BUFFER = 1 << 17
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
"""Numbers of linux/netfilter.h (NFPROTO_*) as nft spells them."""


def _attr(kind: int, value: bytes) -> bytes:
    return _ATTR.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(16 + len(body), kind, flags, sequence, 0) + body


def attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of every netlink attribute in `body`, the nested flag taken off."""
    at = 0
    while at + 4 <= len(body):
        length, kind = _ATTR.unpack_from(body, at)
        yield kind & 0x3FFF, body[at + 4 : at + length]
        at += (length + 3) & ~3


class SetReader:
    """Reads and flushes the dynamic sets of one router's bench table; made inside the router's namespace."""

    def __init__(self, table: str) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._socket.settimeout(5.0)
        self._table = _attr(1, table.encode() + b"\0")
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def dump(self, name: str, key_bytes: int) -> list[bytes]:
        """The keys of every element in set `name`, each `key_bytes` long."""
        self._sequence += 1
        head = struct.pack("=BBH", _NFPROTO_IPV4, 0, 0)
        body = head + self._table + _attr(2, name.encode() + b"\0")
        self._socket.send(_message(_NFT | _GETSETELEM, _REQUEST | _DUMP, self._sequence, body))
        keys: list[bytes] = []
        for message in self._replies(f"dump of set {name}"):
            _elements(message, 4, len(message), key_bytes, keys)
        return keys

    def _replies(self, what: str) -> Iterator[bytes]:
        """The bodies of a dump's messages; raises NetlinkError when it fails or changed under way."""
        while True:
            data = self._socket.recv(_BUFFER)
            at = 0
            while at < len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
                if sequence == self._sequence:
                    if kind == _DONE:
                        return
                    if kind == _ERROR:
                        raise NetlinkError(what, -struct.unpack_from("=i", data, at + 16)[0])
                    if flags & _DUMP_INTERRUPTED:
                        raise NetlinkError(what, errno.EINTR)
                    yield data[at + 16 : at + length]
                at += (length + 3) & ~3

    def rules(self) -> list[tuple[str, str, str, int]]:
        """(family, table, chain, handle) of every rule in the router, each chain's in order."""
        self._sequence += 1
        self._socket.send(_message(_NFT | _GETRULE, _REQUEST | _DUMP, self._sequence, struct.pack("=BBH", 0, 0, 0)))
        found = []
        for body in self._replies("dump of the rules"):
            named = dict(attributes(body[4:]))
            table, chain = (named[key].rstrip(b"\0").decode() for key in (1, 2))
            found.append((FAMILIES.get(body[0], "?"), table, chain, int.from_bytes(named[3], "big")))
        return found

    def hooks(self) -> dict[tuple[str, str, str], int]:
        """(family, table, chain) -> number of the hook (NF_INET_*), for every base chain in the router."""
        self._sequence += 1
        self._socket.send(_message(_NFT | _GETCHAIN, _REQUEST | _DUMP, self._sequence, struct.pack("=BBH", 0, 0, 0)))
        found = {}
        for body in self._replies("dump of the chains"):
            named = dict(attributes(body[4:]))
            if 4 in named:
                table, chain = (named[key].rstrip(b"\0").decode() for key in (1, 3))
                hook = dict(attributes(named[4]))
                found[(FAMILIES.get(body[0], "?"), table, chain)] = int.from_bytes(hook[1], "big")
        return found

    def put(self, name: str, key: bytes) -> None:
        """Add an element to a set; no error when it is there."""
        element = _attr(1 | _NESTED, _attr(1 | _NESTED, _attr(1, key)))
        self._change([(_NEWSETELEM, _REQUEST | _CREATE, _attr(2, name.encode() + b"\0") + _attr(3 | _NESTED, element))])

    def flush(self, names: Iterable[str]) -> None:
        """Empty the sets in one transaction."""
        self._change([(_DELSETELEM, _REQUEST, _attr(2, name.encode() + b"\0")) for name in names])

    def forget_connections(self) -> None:
        """Empty the router's connection tracking table."""
        self._sequence += 1
        head = struct.pack("=BBH", 0, 0, 0)
        self._socket.send(_message(_CT_DELETE, _REQUEST | _ACK, self._sequence, head))
        self._acknowledged("flush of the connection table")

    def _change(self, messages: list[tuple[int, int, bytes]]) -> None:
        """Send (type, flags, attributes) as one transaction and wait until it is committed."""
        self._sequence += 1
        batch = struct.pack("=BBH", 0, 0, socket.htons(10))
        head = struct.pack("=BBH", _NFPROTO_IPV4, 0, 0)
        parts = [_message(_BATCH_BEGIN, _REQUEST, self._sequence, batch)]
        for number, (kind, flags, rest) in enumerate(messages, start=1):
            # The acknowledgement is asked of the last one only; a failure of an earlier one aborts the batch and shows too.
            flags |= _ACK if number == len(messages) else 0
            parts.append(_message(_NFT | kind, flags, self._sequence, head + self._table + rest))
        parts.append(_message(_BATCH_END, _REQUEST, self._sequence, batch))
        self._socket.send(b"".join(parts))
        self._acknowledged("change of the bench's sets")

    def _acknowledged(self, what: str) -> None:
        while True:
            data = self._socket.recv(_BUFFER)
            _, kind, _, sequence, _ = _HEADER.unpack_from(data)
            if sequence == self._sequence and kind == _ERROR:
                (number,) = struct.unpack_from("=i", data, 16)
                if number:
                    raise NetlinkError(what, -number)
                return


def _elements(data: bytes, at: int, end: int, key_bytes: int, keys: list[bytes]) -> None:
    """Collect keys from one NEWSETELEM message: list { elem { key { value } … } … }, nested attributes."""
    while at < end:
        length, kind = _ATTR.unpack_from(data, at)
        if kind & 0x3FFF == 3:  # NFTA_SET_ELEM_LIST_ELEMENTS
            inner, stop = at + 4, at + length
            while inner < stop:
                (size,) = struct.unpack_from("=H", data, inner)
                keys.append(data[inner + 12 : inner + 12 + key_bytes])
                inner += (size + 3) & ~3
        at += (length + 3) & ~3


class LinkWriter:
    """Plugs wires into segments and out again, in the namespace it was made in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.settimeout(5.0)
        self._sequence = 0

    def plug(self, link: str, bridge: str) -> None:
        """Make `link` a port of `bridge` and bring it up."""
        self._set(link, socket.if_nametoindex(bridge), _IFF_UP)

    def unplug(self, link: str) -> None:
        """Take `link` off its bridge and bring it down."""
        self._set(link, 0, 0)

    def _set(self, link: str, master: int, flags: int) -> None:
        self._sequence += 1
        body = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(link), flags, _IFF_UP)
        body += _attr(_IFLA_MASTER, struct.pack("=I", master))
        self._socket.send(_message(_RTM_SETLINK, _REQUEST | _ACK, self._sequence, body))
        while True:
            data = self._socket.recv(_BUFFER)
            _, kind, _, sequence, _ = _HEADER.unpack_from(data)
            if sequence == self._sequence and kind == _ERROR:
                (number,) = struct.unpack_from("=i", data, 16)
                if number:
                    raise NetlinkError(f"change of {link}", -number)
                return


@dataclass(frozen=True)
class Route:
    """The kernel's answer: `local` when the router itself is the destination, else out and next hop."""

    local: bool
    oif: int
    next_hop: IPv4Address | None


class RouteReader:
    """Asks one router's kernel where it would send a packet; made inside the router's namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.settimeout(5.0)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def get(
        self,
        destination: IPv4Address,
        source: IPv4Address | None = None,
        *,
        iif: int = 0,
        mark: int = 0,
        protocol: int = 0,
        ports: tuple[int, int] | None = None,
    ) -> Route:
        """Look the route up as for a packet that came in on `iif` (0: made on the router itself).

        Raises NetlinkError: ENETUNREACH no route, EHOSTUNREACH unreachable, EINVAL blackhole, EACCES prohibit.
        """
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 32 if source else 0, 0, 0, 0, 0, 0, 0)
        body += _attr(1, destination.packed)
        if source:
            body += _attr(2, source.packed)
        if iif:
            body += _attr(3, struct.pack("=I", iif))
        if mark:
            body += _attr(16, struct.pack("=I", mark))
        if protocol:
            body += _attr(27, struct.pack("=B", protocol))
        if protocol and ports:
            body += _attr(28, struct.pack("!H", ports[0])) + _attr(29, struct.pack("!H", ports[1]))
        self._sequence += 1
        self._socket.send(_message(_RTM_GETROUTE, _REQUEST, self._sequence, body))
        while True:
            data = self._socket.recv(_BUFFER)
            length, kind, _, sequence, _ = _HEADER.unpack_from(data)
            if sequence != self._sequence:
                continue
            if kind == _ERROR:
                raise NetlinkError(f"route to {destination}", -struct.unpack_from("=i", data, 16)[0])
            if kind == _RTM_NEWROUTE:
                return _route(data, length, destination)


def _route(data: bytes, length: int, destination: IPv4Address) -> Route:
    kind = data[16 + 7]
    oif, gateway, at = 0, destination, 28
    while at < length:
        size, name = _ATTR.unpack_from(data, at)
        if name == 4:
            (oif,) = struct.unpack_from("=I", data, at + 4)
        elif name == 5:
            gateway = IPv4Address(data[at + 4 : at + 8])
        at += (size + 3) & ~3
    return Route(local=kind == 2, oif=oif, next_hop=None if kind == 2 else gateway)
