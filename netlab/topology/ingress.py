"""Finds where a packet from `source` first meets a router: on its segment, at the network's edge, or in the router that
sends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from netlab.topology.segments import Delivered, IfaceRef, Onward, Segment, Topology, default_gateways

Lookup = Callable[[str, IPv4Address, IPv4Address | None, str], tuple[str, IfaceRef | None, IPv4Address | None]]
"""(router, destination, source, iif) -> ("local" | "out" | "none", out port, next hop), from the router's kernel."""


class IngressKind(Enum):
    """How a packet from a source enters the routers."""

    PORT = "port"
    """It enters a router at a known interface, or a router itself sends it."""
    DIRECT = "direct"
    """No router is between source and destination."""
    IMPOSSIBLE = "impossible"
    """No packet can come from that source, or have that destination: the result is NO."""
    UNKNOWN = "unknown"
    """The facts do not show where it would enter."""


@dataclass(frozen=True)
class Ingress:
    """Where a packet first meets a router: `Ingress.at` for a port, `Ingress.without_port` for all other kinds.

    `port` is set for the kind PORT only; its interface is "" when the router itself sends. `text` is a caveat or "" for the
    kind PORT, and the reason for the other kinds.
    """

    kind: IngressKind
    port: IfaceRef | None
    text: str

    def __post_init__(self) -> None:
        """Raise ValueError for a PORT without a port, or another kind with one or without a reason."""
        is_port = self.kind is IngressKind.PORT
        if is_port != (self.port is not None) or not (is_port or self.text):
            raise ValueError(
                f"an ingress of kind {self.kind.value} cannot have port {self.port} and text {self.text!r}"
            )

    @classmethod
    def at(cls, port: IfaceRef, note: str = "") -> Ingress:
        """The packet enters at `port`; `note` is a caveat about this choice."""
        return cls(IngressKind.PORT, port, note)

    @classmethod
    def without_port(cls, kind: IngressKind, reason: str) -> Ingress:
        """The packet enters at no port, for this reason."""
        return cls(kind, None, reason)

    @property
    def reason(self) -> str:
        """Why there is no valid port; "" when there is one."""
        return "" if self.port else self.text

    @property
    def note(self) -> str:
        """The caveat about the choice of the port, or ""."""
        return self.text if self.port else ""

    @property
    def impossible(self) -> bool:
        """Whether the result is NO without a test."""
        return self.kind is IngressKind.IMPOSSIBLE

    @property
    def testable(self) -> bool:
        """Whether a packet can be sent at all."""
        return self.kind in (IngressKind.PORT, IngressKind.DIRECT)


def find_ingress(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> Ingress:
    """Find where the packet enters; queries kernels only where the topology allows several places."""
    for address, end in ((source, "source"), (destination, "destination")):
        reason = topology.not_a_host(address)
        if reason:
            return Ingress.without_port(IngressKind.IMPOSSIBLE, f"{end} {reason}")
    owners = topology.owned_by(source)
    if owners:
        return Ingress.at(IfaceRef(owners[0].router, ""))
    segment = topology.segment_holding(source)
    if segment is not None:
        return _from_segment(topology, lookup, segment, source, destination)
    return _from_beyond(topology, lookup, source, destination)


def _from_segment(
    topology: Topology, lookup: Lookup, segment: Segment, source: IPv4Address, destination: IPv4Address
) -> Ingress:
    ports = [port for port in segment.ports if topology.interface(port).linked]
    subnet = segment.subnet(source)
    if subnet and destination in subnet:
        owners = topology.owned_by(destination)
        for owner in owners:
            if owner in ports:
                return Ingress.at(owner)
        if not owners:
            reason = f"{source} and {destination} are both on segment {segment.name}: no router is between them"
            return Ingress.without_port(IngressKind.DIRECT, reason)
    ports = [port for port in ports if any(source in n for n in topology.networks_of[port])] or ports
    if not ports:
        reason = f"no router's interface on segment {segment.name} of {source} is up with carrier"
        return Ingress.without_port(IngressKind.UNKNOWN, reason)
    ranks = {port: _rank(topology, lookup, port, source, destination) for port in ports}
    best, *equals = (port for port in ports if ranks[port] == min(ranks.values()))
    note = (
        f"segment {segment.name} has several routers that could be {source}'s gateway; "
        f"assumed {best} ({', '.join(map(str, equals))} also possible)"
    )
    return Ingress.at(best, note if equals else "")


def _rank(topology: Topology, lookup: Lookup, port: IfaceRef, source: IPv4Address, destination: IPv4Address) -> int:
    """Rank of a host's gateway: first the router that owns the destination, then one that leads away from the segment."""
    kind, out, _ = lookup(port.router, destination, source, port.interface)
    if kind == "local":
        return 0
    if kind == "none":
        return 3
    return 2 if out == port else 1


def _from_beyond(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> Ingress:
    """The edge through which a packet of an external source enters."""
    # Policy rules may route a packet without a source elsewhere; a default gateway outside the network is an edge in
    # any case.
    edges = _edges_towards(topology, lookup, source) or _gateway_edges(topology)
    if not edges:
        reason = (
            f"{source} is in no segment, and no router has a route to it that leaves the network: "
            "there is no edge where it could enter"
        )
        return Ingress.without_port(IngressKind.UNKNOWN, reason)
    if len(edges) == 1:
        return Ingress.at(edges[0])
    edge = _edge_at(topology, edges, destination) or _way_back(topology, lookup, source, destination)
    if edge in edges:
        return Ingress.at(edge)
    other_edges = ", ".join(map(str, edges[1:]))
    return Ingress.at(edges[0], f"{source} is external; assumed to enter at {edges[0]} ({other_edges} also possible)")


def _edges_towards(topology: Topology, lookup: Lookup, address: IPv4Address) -> list[IfaceRef]:
    """Ports through which some router sends packets for an external address out of the network."""
    edges: list[IfaceRef] = []
    for router in sorted(topology.routers):
        kind, out, hop = lookup(router, address, None, "")
        if kind == "out" and out and hop and topology.after(out, hop, address) == Delivered(edge=True):
            edges.append(out)
    return edges


def _edge_at(topology: Topology, edges: list[IfaceRef], destination: IPv4Address) -> IfaceRef | None:
    """The first edge whose segment contains the destination, or else whose router owns it."""
    owners = {port.router for port in topology.owned_by(destination)}
    on_segment = (edge for edge in edges if topology.segment_of[edge].holds(destination))
    on_router = (edge for edge in edges if edge.router in owners)
    return next(on_segment, None) or next(on_router, None)


def _gateway_edges(topology: Topology) -> list[IfaceRef]:
    """Ports on segments with a provider's gateway, of routers with a default route to it."""
    return [
        port
        for segment in topology.segments
        for port in segment.ports
        if topology.interface(port).linked and segment.gateways & default_gateways(topology.routers[port.router])
    ]


def _way_back(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> IfaceRef | None:
    """Follow the reply from the destination; the request enters through the edge at which the reply leaves."""
    owners = topology.owned_by(destination)
    segment = topology.segment_holding(destination)
    if not owners and segment is None:
        return None
    starts = owners or (segment.ports if segment else ())
    for start in starts:
        router, seen = start.router, set[str]()
        while router not in seen:
            seen.add(router)
            kind, out, hop = lookup(router, source, None, "")
            if kind != "out" or out is None or hop is None:
                break
            stop = topology.after(out, hop, source)
            if isinstance(stop, Delivered):
                return out
            if not isinstance(stop, Onward):
                break
            router = stop.port.router
    return None
