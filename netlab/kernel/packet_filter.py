"""One router's packet filter over netlink: the bench's sets, the handles of the rules, the connection tracking table.

Source: linux/netfilter/nf_tables.h, nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

from netlab.kernel.netlink import ACK, CREATE, NETLINK_NETFILTER, REQUEST, NetlinkSocket
from netlab.packets.netlink_attributes import NESTED, attribute, attributes

FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
"""Address families by number (NFPROTO_* in linux/netfilter.h), with the names that nft uses."""
_NUMBERS = {name: number for number, name in FAMILIES.items()}

_NFT, _GETCHAIN, _GETRULE, _NEWSETELEM, _GETSETELEM, _DELSETELEM = 10 << 8, 4, 7, 12, 13, 14
_BATCH_BEGIN, _BATCH_END = 16, 17
_CT_DELETE = (1 << 8) | 2
_ANY, _IPV4 = struct.pack("=BBH", 0, 0, 0), struct.pack("=BBH", 2, 0, 0)
_ELEMENTS = 3
_HEAD = struct.Struct("=HH")
"""Length and type of an attribute."""


class RouterTables:
    """The nftables tables of one router. Create it inside the router's namespace.

    `table` is the name of the bench's own table (netlab/live/bench.nft).
    """

    def __init__(self, table: str) -> None:
        self._netlink = NetlinkSocket(NETLINK_NETFILTER)
        self._table = attribute(1, table.encode() + b"\0")

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def dump(self, name: str, key_bytes: int) -> list[bytes]:
        """Return the keys of all elements in set `name`. Each key is `key_bytes` long."""
        keys: list[bytes] = []
        for body in self._netlink.dump(_NFT | _GETSETELEM, _IPV4 + self._set(name), f"dump of set {name}"):
            _collect(body, key_bytes, keys)
        return keys

    def put(self, name: str, key: bytes) -> None:
        """Add an element to a set. An element that exists already is not an error."""
        element = attribute(1 | NESTED, attribute(1 | NESTED, attribute(1, key)))
        self._commit([(_NEWSETELEM, CREATE, self._set(name) + attribute(_ELEMENTS | NESTED, element))])

    def flush(self, names: Iterable[str]) -> None:
        """Empty these sets in one transaction."""
        self._commit([(_DELSETELEM, 0, self._set(name)) for name in names])

    def handles(self, chain: tuple[str, str, str]) -> list[int]:
        """Return the handles of the rules in `chain` (family, table, name), in order; [] if the router has no such chain."""
        family, table, name = chain
        place = attribute(1, table.encode() + b"\0") + attribute(2, name.encode() + b"\0")
        listed: list[int] = []
        head = struct.pack("=BBH", _NUMBERS[family], 0, 0)
        for body in self._netlink.dump(_NFT | _GETRULE, head + place, f"dump of the rules of {name}"):
            # The kernel puts table, chain and handle first. What follows, the expressions of the rule, is not read.
            if body[0] == _NUMBERS[family] and body.startswith(place, 4):
                _, kind = _HEAD.unpack_from(body, 4 + len(place))
                at = 8 + len(place)
                handle = body[at : at + 8] if kind == 3 else dict(attributes(body[4:]))[3]  # after padding
                listed.append(int.from_bytes(handle, "big"))
        return listed

    def hooks(self) -> dict[tuple[str, str, str], int]:
        """Return (family, table, chain) -> number of the hook (NF_INET_*) for every base chain in the router."""
        listed = {}
        for family, named in self._objects(_GETCHAIN, "dump of the chains"):
            if 4 in named:
                number = dict(attributes(named[4]))[1]
                listed[(family, _text(named[1]), _text(named[3]))] = int.from_bytes(number, "big")
        return listed

    def forget_connections(self) -> None:
        """Empty the router's connection tracking table."""
        self._netlink.change(_CT_DELETE, 0, _ANY, "flush of the connection table")

    def _objects(self, kind: int, what: str) -> Iterator[tuple[str, dict[int, bytes]]]:
        for body in self._netlink.dump(_NFT | kind, _ANY, what):
            yield FAMILIES.get(body[0], "?"), dict(attributes(body[4:]))

    def _set(self, name: str) -> bytes:
        return self._table + attribute(2, name.encode() + b"\0")

    def _commit(self, changes: list[tuple[int, int, bytes]]) -> None:
        """Send (type, flags, attributes) as one transaction and wait until it is committed."""
        self._netlink.begin()
        batch = struct.pack("=BBH", 0, 0, socket.htons(10))
        parts = [self._netlink.message(_BATCH_BEGIN, REQUEST, batch)]
        for number, (kind, flags, rest) in enumerate(changes, start=1):
            # Only the last message requests an acknowledgement; a failure of an earlier one aborts the batch and is
            # reported too.
            flags |= REQUEST | (ACK if number == len(changes) else 0)
            parts.append(self._netlink.message(_NFT | kind, flags, _IPV4 + rest))
        self._netlink.send(*parts, self._netlink.message(_BATCH_END, REQUEST, batch))
        self._netlink.acknowledged("change of the bench's sets")


def _collect(body: bytes, key_bytes: int, keys: list[bytes]) -> None:
    """Append the keys in one NEWSETELEM message to `keys`.

    The nested attributes are list { elem { key { value } … } … }. They are read in place.
    """
    at = 4
    while at < len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if kind & 0x3FFF == _ELEMENTS:
            inner, stop = at + 4, at + length
            while inner < stop:
                (size,) = struct.unpack_from("=H", body, inner)
                keys.append(body[inner + 12 : inner + 12 + key_bytes])
                inner += (size + 3) & ~3
        at += (length + 3) & ~3


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
