"""Adds many entries to an ipset over netlink. linux/netfilter/ipset/ip_set.h.

One message has thousands of entries. `ipset restore` sends the same, but takes most of its time to read its input.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence

from netlab.kernel.netlink import NETLINK_NETFILTER, NetlinkSocket
from netlab.packets.netlink_attributes import NESTED, attribute

_ADD = 6 << 8 | 9
_EXCLUSIVE = 0x200
_IPV4 = struct.pack("=BBH", 2, 0, 0)
_PROTOCOL, _SETNAME, _DATA, _ADT, _LINENO = 1, 2, 7, 8, 9
_IPSET_PROTOCOL = 6
_IP, _IPADDR_IPV4, _CIDR = 1, 1, 3
_NET_BYTEORDER = 0x4000
_AT_ONCE = 2000
"""Number of entries in one message. The length of an attribute is limited to 64 KiB."""


def add_entries(name: str, entries: Sequence[str]) -> None:
    """Add addresses and subnets to a set in the namespace of the calling thread.

    Raises NetlinkError if the kernel refuses one (those before it are in the set then), and OSError if one is not an
    IPv4 address.
    """
    named = attribute(_PROTOCOL, bytes([_IPSET_PROTOCOL])) + attribute(_SETNAME, name.encode() + b"\0")
    with contextlib.closing(NetlinkSocket(NETLINK_NETFILTER)) as netlink:
        for start in range(0, len(entries), _AT_ONCE):
            listed = attribute(_ADT | NESTED, _encoded(entries[start : start + _AT_ONCE]))
            body = _IPV4 + named + attribute(_LINENO, struct.pack("=I", 0)) + listed
            netlink.change(_ADD, _EXCLUSIVE, body, f"entries of ipset {name}")


def _header(length: int) -> bytes:
    """Return what comes before the address in an entry of this length."""
    return struct.pack("=HHHHHH", length, _DATA | NESTED, 12, _IP | NESTED, 8, _IPADDR_IPV4 | _NET_BYTEORDER)


_ADDRESS, _SUBNET = _header(16), _header(24)


def _encoded(entries: Sequence[str]) -> bytes:
    if "/" in "".join(entries):
        return b"".join(map(_entry, entries))
    return _ADDRESS + _ADDRESS.join([socket.inet_pton(socket.AF_INET, address) for address in entries])


def _entry(text: str) -> bytes:
    address, _, length = text.partition("/")
    packed = socket.inet_pton(socket.AF_INET, address)
    if not length:
        return _ADDRESS + packed
    return _SUBNET + packed + attribute(_CIDR, bytes([int(length)]))
