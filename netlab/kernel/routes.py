"""The routes and neighbours of one namespace over rtnetlink(7). Links are created in netlab/kernel/links.py."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from netlab.kernel.netlink import CREATE, NETLINK_ROUTE, REQUEST, NetlinkSocket
from netlab.packets.netlink_attributes import attribute, attributes

_NEWROUTE, _GETROUTE, _NEWNEIGH, _DELNEIGH, _GETNEIGH = 24, 26, 28, 29, 30
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY = 1, 2, 3, 4, 5
_RTA_MARK, _RTA_IP_PROTO, _RTA_SPORT, _RTA_DPORT = 16, 27, 28, 29
_RTA_PRIORITY, _RTA_MULTIPATH, _RTA_TABLE = 6, 9, 15
_RTN_LOCAL = 2
_RTA_CACHEINFO = 12
_RTNH_F_DEAD, _RTNH_F_ONLINK = 1, 4
_RTM_F_LOOKUP_TABLE, _RTM_F_FIB_MATCH = 0x1000, 0x2000
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTNEXTHOP = struct.Struct("=HBBi")
_NDA_DST, _NDA_LLADDR, _NUD_REACHABLE = 1, 2, 2
_REPLACE = 0x100
_NUD_NOARP_OR_PERMANENT = 0x40 | 0x80
_NDMSG = struct.Struct("=BBHiHBB")


@dataclass(frozen=True)
class Route:
    """The kernel's answer to a route lookup.

    `local` is True if the router itself is the destination; otherwise `oif` and `next_hop` say where the packet leaves.
    """

    local: bool
    oif: int
    next_hop: IPv4Address | None


@dataclass(frozen=True)
class NextHop:
    """One next hop of a route. `gateway` is None if the destination is on the link."""

    oif: int
    gateway: IPv4Address | None
    flags: int
    attributes: bytes

    @property
    def dead(self) -> bool:
        """Whether the kernel never uses this next hop because its interface is down."""
        return bool(self.flags & _RTNH_F_DEAD)


@dataclass(frozen=True)
class MatchedRoute:
    """The entry of a routing table that a lookup used. `message` is the kernel's own description of the entry."""

    table: int
    network: IPv4Network
    metric: int
    local: bool
    hops: tuple[NextHop, ...]
    message: bytes


class RouteReader:
    """Looks up routes in one router's kernel. Create it inside the router's namespace."""

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(NETLINK_ROUTE)

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

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
        """Return the route for a packet that came in on `iif` (0: the router itself sends it).

        Raises NetlinkError: ENETUNREACH no route, EHOSTUNREACH unreachable, EINVAL blackhole, EACCES prohibit.
        """
        reply = self._netlink.ask(
            _GETROUTE, _lookup(destination, source, iif, mark, protocol, ports), f"route to {destination}"
        )
        named = dict(attributes(reply[12:]))
        oif = struct.unpack("=I", named[_RTA_OIF])[0] if _RTA_OIF in named else 0
        if reply[7] == _RTN_LOCAL:
            return Route(True, oif, None)
        gateway = named.get(_RTA_GATEWAY)
        return Route(False, oif, IPv4Address(gateway) if gateway else destination)

    def match(
        self,
        destination: IPv4Address,
        source: IPv4Address,
        *,
        iif: int,
        mark: int,
        protocol: int,
        ports: tuple[int, int] | None,
    ) -> MatchedRoute:
        """Return the table entry that such a packet uses, with all its next hops.

        Parameters and errors are those of `get`.
        """
        flags = _RTM_F_FIB_MATCH | _RTM_F_LOOKUP_TABLE
        body = _lookup(destination, source, iif, mark, protocol, ports, flags)
        return _matched(self._netlink.ask(_GETROUTE, body, f"route to {destination}"))

    def use_only(self, route: MatchedRoute, hop: NextHop) -> None:
        """Make `hop` the only next hop of a route that has several. `restore` undoes it."""
        body = route.message[:8] + struct.pack("=I", hop.flags & _RTNH_F_ONLINK)
        for kind, value in attributes(route.message[_RTMSG.size :]):
            if kind not in (_RTA_MULTIPATH, _RTA_CACHEINFO):
                body += attribute(kind, value)
        body += attribute(_RTA_OIF, struct.pack("=i", hop.oif)) + hop.attributes
        self._netlink.change(_NEWROUTE, CREATE | _REPLACE, body, f"one next hop of the route to {route.network}")

    def restore(self, route: MatchedRoute) -> None:
        """Replace the route by its original entry with all next hops."""
        self._netlink.change(_NEWROUTE, CREATE | _REPLACE, route.message, f"next hops of the route to {route.network}")


def _lookup(
    destination: IPv4Address,
    source: IPv4Address | None,
    iif: int,
    mark: int,
    protocol: int,
    ports: tuple[int, int] | None,
    flags: int = 0,
) -> bytes:
    body = _RTMSG.pack(socket.AF_INET, 32, 32 if source else 0, 0, 0, 0, 0, 0, flags)
    body += attribute(_RTA_DST, destination.packed)
    if source:
        body += attribute(_RTA_SRC, source.packed)
    if iif:
        body += attribute(_RTA_IIF, struct.pack("=I", iif))
    if mark:
        body += attribute(_RTA_MARK, struct.pack("=I", mark))
    if protocol:
        body += attribute(_RTA_IP_PROTO, struct.pack("=B", protocol))
    if protocol and ports:
        body += attribute(_RTA_SPORT, struct.pack("!H", ports[0]))
        body += attribute(_RTA_DPORT, struct.pack("!H", ports[1]))
    return body


def _matched(message: bytes) -> MatchedRoute:
    _, length, _, _, table, _, _, kind, flags = _RTMSG.unpack_from(message)
    named = dict(attributes(message[12:]))
    number = {key: struct.unpack("=I", named[key])[0] for key in (_RTA_TABLE, _RTA_PRIORITY, _RTA_OIF) if key in named}
    network = IPv4Network((named.get(_RTA_DST, b"\0\0\0\0"), length))
    hops = tuple(_next_hops(named[_RTA_MULTIPATH])) if _RTA_MULTIPATH in named else ()
    if not hops and _RTA_OIF in number:
        gateway = named.get(_RTA_GATEWAY)
        hops = (NextHop(number[_RTA_OIF], IPv4Address(gateway) if gateway else None, flags, b""),)
    local = kind == _RTN_LOCAL
    return MatchedRoute(number.get(_RTA_TABLE, table), network, number.get(_RTA_PRIORITY, 0), local, hops, message)


def _next_hops(data: bytes) -> Iterator[NextHop]:
    """Yield the entries of RTA_MULTIPATH. Each is a struct rtnexthop with its own attributes."""
    at = 0
    while at < len(data):
        length, flags, _, oif = _RTNEXTHOP.unpack_from(data, at)
        own = data[at + _RTNEXTHOP.size : at + length]
        gateway = dict(attributes(own)).get(_RTA_GATEWAY)
        yield NextHop(oif, IPv4Address(gateway) if gateway else None, flags, own)
        at += (length + 3) & ~3


class NeighbourTable:
    """One router's ARP table. Create it inside the router's namespace."""

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(NETLINK_ROUTE)

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def learn(self, index: int, address: IPv4Address, mac: bytes) -> None:
        """Add the entry that ARP would find: `mac` for `address` on this link."""
        body = _NDMSG.pack(socket.AF_INET, 0, 0, index, _NUD_REACHABLE, 0, 0)
        body += attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, mac)
        self._netlink.change(_NEWNEIGH, CREATE | _REPLACE, body, f"neighbour {address}")

    def forget(self) -> None:
        """Delete every entry that the router learned or is still resolving, with the packets queued for it.

        Permanent entries remain. The others may belong to hosts that have been removed.
        """
        learned = []
        for body in self._netlink.dump(
            _GETNEIGH, _NDMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0), "dump of the neighbours"
        ):
            _, _, _, index, state, _, _ = _NDMSG.unpack_from(body)
            named = dict(attributes(body[12:]))
            if _NDA_DST in named and not state & _NUD_NOARP_OR_PERMANENT:
                learned.append((index, named[_NDA_DST]))
        for index, address in learned:
            self._netlink.begin()
            body = _NDMSG.pack(socket.AF_INET, 0, 0, index, 0, 0, 0) + attribute(_NDA_DST, address)
            # No acknowledgement: the entry may have expired.
            self._netlink.send(self._netlink.message(_DELNEIGH, REQUEST, body))
