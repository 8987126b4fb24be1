"""Topology: which interfaces share a segment, who owns an address, and where a routing decision leads. Pure.

A segment is a subnet and the interfaces in it. Hosts are not in any router's facts: an address in a segment's subnet
that no router owns counts as a host of that segment, or, where a router has a default route to it, as the provider's
gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from netlab.errors import FactsError, Problem
from netlab.facts.reader import Address, Interface, NetworkFacts, RouterFacts


class IfaceRef(NamedTuple):
    """One interface of one router."""

    router: str
    interface: str

    def __str__(self) -> str:
        return f"{self.router}:{self.interface}"


@dataclass(frozen=True)
class Segment:
    """A subnet (or, after merging, several) and the router interfaces in it."""

    name: str
    networks: tuple[IPv4Network, ...]
    ports: tuple[IfaceRef, ...]
    gateways: frozenset[IPv4Address]
    """Default gateways on this segment that no router owns: the provider's side."""

    def reserves(self, address: IPv4Address) -> bool:
        """Whether it is a subnet's own or broadcast address, which no host can have (RFC 3021: /31 has neither)."""
        return any(n.prefixlen < 31 and address in (n.network_address, n.broadcast_address) for n in self.networks)

    def holds(self, address: IPv4Address) -> bool:
        """Whether the address is in one of the segment's subnets."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True)
class Delivered:
    """The packet has reached its destination's segment, or left the network at its edge."""

    edge: bool


@dataclass(frozen=True)
class Onward:
    """The packet enters the next router at this port."""

    port: IfaceRef


@dataclass(frozen=True)
class Nowhere:
    """The packet is lost here, for this `reason`."""

    reason: str


NextStop = Delivered | Onward | Nowhere


class Topology:
    """Segments and ownership of one network; raises FactsError when two routers own one address."""

    def __init__(self, facts: NetworkFacts) -> None:
        self.routers: dict[str, RouterFacts] = {router.name: router for router in facts.routers}
        self.owners: dict[IPv4Address, tuple[IfaceRef, ...]] = {}
        self._own(facts)
        self.segments = _segments(facts, self.owners)
        self.segment_of: dict[IfaceRef, Segment] = {p: s for s in self.segments for p in s.ports}

    def _own(self, facts: NetworkFacts) -> None:
        problems = []
        for router, interface, address in _addresses(facts):
            port = IfaceRef(router.name, interface.name)
            before = self.owners.get(address.local, ())
            elsewhere = [p for p in before if p.router != port.router]
            if elsewhere and not interface.loopback:
                problems.append(
                    Problem(
                        router.file("addr.json"),
                        interface.line,
                        f"{address.local} on {interface.name} is also on {elsewhere[0]}; one of them must go, "
                        "or a packet to it has no one destination",
                    )
                )
            self.owners[address.local] = (*before, port)
        if problems:
            raise FactsError(problems)

    def owned_by(self, address: IPv4Address) -> tuple[IfaceRef, ...]:
        """The ports that own this address; empty when no router owns it."""
        return self.owners.get(address, ())

    def interface(self, port: IfaceRef) -> Interface:
        """The facts of a port."""
        return self.routers[port.router].interface(port.interface)

    def segment_holding(self, address: IPv4Address) -> Segment | None:
        """The segment with the longest prefix that holds the address."""
        best: tuple[int, Segment] | None = None
        for segment in self.segments:
            for network in segment.networks:
                if address in network and (best is None or network.prefixlen > best[0]):
                    best = (network.prefixlen, segment)
        return best[1] if best else None

    def after(self, out: IfaceRef, next_hop: IPv4Address, destination: IPv4Address) -> NextStop:
        """What receives a packet that leaves on `out` towards `next_hop` (the destination itself when on link)."""
        segment = self.segment_of.get(out)
        if segment is None:
            return Nowhere(f"{out} has no segment: the interface has no address")
        if not self.interface(out).linked:
            return Nowhere(f"{out} has no carrier: nothing is plugged in there, or its far end is down")
        for port in self.owned_by(next_hop):
            if port in segment.ports and self.interface(port).linked:
                return Onward(port)
        on_link = next_hop == destination
        # A link without ARP passes packets to its far end, whatever the destination.
        if self.owned_by(next_hop) and not (on_link and self.interface(out).without_arp):
            owner = self.owned_by(next_hop)[0]
            what = "destination" if on_link else "next hop"
            away = f"is not on {out}'s segment {segment.name}"
            return Nowhere(f"{what} {next_hop} belongs to {owner}, which {self._state(owner, segment) or away}")
        if on_link:
            return self._on_link(out, segment, destination)
        if segment.holds(next_hop) and (len(segment.ports) == 1 or next_hop in segment.gateways):
            return Delivered(edge=True)
        where = "belongs to no router" if segment.holds(next_hop) else "does not belong"
        return Nowhere(f"next hop {next_hop} of {out} {where} on segment {segment.name}")

    def _state(self, owner: IfaceRef, segment: Segment) -> str:
        if owner not in segment.ports:
            return ""
        return "is without carrier" if self.interface(owner).up else "is down"

    def _on_link(self, out: IfaceRef, segment: Segment, destination: IPv4Address) -> NextStop:
        if segment.holds(destination):
            return Delivered(edge=False)
        if self.interface(out).without_arp:
            far = [port for port in segment.ports if port != out and self.interface(port).linked]
            if not far:
                return Delivered(edge=True)
            if len(far) == 1:
                return Onward(far[0])
            return Nowhere(f"{out} has several far ends ({', '.join(map(str, far))}); facts do not say which takes it")
        return Nowhere(f"{destination} is routed on link into {out}, but is not in segment {segment.name}")


def _addresses(facts: NetworkFacts) -> list[tuple[RouterFacts, Interface, Address]]:
    return [
        (router, interface, address)
        for router in facts.routers
        for interface in router.interfaces
        for address in interface.addresses
        if not address.local.is_loopback
    ]


def _segments(facts: NetworkFacts, owners: dict[IPv4Address, tuple[IfaceRef, ...]]) -> tuple[Segment, ...]:
    """Group the ports that share a subnet, or are each other's point-to-point peers (union-find over both)."""
    parent: dict[IfaceRef, IfaceRef] = {}
    networks: dict[IfaceRef, list[IPv4Network]] = {}
    first: dict[object, IfaceRef] = {}

    def root(port: IfaceRef) -> IfaceRef:
        while parent[port] != port:
            parent[port] = parent[parent[port]]
            port = parent[port]
        return port

    for router, interface, address in _addresses(facts):
        if interface.loopback:
            continue
        port = IfaceRef(router.name, interface.name)
        parent.setdefault(port, port)
        if address.peer is not None:
            key: object = frozenset({address.local, address.peer})
            networks.setdefault(port, []).append(IPv4Network(address.peer))
        else:
            key = address.network
        networks.setdefault(port, []).append(address.network)
        parent[root(port)] = root(first.setdefault(key, port))

    groups: dict[IfaceRef, list[IfaceRef]] = {}
    for port in parent:
        groups.setdefault(root(port), []).append(port)
    gateways = frozenset[IPv4Address]().union(*map(default_gateways, facts.routers))
    segments = []
    for ports in groups.values():
        nets = tuple(sorted({network for port in ports for network in networks[port]}))
        outside = frozenset(g for g in gateways if g not in owners and any(g in network for network in nets))
        name = "+".join(map(str, nets[:2])) + ("+…" if len(nets) > 2 else "")
        segments.append(Segment(name, nets, tuple(sorted(ports)), outside))
    return tuple(sorted(segments, key=lambda segment: segment.networks))


def default_gateways(router: RouterFacts) -> frozenset[IPv4Address]:
    """Gateways of the router's default routes, in any table."""
    gateways = set()
    for route in router.routes:
        if route.data.get("dst") != "default":
            continue
        for hop in (route.data, *(route.data.get("nexthops") or ())):
            try:
                gateways.add(IPv4Address(hop["gateway"]))
            except (KeyError, ValueError, TypeError):
                continue  # no gateway, or an IPv6 one
    return frozenset(gateways)
