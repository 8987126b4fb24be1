"""Sends probes into routers: through the veth pair of an interface, or from the router itself."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address

from netlab.errors import NetlinkError
from netlab.kernel.routes import Route
from netlab.live.build import LiveNetwork, LiveRouter
from netlab.packets.probe import ICMP, Packet, ethernet_header
from netlab.quick.observe import Observation
from netlab.topology.segments import IfaceRef

_IP_PKTINFO = 8
UNROUTED = {
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "unreachable route",
    errno.EINVAL: "blackhole route",
    errno.EACCES: "prohibit route",
}
"""errno of a lookup or a send without a usable route -> text for it."""


class Injector:
    """Sends IP packets into the routers of one live network."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._door = lru_cache(maxsize=65536)(self._door_uncached)

    def send(self, router: str, in_iface: str, ip: bytes | bytearray) -> None:
        """Send a packet into `router` on its interface `in_iface`, or from the router itself if `in_iface` is "".

        Raises OSError if the packet could not be passed to the kernel.
        """
        if in_iface:
            header, send = self._door(router, in_iface)
            send(header + ip)
        else:
            self._originate(router, bytes(ip))

    def _door_uncached(self, router: str, interface: str) -> tuple[bytes, Callable[[bytes], int]]:
        """Return the Ethernet header for this interface, and the function that sends a frame to it."""
        mac = self._network.routers[router].ports[interface].mac
        return ethernet_header(mac), self._network.injector(IfaceRef(router, interface)).send

    def _originate(self, router: str, ip: bytes) -> None:
        """Send a packet from the router itself, so that its OUTPUT rules are tested.

        The kernel's route lookup for a raw socket ignores protocol and ports, which policy rules may match. If they
        change the route, the interface is set explicitly; `own_hop` returns the next hop.
        """
        live = self._network.routers[router]
        destination, source = IPv4Address(ip[16:20]), IPv4Address(ip[12:16])
        try:
            route = own_route(live, Packet(ip[9], ip[12:16], ip[16:20], ip[20:24]))
        except NetlinkError:
            return  # no packet is sent then; own_route returns the reason
        oif = route.oif
        with contextlib.suppress(NetlinkError):
            oif = 0 if route == live.routes.get(destination, source) else route.oif
        info = struct.pack("=I4s4s", oif, ip[12:16], b"\0\0\0\0")
        try:
            live.raw.sendmsg([ip], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, (str(destination), 0))
        except OSError as bad:
            if bad.errno not in (*UNROUTED, errno.EPERM):  # these errors are results: the sets or the lookup show them
                raise


def own_route(router: LiveRouter, packet: Packet) -> Route:
    """Return the route of a packet that the router itself sends, before its OUTPUT rules. Raises NetlinkError."""
    ports = struct.unpack("!HH", packet.ports) if packet.protocol != ICMP else None
    source, destination = IPv4Address(packet.source), IPv4Address(packet.destination)
    return router.routes.get(destination, source, protocol=packet.protocol, ports=ports)


def own_hop(router: LiveRouter, sent: Packet, left: Packet, sight: Observation) -> bytes:
    """Return the next hop of a packet that the router itself sent.

    This is the next hop of `own_route`, because the kernel's choice for a raw socket (in `sight`) ignores protocol and
    ports. The kernel's choice is returned if the packet left by another interface or its destination was changed.
    """
    with contextlib.suppress(NetlinkError):
        route = own_route(router, sent)
        if route.oif == sight.oif and route.next_hop and left.destination == sent.destination:
            return route.next_hop.packed
    return sight.next_hop
