"""Puts probes into routers: onto the wire of an interface, or into the stack of the router that makes the packet itself."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address

from netlab.build import LiveNetwork
from netlab.probe import ethernet_header
from netlab.topology import Port

_IP_PKTINFO = 8
UNROUTED = {
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "unreachable route",
    errno.EINVAL: "blackhole route",
    errno.EACCES: "prohibit route",
}
"""What the kernel says of a packet it has no way for, as a lookup's error or a send's."""


class Injector:
    """Sends IP packets into the routers of one live network."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._door = lru_cache(maxsize=65536)(self._door_uncached)

    def send(self, router: str, inward: str, ip: bytes) -> None:
        """Send into `router` on its interface `inward`, or, when that is "", from the router itself.

        Raises OSError when the packet could not be handed to the kernel.
        """
        if inward:
            header, send = self._door(router, inward)
            send(header + ip)
        else:
            self._originate(router, ip)

    def _door_uncached(self, router: str, interface: str) -> tuple[bytes, Callable[[bytes], int]]:
        """The Ethernet header for this interface, and how to put a frame on its wire."""
        mac = self._network.routers[router].ports[interface].mac
        return ethernet_header(mac), self._network.injector(Port(router, interface)).send

    def _originate(self, router: str, ip: bytes) -> None:
        """Send with the router's own address as source, so that its OUTPUT rules are asked."""
        source = struct.pack("=I4s4s", 0, ip[12:16], b"\0\0\0\0")
        raw = self._network.routers[router].raw
        try:
            raw.sendmsg([ip], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, (str(IPv4Address(ip[16:20])), 0))
        except OSError as bad:
            if bad.errno not in (*UNROUTED, errno.EPERM):  # those are answers, and the sets or the lookup show them
                raise
