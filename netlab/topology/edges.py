"""Finds the edges of the network: the interfaces through which packets from an external address can enter. Pure.

    the routers' routes to the address ──▶ edges ──▶ without those that cannot deliver to the destination

Which edge a packet really takes is decided outside the network, by the providers' routes, and the facts do not show them.
A router's own route to the source says only where replies leave. That is why all edges are returned, and each is tested.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from netlab.topology.next_stop import Delivered, Onward, next_stop
from netlab.topology.routing import Routing
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""The private address ranges of RFC 1918."""
_HALF = 1
"""Prefix length of 0.0.0.0/1, which is half of a default route (OpenVPN)."""


def find_edges(topology: Topology, routing: Routing, source: IPv4Address, destination: IPv4Address) -> list[IfaceRef]:
    """Return the edges where a packet from the external source can enter, the most likely one first.

    These are the edges that hosts.yaml names. Without such a line, an edge that owns the destination is the only one, and
    so is an edge on the destination's segment: the provider of that subnet delivers the packet there.
    """
    defaults = _default_edges(topology, source)
    own, others = _towards(topology, routing, source, defaults)
    # A provider does not carry packets from private addresses that are behind another edge (a partner).
    edges = own if own and is_private(source) else list(dict.fromkeys([*own, *others])) or defaults
    named = topology.host_gateways.named(source)
    chosen = [edge for edge in edges if named and edge in named]
    if named and not chosen:
        chosen = [edge for edge in defaults if edge in named]
    if not chosen:
        # A second provider delivers packets for its own subnet, even if the router sends replies elsewhere.
        chosen = [edge for edge in dict.fromkeys([*edges, *defaults]) if edge in topology.owned_by(destination)]
    edges = chosen or edges
    at_segment = [edge for edge in edges if topology.segment_of[edge].holds(destination)]
    return [edge for edge in at_segment if edge in topology.owned_by(destination)] or at_segment or edges


def is_private(address: IPv4Address) -> bool:
    """Whether the address is in a private range."""
    return any(address in network for network in PRIVATE)


def _towards(
    topology: Topology, routing: Routing, address: IPv4Address, defaults: list[IfaceRef]
) -> tuple[list[IfaceRef], list[IfaceRef]]:
    """Return the edges by routes of their own to the external address, and the edges by default routes.

    A router that has only default routes can get packets from each of its providers, whatever their metrics and tables.
    """
    own, others = list[IfaceRef](), list[IfaceRef]()
    for router in sorted(topology.routers):
        network, hops = routing.hops(router, address)
        edges = [out for out, hop in hops if next_stop(topology, out, hop, address) == Delivered(edge=True)]
        if network is not None and network.prefixlen > _HALF:
            own += edges
        else:
            others += [*edges, *(edge for edge in defaults if edge.router == router)]
    return own, others


def _default_edges(topology: Topology, address: IPv4Address) -> list[IfaceRef]:
    """Return the ports from which a default route in any table leads to a provider: to its gateway, or into a tunnel."""
    return [
        port
        for port, certain in topology.default_route_ports
        if certain or next_stop(topology, port, address, address) == Delivered(edge=True)
    ]


def way_out(topology: Topology, routing: Routing, router: str, address: IPv4Address) -> IfaceRef | None:
    """Return the edge where a packet from the router to an external address leaves the network, or None if it does not."""
    seen = set[str]()
    while router not in seen:
        seen.add(router)
        kind, out, hop = routing.lookup(router, address, None, "")
        if kind != "out" or out is None or hop is None:
            return None
        stop = next_stop(topology, out, hop, address)
        if isinstance(stop, Delivered):
            return out
        if not isinstance(stop, Onward):
            return None
        router = stop.port.router
    return None
