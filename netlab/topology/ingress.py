"""Finds where a packet from `source` first meets a router.

That is on the source's segment, at the network's edge, or in a router that sends the packet itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from netlab.topology import far_ends
from netlab.topology.next_stop import Delivered, Onward, next_stop
from netlab.topology.on_link import default_gateways
from netlab.topology.segments import IfaceRef, Segment
from netlab.topology.topology import Topology

Lookup = Callable[[str, IPv4Address, IPv4Address | None, str], tuple[str, IfaceRef | None, IPv4Address | None]]
"""(router, destination, source, iif) -> ("local", "out" or "none"; outgoing port; next hop), from the router's kernel.
"""

_NO_ROUTE = 3


class IngressKind(Enum):
    """How a packet from a source enters the routers."""

    PORT = "port"
    """The packet enters a router at a known interface, or a router itself sends it."""
    DIRECT = "direct"
    """There are no routers between source and destination."""
    IMPOSSIBLE = "impossible"
    """No packet can have this source or this destination. The result is NO."""
    UNKNOWN = "unknown"
    """The facts do not show where the packet would enter."""


@dataclass(frozen=True)
class Ingress:
    """Where a packet first meets a router. Create it with `Ingress.at`, `Ingress.at_one_of` or `Ingress.without_port`.

    `port` is set only for the kind PORT. Its interface is "" if the router itself sends the packet. `text` is a caveat
    or "" for the kind PORT, and the reason for the other kinds.
    """

    kind: IngressKind
    port: IfaceRef | None
    text: str
    also: tuple[IfaceRef, ...] = ()
    """Other ports where the packet may enter instead. The facts do not determine the port, so each must be tested."""
    question: str = ""
    """What the facts do not determine if `also` has ports, such as `the gateway of 10.0.1.10`."""

    def __post_init__(self) -> None:
        """Raise ValueError if a PORT has no port, or another kind has a port or no reason."""
        is_port = self.kind is IngressKind.PORT
        if is_port != (self.port is not None) or not (is_port or self.text):
            raise ValueError(
                f"an ingress of kind {self.kind.value} cannot have port {self.port} and text {self.text!r}"
            )

    @classmethod
    def at(cls, port: IfaceRef, note: str = "") -> Ingress:
        """Return the Ingress of a packet that enters at `port`. `note` is a caveat about this choice."""
        return cls(IngressKind.PORT, port, note)

    @classmethod
    def at_one_of(cls, ports: Sequence[IfaceRef], question: str) -> Ingress:
        """Return the Ingress of a packet that enters at one of the ports, if the facts do not show at which one."""
        first, *others = ports
        names = ", ".join(map(spelled, others))
        note = f"assumed that {question} is {spelled(first)} ({names} also possible)" if others else ""
        return cls(IngressKind.PORT, first, note, tuple(others), question)

    @classmethod
    def without_port(cls, kind: IngressKind, reason: str) -> Ingress:
        """Return the Ingress of a packet that enters at no port, with the reason."""
        return cls(kind, None, reason)

    @property
    def reason(self) -> str:
        """Why there is not a port to enter; "" if there is one."""
        return "" if self.port else self.text

    @property
    def note(self) -> str:
        """The caveat about the choice of the port, or ""."""
        return self.text if self.port else ""

    @property
    def ports(self) -> tuple[IfaceRef, ...]:
        """All ports where the packet may enter. The kind PORT has at least one, the other kinds have none."""
        return (self.port, *self.also) if self.port else ()

    @property
    def impossible(self) -> bool:
        """Whether the result is NO without a test."""
        return self.kind is IngressKind.IMPOSSIBLE

    @property
    def testable(self) -> bool:
        """Whether a packet can be sent at all."""
        return self.kind in (IngressKind.PORT, IngressKind.DIRECT)


def spelled(port: IfaceRef) -> str:
    """Return `router:interface`, or only the router if it sends the packet itself."""
    return str(port) if port.interface else port.router


def find_ingress(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> Ingress:
    """Find where the packet enters. The routers' kernels are queried only if the topology allows several places."""
    for address, end in ((source, "source"), (destination, "destination")):
        reason = topology.not_a_host(address)
        if reason:
            return Ingress.without_port(IngressKind.IMPOSSIBLE, f"{end} {reason}")
    for address, end in ((source, "source"), (destination, "destination")):
        vrf = topology.vrf_holding(address)
        if vrf:
            return Ingress.without_port(
                IngressKind.UNKNOWN, f"{end} {address} is in {vrf}; paths through a VRF are not tested"
            )
    owners = topology.owned_by(source)
    if owners:
        routers = dict.fromkeys(owner.router for owner in owners)
        return Ingress.at_one_of([IfaceRef(name, "") for name in routers], f"the router that sends from {source}")
    homes = topology.segments_holding(source)
    if len(homes) > 1:
        return _from_one_of(topology, homes, source, destination)
    segment = topology.segment_holding(source)
    if segment is not None:
        return _from_segment(topology, lookup, segment, source, destination)
    return _from_beyond(topology, lookup, source, destination)


def _from_one_of(
    topology: Topology, homes: Sequence[Segment], source: IPv4Address, destination: IPv4Address
) -> Ingress:
    """Return the entry of a host that may be on several segments with the same subnet, such as docker0 of many routers."""
    named = topology.host_gateways.named(source)
    ports = [port for home in homes for port in home.ports if topology.interface(port).linked]
    ports = [port for port in ports if named and port in named] or ports
    question = f"the interface facing {source}"
    if not ports or (len(ports) > 1 and any(home.holds(destination) for home in homes)):
        names = ", ".join(str(port) for home in homes for port in home.ports)
        return Ingress.without_port(IngressKind.UNKNOWN, f"the facts do not determine {question} ({names})")
    return Ingress.at_one_of(ports, question)


def _from_segment(
    topology: Topology, lookup: Lookup, segment: Segment, source: IPv4Address, destination: IPv4Address
) -> Ingress:
    ports = [port for port in segment.ports if topology.interface(port).linked]
    subnet = segment.subnet(source)
    if any(topology.interface(port).without_arp for port in ports):
        ports = far_ends.of_host(topology, ports, source) or ports  # a tunnel is not a wire that all hosts share
    elif subnet and destination in subnet:
        owners = topology.owned_by(destination)
        for owner in owners:
            if owner in ports:
                return Ingress.at(owner)
        if not owners:
            reason = f"{source} and {destination} are both on segment {segment.name}: no router is between them"
            return Ingress.without_port(IngressKind.DIRECT, reason)
    if not ports:
        reason = f"no router interface on segment {segment.name}, where {source} is, is up and has carrier"
        return Ingress.without_port(IngressKind.UNKNOWN, reason)
    question = f"the gateway of {source}"
    gateways, less_likely = _gateways(topology, lookup, ports, source, destination)
    if len(gateways) == 1 and less_likely:
        others = ", ".join(map(str, less_likely))
        return Ingress.at(gateways[0], f"assumed that {question} is {gateways[0]} ({others} also possible)")
    return Ingress.at_one_of(gateways, question)


def _gateways(
    topology: Topology, lookup: Lookup, ports: list[IfaceRef], source: IPv4Address, destination: IPv4Address
) -> tuple[list[IfaceRef], list[IfaceRef]]:
    """Return the ports that can be the source's default gateway, and less likely ones.

    The gateway is known if hosts.yaml names it or the facts show it. Otherwise the ports are ranked by their router's
    route to the destination. Less likely ports have a worse route; there are none if the gateway is known.
    """
    ports = [port for port in ports if any(source in n for n in topology.networks_of[port])] or ports
    named = topology.host_gateways.named(source)
    known = [port for port in ports if named and port in named]
    subnet = topology.segment_of[ports[0]].subnet(source)
    if not known and len(ports) > 1 and subnet:
        known = topology.host_gateways.probable(ports, subnet)
    ports = known or ports
    if len(ports) == 1:
        return ports, []
    ranks = {port: _rank(topology, lookup, port, source, destination) for port in ports}
    if known:
        return sorted(known, key=lambda port: (ranks[port], port)), []
    best = min(ranks.values())
    return (
        [port for port in ports if ranks[port] == best],
        [port for port in ports if best < ranks[port] < _NO_ROUTE],
    )


def _rank(topology: Topology, lookup: Lookup, port: IfaceRef, source: IPv4Address, destination: IPv4Address) -> int:
    """Return the rank of a possible gateway; the lowest is the best.

    0: its router owns the destination. 1: its route leads away from the segment. 2: its route leads back out of the
    same port. _NO_ROUTE: it has no route.
    """
    kind, out, _ = lookup(port.router, destination, source, port.interface)
    if kind == "local":
        return 0
    if kind == "none":
        return _NO_ROUTE
    return 2 if out == port else 1


def _from_beyond(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> Ingress:
    """Find the edge through which a packet from an external source enters."""
    # Policy rules may route a packet without a source elsewhere; a default gateway outside the network is an edge in
    # any case.
    edges = _edges_towards(topology, lookup, source) or _gateway_edges(topology)
    if not edges:
        reason = (
            f"{source} is in no segment, and no router has a route to it that leaves the network: "
            "there is no edge where it could enter"
        )
        return Ingress.without_port(IngressKind.UNKNOWN, reason)
    named = topology.host_gateways.named(source)
    edges = [edge for edge in edges if named and edge in named] or edges
    if not named:  # a second provider delivers packets for its own subnet, even if the router sends replies elsewhere
        here = topology.owned_by(destination)
        edges = [edge for edge in _gateway_edges(topology) if edge in here and edge not in edges] or edges
    if len(edges) == 1:
        return Ingress.at(edges[0])
    edge = _edge_at(topology, edges, destination)
    if edge:
        return Ingress.at(edge)
    ways_back = _ways_back(topology, lookup, source, destination)
    edges = [edge for edge in edges if edge in ways_back] or edges
    return Ingress.at_one_of(edges, f"the edge where packets from the external address {source} enter")


def _edges_towards(topology: Topology, lookup: Lookup, address: IPv4Address) -> list[IfaceRef]:
    """Return the ports through which packets for an external address leave the network."""
    edges: list[IfaceRef] = []
    for router in sorted(topology.routers):
        kind, out, hop = lookup(router, address, None, "")
        if kind == "out" and out and hop and next_stop(topology, out, hop, address) == Delivered(edge=True):
            edges.append(out)
    return edges


def _edge_at(topology: Topology, edges: list[IfaceRef], destination: IPv4Address) -> IfaceRef | None:
    """Return the edge that owns the destination, or else the first edge on the destination's segment or on its owner."""
    own = next((edge for edge in edges if edge in topology.owned_by(destination)), None)
    owners = {port.router for port in topology.owned_by(destination)}
    on_segment = (edge for edge in edges if topology.segment_of[edge].holds(destination))
    on_router = (edge for edge in edges if edge.router in owners)
    return own or next(on_segment, None) or next(on_router, None)


def _gateway_edges(topology: Topology) -> list[IfaceRef]:
    """Return the ports that are on a segment with a provider's gateway and whose router has a default route to it."""
    return [
        port
        for segment in topology.segments
        for port in segment.ports
        if topology.interface(port).linked and segment.gateways & default_gateways(topology.routers[port.router])
    ]


def _ways_back(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> set[IfaceRef]:
    """Return the edges where replies from the destination leave. The request is expected to enter through one of them."""
    starts = [port.router for port in topology.owned_by(destination)]
    segment = topology.segment_holding(destination)
    if not starts and segment is not None:
        ports = [port for port in segment.ports if topology.interface(port).linked]
        starts = [port.router for port in _gateways(topology, lookup, ports, destination, source)[0]] if ports else []
    ends = (_way_out(topology, lookup, start, source) for start in dict.fromkeys(starts))
    return {end for end in ends if end}


def _way_out(topology: Topology, lookup: Lookup, router: str, address: IPv4Address) -> IfaceRef | None:
    """Return the edge where a packet from the router to an external address leaves the network, or None if it does not."""
    seen = set[str]()
    while router not in seen:
        seen.add(router)
        kind, out, hop = lookup(router, address, None, "")
        if kind != "out" or out is None or hop is None:
            return None
        stop = next_stop(topology, out, hop, address)
        if isinstance(stop, Delivered):
            return out
        if not isinstance(stop, Onward):
            return None
        router = stop.port.router
    return None
