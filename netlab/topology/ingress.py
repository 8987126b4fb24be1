"""Finds where a packet from `source` first meets a router.

That is on the source's segment, at the network's edge, or in a router that sends the packet itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from netlab.topology import far_ends
from netlab.topology.edges import find_edges, way_out
from netlab.topology.routing import Routing
from netlab.topology.segments import IfaceRef, Segment
from netlab.topology.topology import Topology

NAME_IT = "name it in hosts.yaml"
"""The remedy if the facts do not show the gateway of a host, or the edge where packets enter."""
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

    `port` is set only for the kind PORT. Its interface is "" if the router itself sends the packet.
    """

    kind: IngressKind
    port: IfaceRef | None
    reason: str
    """Why there is not a port to enter; "" if there is one."""
    also: tuple[IfaceRef, ...] = ()
    """Other ports where the packet may enter instead. The facts do not determine the port, so each must be tested."""
    question: str = ""
    """What the facts do not determine if `also` has ports, such as `the gateway of 10.0.1.10`."""
    remedy: str = ""
    """What the user can do if the answers for the ports differ, or ""."""

    def __post_init__(self) -> None:
        """Raise ValueError if a PORT has no port, or another kind has a port or no reason."""
        is_port = self.kind is IngressKind.PORT
        if is_port != (self.port is not None) or not (is_port or self.reason):
            raise ValueError(
                f"an ingress of kind {self.kind.value} cannot have port {self.port} and reason {self.reason!r}"
            )

    @classmethod
    def at(cls, port: IfaceRef) -> Ingress:
        """Return the Ingress of a packet that enters at `port`."""
        return cls(IngressKind.PORT, port, "")

    @classmethod
    def at_one_of(cls, ports: Sequence[IfaceRef], question: str, remedy: str = NAME_IT) -> Ingress:
        """Return the Ingress of a packet that enters at one of the ports, if the facts do not show at which one."""
        first, *others = ports
        return cls(IngressKind.PORT, first, "", tuple(others), question, remedy)

    @classmethod
    def without_port(cls, kind: IngressKind, reason: str) -> Ingress:
        """Return the Ingress of a packet that enters at no port, with the reason."""
        return cls(kind, None, reason)

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


def find_ingress(topology: Topology, routing: Routing, source: IPv4Address, destination: IPv4Address) -> Ingress:
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
        return Ingress.at_one_of([IfaceRef(name, "") for name in routers], f"the router that sends from {source}", "")
    homes = topology.segments_holding(source)
    if len(homes) > 1:
        return _from_one_of(topology, homes, source, destination)
    segment = topology.segment_holding(source)
    if segment is not None:
        return _from_segment(topology, routing, segment, source, destination)
    return _from_beyond(topology, routing, source, destination)


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
    topology: Topology, routing: Routing, segment: Segment, source: IPv4Address, destination: IPv4Address
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
    return Ingress.at_one_of(_gateways(topology, routing, ports, source, destination), f"the gateway of {source}")


def _gateways(
    topology: Topology, routing: Routing, ports: list[IfaceRef], source: IPv4Address, destination: IPv4Address
) -> list[IfaceRef]:
    """Return the ports that can be the source's default gateway, the most likely one first.

    These are the ones that hosts.yaml names, or else those that the facts show to be a gateway. If the facts show none,
    it is any port whose router has a route to the destination. That is also so if a gateway that no router owns is on the
    segment: it is the gateway of its hosts, and it can send their packets to any router.
    """
    ports = [port for port in ports if any(source in n for n in topology.networks_of[port])] or ports
    named = topology.host_gateways.named(source)
    known = [port for port in ports if named and port in named]
    segment = topology.segment_of[ports[0]]
    subnet = segment.subnet(source)
    if not known and len(ports) > 1 and subnet and not segment.gateways:
        known = topology.host_gateways.probable(ports, subnet)
    ports = known or ports
    if len(ports) == 1:
        return ports
    ranks = {port: _rank(topology, routing, port, source, destination) for port in ports}
    able = [port for port in ports if ranks[port] < _NO_ROUTE]
    return sorted(known or able or ports, key=lambda port: (ranks[port], port))


def _rank(topology: Topology, routing: Routing, port: IfaceRef, source: IPv4Address, destination: IPv4Address) -> int:
    """Return the rank of a possible gateway; the lowest is the most likely one.

    0: its router owns the destination. 1: its route leads away from the segment. 2: its route leads back out of the
    same port, or it has a route but drops packets from the source. _NO_ROUTE: it has no route.
    """
    kind, out, _ = routing.lookup(port.router, destination, source, port.interface)
    if kind == "local":
        return 0
    if kind == "none":
        return 2 if routing.lookup(port.router, destination, None, "")[0] == "out" else _NO_ROUTE
    return 2 if out == port else 1


def _from_beyond(topology: Topology, routing: Routing, source: IPv4Address, destination: IPv4Address) -> Ingress:
    """Return the entry of a packet from an external source: one of the edges.

    An edge through which the reply would leave is the first one. The others are as possible.
    """
    edges = find_edges(topology, routing, source, destination)
    if not edges:
        reason = (
            f"{source} is in no segment, and no router has a route to it that leaves the network: "
            "there is no edge where it could enter"
        )
        return Ingress.without_port(IngressKind.UNKNOWN, reason)
    if len(edges) > 1:
        back = _ways_back(topology, routing, source, destination)
        edges.sort(key=lambda edge: edge not in back)
    return Ingress.at_one_of(edges, f"the edge where packets from the external address {source} enter")


def _ways_back(topology: Topology, routing: Routing, source: IPv4Address, destination: IPv4Address) -> set[IfaceRef]:
    """Return the edges where replies from the destination leave."""
    starts = [port.router for port in topology.owned_by(destination)]
    segment = topology.segment_holding(destination)
    if not starts and segment is not None:
        ports = [port for port in segment.ports if topology.interface(port).linked]
        starts = [port.router for port in _gateways(topology, routing, ports, destination, source)] if ports else []
    ends = (way_out(topology, routing, start, source) for start in dict.fromkeys(starts))
    return {end for end in ends if end}
