"""Restores what the rules of one router remember about packets, so that no result depends on earlier tests.

A set that rules write to is emptied and refilled with the elements that it had after loading, in one transaction. An
ipset is emptied and refilled too. A list of `-m recent` is emptied, because the facts do not have its contents.
Sources: linux/netfilter/nf_tables.h, linux/netfilter/ipset/ip_set.h, net/netfilter/xt_recent.c.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable

from netlab.kernel.netlink import ACK, CREATE, NETLINK_NETFILTER, REQUEST, NetlinkSocket
from netlab.packets.netlink_attributes import NESTED, attribute, attributes

_FAMILIES = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
_NFT, _GETSET, _NEWSETELEM, _GETSETELEM, _DELSETELEM = 10 << 8, 10, 12, 13, 14
_BATCH_BEGIN, _BATCH_END = 16, 17
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_SET_TABLE, _SET_NAME, _SET_COUNT = 1, 2, 20
_IPSET, _FLUSH, _LIST, _ADD = 6 << 8, 4, 7, 9
_PROTOCOL, _SETNAME, _DATA, _ADT = 1, 2, 7, 8
_IPSET_PROTOCOL = 6
_NET_BYTEORDER = 0x4000
_IPV4 = struct.pack("=BBH", 2, 0, 0)
_RECENT = "/proc/thread-self/net/xt_recent"


class RuleMemory:
    """The sets and lists that rules of one router write to.

    Create it inside the namespace, right after the rules are loaded.
    """

    def __init__(
        self, sets: Iterable[tuple[str, str, str]], ipsets: Iterable[str], recent: Iterable[str], *, only_grow: bool
    ) -> None:
        """Read the current contents of the nft sets and ipsets, and open the `-m recent` lists.

        `sets` holds (family, table, name) of each nft set; `ipsets` and `recent` hold names. `only_grow` means that no
        rule deletes an element of an nft set or changes a value, so that a set with the same number of elements is
        unchanged. Raises NetlinkError or OSError.
        """
        self._recent: list[int] = []
        self._netlink = NetlinkSocket(NETLINK_NETFILTER)
        try:
            self._sets = [_NftSet(self._netlink, *names, only_grow=only_grow) for names in sorted(sets)]
            self._ipsets = [_Ipset(self._netlink, name) for name in sorted(ipsets)]
            for name in recent:
                self._recent.append(os.open(f"{_RECENT}/{name}", os.O_WRONLY | os.O_CLOEXEC))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket and the files of the lists."""
        self._netlink.close()
        for descriptor in self._recent:
            os.close(descriptor)
        self._recent = []

    def restore(self) -> None:
        """Return every set and list to its state after loading. Raises NetlinkError or OSError."""
        changed = [one for one in self._sets if one.changed()]
        if changed:
            commit(self._netlink, [change for one in changed for change in one.changes], "putting back sets")
        for ipset in self._ipsets:
            ipset.restore()
        for descriptor in self._recent:
            os.write(descriptor, b"/\n")


class _NftSet:
    """One nft set and the elements that it had when this object was created."""

    def __init__(self, netlink: NetlinkSocket, family: str, table: str, name: str, *, only_grow: bool) -> None:
        self._netlink, self._only_grow = netlink, only_grow
        self._what = f"set {name} of table {family} {table}"
        self._head = struct.pack("=BBH", _FAMILIES[family], 0, 0)
        self._named = attribute(_TABLE, table.encode() + b"\0") + attribute(_SET, name.encode() + b"\0")
        self.changes = [(_DELSETELEM, 0, self._head + self._named)]
        for body in netlink.dump(_NFT | _GETSETELEM, self._head + self._named, f"dump of {self._what}"):
            elements = dict(attributes(body[4:])).get(_ELEMENTS)
            if elements:
                self.changes.append(
                    (_NEWSETELEM, CREATE, self._head + self._named + attribute(_ELEMENTS | NESTED, elements))
                )
        self._count = self._size()

    def changed(self) -> bool:
        """Whether the contents may have changed.

        False only if rules just add elements and the set still has the same size. Not every kernel reports that size.
        """
        return not self._only_grow or self._count is None or self._size() != self._count

    def _size(self) -> bytes | None:
        body = self._netlink.ask(_NFT | _GETSET, self._head + self._named, self._what)
        return dict(attributes(body[4:])).get(_SET_COUNT)


class _Ipset:
    """One ipset and the entries that it had when this object was created."""

    def __init__(self, netlink: NetlinkSocket, name: str) -> None:
        self._netlink, self._name = netlink, name
        self._named = attribute(_PROTOCOL, bytes([_IPSET_PROTOCOL])) + attribute(_SETNAME, name.encode() + b"\0")
        self._entries: list[bytes] = []
        for body in netlink.dump(_IPSET | _LIST, _IPV4 + self._named, f"dump of ipset {name}"):
            for kind, value in attributes(body[4:]):
                if kind == _ADT:
                    self._entries += [_as_input(entry) for _, entry in attributes(value)]

    def restore(self) -> None:
        self._netlink.change(_IPSET | _FLUSH, 0, _IPV4 + self._named, f"flush of ipset {self._name}")
        for entry in self._entries:
            body = _IPV4 + self._named + attribute(_DATA | NESTED, entry)
            self._netlink.change(_IPSET | _ADD, CREATE, body, f"entry of ipset {self._name}")


def _as_input(entry: bytes) -> bytes:
    """Convert the attributes of a dumped entry to the form that the kernel accepts.

    The kernel dumps addresses without the flag NLA_F_NET_BYTEORDER, but requires the flag when an entry is added.
    """
    parts, at = [], 0
    while at < len(entry):
        length, kind = struct.unpack_from("=HH", entry, at)
        part = bytearray(entry[at : at + (length + 3 & ~3)])
        if kind & NESTED:  # an address: one attribute in another
            (inner,) = struct.unpack_from("=H", part, 6)
            struct.pack_into("=H", part, 6, inner | _NET_BYTEORDER)
        parts.append(bytes(part))
        at += len(part)
    return b"".join(parts)


def commit(netlink: NetlinkSocket, changes: list[tuple[int, int, bytes]], what: str) -> None:
    """Send changes of nftables (type, flags, body) as one transaction and wait until it is committed.

    Raises NetlinkError.
    """
    netlink.begin()
    batch = struct.pack("=BBH", 0, 0, socket.htons(10))
    parts = [netlink.message(_BATCH_BEGIN, REQUEST, batch)]
    for number, (kind, flags, body) in enumerate(changes, start=1):
        parts.append(netlink.message(_NFT | kind, flags | REQUEST | (ACK if number == len(changes) else 0), body))
    netlink.send(*parts, netlink.message(_BATCH_END, REQUEST, batch))
    netlink.acknowledged(what)
