"""The topology of a network: its segments, which router owns an address, and what a router is connected to. Pure."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network

from netlab.errors import FactsError, Problem
from netlab.facts.reader import Interface, NetworkFacts, RouterFacts
from netlab.topology import host_local, on_link
from netlab.topology.host_gateways import HostGateways
from netlab.topology.segments import IfaceRef, Segment
from netlab.topology.wires import Wires, addresses


class Topology:
    """The segments and address owners of one network. Raises FactsError if two routers own the same address."""

    def __init__(self, facts: NetworkFacts) -> None:
        self.routers: dict[str, RouterFacts] = {router.name: router for router in facts.routers}
        separate = host_local.ports(facts)
        self.owners = _owners(facts, separate)
        wires = Wires(facts, self.owners, separate)
        self.segments = wires.segments()
        self.networks_of: dict[IfaceRef, tuple[IPv4Network, ...]] = {p: tuple(n) for p, n in wires.networks.items()}
        """Port -> the subnets with hosts that can use this port as their gateway."""
        self.segment_of: dict[IfaceRef, Segment] = {p: s for s in self.segments for p in s.ports}
        self._holding = lru_cache(maxsize=16384)(self._find_segments)
        self._no_host = lru_cache(maxsize=16384)(self._why_no_host)
        self._vrfs = [(f"VRF {name} of {r.name}", network) for r in facts.routers for name, network in r.vrf_networks]
        self.host_gateways = HostGateways(facts, self.segments, self.owners)

    @cached_property
    def default_route_ports(self) -> list[tuple[IfaceRef, bool]]:
        """The linked ports of default routes in any table: to a gateway that no router owns (True), or into a tunnel.

        Through a tunnel (False) a packet leaves the network only if no known router is at its far end.
        """
        gateways = {router.name: on_link.default_gateways(router) for router in self.routers.values()}
        devices = {router.name: on_link.default_devices(router) for router in self.routers.values()}
        found = []
        for segment in self.segments:
            for port in segment.ports:
                interface = self.interface(port)
                to_provider = bool(segment.gateways & gateways[port.router])
                into_tunnel = interface.without_arp and port.interface in devices[port.router]
                if interface.linked and (to_provider or into_tunnel):
                    found.append((port, to_provider))
        return found

    def owned_by(self, address: IPv4Address) -> tuple[IfaceRef, ...]:
        """Return the ports that own this address; empty if no router owns it."""
        return self.owners.get(address, ())

    def interface(self, port: IfaceRef) -> Interface:
        """Return the facts of a port."""
        return self.routers[port.router].interface(port.interface)

    def segment_holding(self, address: IPv4Address) -> Segment | None:
        """Return the first of `segments_holding`, or None."""
        return next(iter(self.segments_holding(address)), None)

    def segments_holding(self, address: IPv4Address) -> tuple[Segment, ...]:
        """Return the segments with the longest prefix for the address. There are several if they have the same subnet."""
        return self._holding(address)

    def _find_segments(self, address: IPv4Address) -> tuple[Segment, ...]:
        best, found = -1, list[Segment]()
        for segment in self.segments:
            length = max((network.prefixlen for network in segment.networks if address in network), default=-1)
            if length > best:
                best, found = length, [segment]
            elif length == best >= 0:
                found.append(segment)
        return tuple(found)

    def vrf_holding(self, address: IPv4Address) -> str:
        """Return text such as `VRF mgmt of gw` if the address is only in a VRF; "" otherwise."""
        if not self._vrfs or self.owned_by(address) or self.segment_holding(address):
            return ""
        return next((name for name, network in self._vrfs if address in network), "")

    def networks_beside(self, port: IfaceRef) -> list[IPv4Network]:
        """Return the subnets of the other interfaces of the port's router."""
        others = (
            IfaceRef(port.router, i.name) for i in self.routers[port.router].interfaces if i.name != port.interface
        )
        return [network for other in others for network in self.networks_of.get(other, ())]

    def home(self, address: IPv4Address) -> str:
        """Return the owner or segment of an address inside the network as text; "" for an external address."""
        owners, segment = self.owned_by(address), self.segment_holding(address)
        if owners:
            return f"{address} is {owners[0].router}'s own address"
        return f"{address} belongs to segment {segment.name}" if segment else ""

    def not_a_host(self, address: IPv4Address) -> str:
        """Return why no host can have this address (it is a broadcast, multicast or network address); "" if one can."""
        return self._no_host(address)

    def _why_no_host(self, address: IPv4Address) -> str:
        if address.is_multicast or address.is_unspecified or address.packed == b"\xff\xff\xff\xff":
            return f"{address} is not a host address: it is a {'multicast' if address.is_multicast else 'reserved'} address"
        segment = self.segment_holding(address)
        if segment and segment.reserves(address) and not self.owned_by(address):
            return f"{address} is not a host address: it is the network or broadcast address of segment {segment.name}"
        return ""


def _owners(facts: NetworkFacts, separate: Container[tuple[str, str]]) -> dict[IPv4Address, tuple[IfaceRef, ...]]:
    """Return the ports that own each address. Raises FactsError if two routers own the same one."""
    owners: dict[IPv4Address, tuple[IfaceRef, ...]] = {}
    problems = []
    for router, interface, address in addresses(facts):
        port = IfaceRef(router.name, interface.name)
        before = owners.get(address.local, ())
        elsewhere = [p for p in before if p.router != port.router]
        if elsewhere and not interface.loopback and port not in separate:
            problems.append(
                Problem(
                    router.file("addr.json"),
                    interface.line,
                    f"{address.local} on {interface.name} is also on {elsewhere[0]}; remove one of them, because "
                    "packets to this address would have no unique destination",
                )
            )
        owners[address.local] = (*before, port)
    if problems:
        raise FactsError(problems)
    return owners
