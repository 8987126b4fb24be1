"""Finds the route that a router used for a probe, and its entry in the router's facts."""

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
    """Looks up routes in one live network. It must be used after routers were probed and before their sets are emptied."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._routable: dict[str, dict[bytes, Observation]] = {}

    def forget(self) -> None:
        """Discard what was read from the sets. Call this after probes have been sent."""
        self._routable.clear()

    def find(self, router: str, in_iface: str, packet: Packet, cookie: bytes) -> MatchedRoute | None:
        """Return the route of the probe with this cookie.

        The result is None if the probe did not reach the routing decision or had no route. For a packet that the router
        itself sends, the lookup is made without the mark that its rules may set.
        """
        if not in_iface:
            return self.lookup(router, in_iface, packet)
        if router not in self._routable:
            self._routable[router] = observe.routable(self._network.routers[router])
        seen = self._routable[router].get(cookie)
        return self.lookup(router, in_iface, seen.packet(packet), seen.mark) if seen else None

    def to(self, router: str, address: IPv4Address) -> MatchedRoute | None:
        """Return the route by which the router itself would send to an address, or None."""
        return self.lookup(router, "", Packet(ICMP, bytes(4), address.packed, bytes(4)))

    def lookup(self, router: str, in_iface: str, packet: Packet, mark: int = 0) -> MatchedRoute | None:
        """Return the route of a packet, as it is after prerouting, or None."""
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
        """Return the route's entry in routes.json, or None if the kernel created the route itself."""
        live = self._network.routers[router]
        devices = {live.names.get(hop.oif, "") for hop in route.hops}
        return find_route(self._network.topology.routers[router], route.table, route.network, route.metric, devices)

    def place(self, router: str, route: MatchedRoute) -> str:
        """Return the place of the route, such as `r1/routes.json:14`; "" if it is not in the facts."""
        entry = self.entry(router, route)
        return f"{router}/routes.json:{entry.line}" if entry else ""

    def spelled(self, router: str, route: MatchedRoute) -> str:
        """Return text such as `route 10.0.2.0/24 dev eth1, r1/routes.json:14`; "" if the route is not in the facts."""
        entry = self.entry(router, route)
        return f"route {spell_route(entry.data)}, {self.place(router, route)}" if entry else ""
