"""Finds the route by which a router sent a probe, and its entry in the router's facts."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from netlab.errors import NetlinkError
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
        live = self._network.routers[router]
        source, destination, ports, mark = packet.source, packet.destination, packet.ports, 0
        if in_iface:
            if router not in self._routable:
                self._routable[router] = observe.routable(live)
            seen = self._routable[router].get(cookie)
            if seen is None:
                return None
            source, destination, ports, mark = seen.source, seen.destination, seen.ports, seen.mark
        try:
            return live.routes.match(
                IPv4Address(destination),
                IPv4Address(source),
                iif=live.ports[in_iface].index if in_iface else 0,
                mark=mark,
                protocol=packet.protocol,
                ports=None if packet.protocol == ICMP else struct.unpack("!HH", ports),
            )
        except NetlinkError:
            return None

    def place(self, router: str, route: MatchedRoute) -> str:
        """`route 10.0.2.0/24 dev eth1, r1/routes.json:14`; "" when it is not in the facts."""
        live, facts = self._network.routers[router], self._network.topology.routers[router]
        devices = {live.names.get(hop.oif, "") for hop in route.hops}
        entry = find_route(facts, route.table, route.network, route.metric, devices)
        return f"route {spell_route(entry.data)}, {facts.file('routes.json')}:{entry.line}" if entry else ""
