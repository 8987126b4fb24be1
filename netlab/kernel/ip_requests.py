"""The commonest lines of `ip -batch` as netlink messages. ip-link(8), ip-address(8), ip-route(8), rtnetlink(7).

Most routers have a few addresses and routes. To start `ip` for them takes longer than to load them.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address

from netlab.kernel import links
from netlab.kernel.links import Message
from netlab.kernel.netlink import CREATE
from netlab.packets.netlink_attributes import attribute

_UP = re.compile(r"link set dev (\S+) up")
_ADDRESS = re.compile(r"addr add ([0-9.]+)/([0-9]+) dev (\S+)( noprefixroute)?")
_ROUTE = re.compile(
    r"route add unicast (?:default|([0-9.]+)(?:/([0-9]+))?)(?: metric ([0-9]+))?( scope link)?(?: src ([0-9.]+))?"
    r"(?: via ([0-9.]+))? dev (\S+)"
)
_NO_PREFIX_ROUTE = 0x200
_NEWROUTE, _EXCLUSIVE = 24, 0x200
_MAIN, _BOOT, _UNICAST = 254, 3, 1
_UNIVERSE, _LINK = 0, 253
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 4, 5, 6, 7


def request(line: str, index: Callable[[str], int]) -> Message | None:
    """Return the request that `ip` sends for this line, or None if the line needs `ip`.

    `index` returns the index of a link by name. It raises OSError if there is none.
    """
    try:
        if match := _UP.fullmatch(line):
            return links.up(index(match[1]))
        if match := _ADDRESS.fullmatch(line):
            return _address(match, index)
        if match := _ROUTE.fullmatch(line):
            return _route(match, index)
    except (ValueError, OSError):
        pass  # `ip` refuses the line and says why
    return None


def _address(match: re.Match[str], index: Callable[[str], int]) -> Message | None:
    own, length = IPv4Address(match[1]), int(match[2])
    if own.is_loopback or length > 32:
        return None
    return links.add_address(index(match[3]), own, length, _NO_PREFIX_ROUTE if match[4] else 0)


def _route(match: re.Match[str], index: Callable[[str], int]) -> Message | None:
    destination, length, metric, link, source, gateway, device = match.groups()
    bits, number = int(length or 32) if destination else 0, int(metric or 0)
    if bits > 32 or number > 0xFFFFFFFF:
        return None
    scope = _LINK if link or not gateway else _UNIVERSE
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, bits, 0, 0, _MAIN, _BOOT, scope, _UNICAST, 0)
    for kind, address in ((_RTA_DST, destination), (_RTA_GATEWAY, gateway), (_RTA_PREFSRC, source)):
        if address:
            body += attribute(kind, IPv4Address(address).packed)
    if metric:
        body += attribute(_RTA_PRIORITY, struct.pack("=I", number))
    body += attribute(_RTA_OIF, struct.pack("=i", index(device)))
    return _NEWROUTE, CREATE | _EXCLUSIVE, body
