"""Finds the route by which a router sent a probe, and its entry in the router's facts."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from netlab.errors import NetlinkError
from netlab.facts.json_lines import JsonEntry
from netlab.facts.route_entries import find_route, spell_route
from netlab.kernel.routes import MatchedRoute
from netlab.live.build import LiveNetwork
from netlab.packets.probe import ICMP, Packet
from netlab.quick import observe
from netlab.quick.observe import Observation


class RoutesUsed:
    """Looks up routes of one live network right after the routers were probed, before their sets are emptied."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._routable: dict[str, dict[bytes, Observation]] = {}

    def forget(self) -> None:
        """Probes have been sent: read the sets again."""
        self._routable.clear()

    def find(self, router: str, in_iface: str, packet: Packet, cookie: bytes) -> MatchedRoute | None:
        """The route of `packet`, which came in with this cookie; None when it never reached the routing decision.

        For a packet of the router itself, the mark that its own rules may give it is unknown.
        """
        if not in_iface:
            return self.lookup(router, in_iface, packet)
        if router not in self._routable:
            self._routable[router] = observe.routable(self._network.routers[router])
        seen = self._routable[router].get(cookie)
        return self.lookup(router, in_iface, seen.packet(packet), seen.mark) if seen else None

    def to(self, router: str, address: IPv4Address) -> MatchedRoute | None:
        """The route by which the router itself would send to an address; None without one."""
        return self.lookup(router, "", Packet(ICMP, bytes(4), address.packed, bytes(4)))

    def lookup(self, router: str, in_iface: str, packet: Packet, mark: int = 0) -> MatchedRoute | None:
        """The route of a packet as it is after prerouting; None without one."""
        live = self._network.routers[router]
        try:
            return live.routes.match(
                IPv4Address(packet.destination),
                IPv4Address(packet.source),
                iif=live.ports[in_iface].index if in_iface in live.ports else 0,
                mark=mark,
                protocol=packet.protocol,
                ports=None if packet.protocol == ICMP else struct.unpack("!HH", packet.ports),
            )
        except NetlinkError:
            return None

    def entry(self, router: str, route: MatchedRoute) -> JsonEntry | None:
        """The route's entry in routes.json; None when the kernel made it on its own."""
        live = self._network.routers[router]
        devices = {live.names.get(hop.oif, "") for hop in route.hops}
        return find_route(self._network.topology.routers[router], route.table, route.network, route.metric, devices)

    def place(self, router: str, route: MatchedRoute) -> str:
        """`r1/routes.json:14`; "" when it is not in the facts."""
        entry = self.entry(router, route)
        return f"{router}/routes.json:{entry.line}" if entry else ""

    def spelled(self, router: str, route: MatchedRoute) -> str:
        """`route 10.0.2.0/24 dev eth1, r1/routes.json:14`; "" when it is not in the facts."""
        entry = self.entry(router, route)
        return f"route {spell_route(entry.data)}, {self.place(router, route)}" if entry else ""
