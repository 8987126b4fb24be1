"""The topology: which interfaces share a segment, and which router owns an address. Pure.

A segment is one wire: its subnets, and the interfaces in them. Interfaces in the same subnet are on one wire. An
interface is also on one wire with the owner of a gateway to which a route sends packets through it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Container
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from netlab.errors import FactsError, Problem
from netlab.facts.host_gateways import FILE, HostGateway, longest_first
from netlab.facts.reader import Address, Interface, NetworkFacts, RouterFacts
from netlab.topology import host_local, on_link

_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


class IfaceRef(NamedTuple):
    """One interface of one router."""

    router: str
    interface: str

    def __str__(self) -> str:
        return f"{self.router}:{self.interface}"


@dataclass(frozen=True)
class Segment:
    """One subnet (several after segments were merged) and the router interfaces in it."""

    name: str
    networks: tuple[IPv4Network, ...]
    ports: tuple[IfaceRef, ...]
    gateways: frozenset[IPv4Address]
    """Default gateways on this segment that no router owns. They belong to the provider."""

    def reserves(self, address: IPv4Address) -> bool:
        """Whether this is the network address or the broadcast address of a subnet, which no host can have.

        A /31 has neither (RFC 3021).
        """
        return any(n.prefixlen < 31 and address in (n.network_address, n.broadcast_address) for n in self.networks)

    def holds(self, address: IPv4Address) -> bool:
        """Whether the address is in one of the segment's subnets."""
        return any(address in network for network in self.networks)

    def subnet(self, address: IPv4Address) -> IPv4Network | None:
        """Return the longest of the segment's subnets that contains the address.

        This is the subnet of a host with the address.
        """
        return max((n for n in self.networks if address in n), key=lambda n: n.prefixlen, default=None)


class Topology:
    """The segments and address owners of one network. Raises FactsError if two routers own the same address."""

    def __init__(self, facts: NetworkFacts) -> None:
        self.routers: dict[str, RouterFacts] = {router.name: router for router in facts.routers}
        self.owners: dict[IPv4Address, tuple[IfaceRef, ...]] = {}
        separate = host_local.ports(facts)
        self._own(facts, separate)
        wires = _Wires(facts, self.owners, separate)
        self.segments = wires.segments()
        self._default_devices = {router.name: on_link.default_devices(router) for router in facts.routers}
        self.networks_of: dict[IfaceRef, tuple[IPv4Network, ...]] = {p: tuple(n) for p, n in wires.networks.items()}
        """Port -> the subnets with hosts that can use this port as their gateway."""
        self.segment_of: dict[IfaceRef, Segment] = {p: s for s in self.segments for p in s.ports}
        self._holding = lru_cache(maxsize=16384)(self._find_segments)
        self._vrfs = [(f"VRF {name} of {r.name}", network) for r in facts.routers for name, network in r.vrf_networks]
        self.configured = tuple(self._configured(facts.gateways))
        """(subnet, ports that can be the gateway of its hosts) from hosts.yaml, most specific subnet first."""

    def _configured(self, gateways: tuple[HostGateway, ...]) -> list[tuple[IPv4Network, frozenset[IfaceRef]]]:
        """Find the ports of the gateways in hosts.yaml. Raises FactsError."""
        found: list[tuple[IPv4Network, frozenset[IfaceRef]]] = []
        problems = []
        for entry in longest_first(gateways):
            ports, why = self._named(entry)
            if why:
                problems.append(Problem(FILE, entry.line, f"column {entry.column}: {why}"))
            found.append((entry.network, ports))
        if problems:
            raise FactsError(problems)
        return found

    def _named(self, entry: HostGateway) -> tuple[frozenset[IfaceRef], str]:
        """Return the ports of the gateway in one entry of hosts.yaml, and what is wrong with the entry ("" if nothing)."""
        router, _, interface = entry.gateway.partition(":")
        near = {s for s in self.segments if any(entry.network.overlaps(network) for network in s.networks)}
        if _MAC.fullmatch(entry.gateway):
            return self._with_mac(entry, near)
        try:
            owners = self.owned_by(IPv4Address(entry.gateway))
            ports = [port for owner in owners for port in self.segment_of if port.router == owner.router]
            if not owners:
                return frozenset(), f"no router of these facts has the address {entry.gateway}"
        except ValueError:
            if router not in self.routers:
                return frozenset(), f"{router} is not a router of these facts"
            ports = [p for p in self.segment_of if p.router == router and interface in ("", p.interface)]
            if interface and not ports:
                return frozenset(), f"{router} has no interface {interface} with an address"
        if near and not any(self.segment_of[port] in near for port in ports):
            return frozenset(), f"{entry.gateway} is not on the segment of {entry.network}"
        return frozenset(ports), ""

    def _with_mac(self, entry: HostGateway, near: Collection[Segment]) -> tuple[frozenset[IfaceRef], str]:
        """Return the port with the MAC address in an entry of hosts.yaml, and what is wrong with the entry.

        Several interfaces of a router often have one MAC address (VLANs, bridges). `near` are the segments of the entry's
        subnet: the port is on one of them. They are empty for addresses outside the network.
        """
        mac = entry.gateway.lower().replace("-", ":")
        instead = "name the router or `router:interface` instead"
        holders = [IfaceRef(r.name, i.name) for r in self.routers.values() for i in r.interfaces if i.mac == mac]
        ports = [port for port in holders if port in self.segment_of]
        if not ports:
            what = f"no interface with an address has the MAC address {entry.gateway} in addr.json"
            return frozenset(), f"{what}; {instead}"
        here = [port for port in ports if self.segment_of[port] in near] if near else ports
        names = ", ".join(map(str, here or ports))
        if not here:
            return frozenset(), f"{entry.gateway} ({names}) is not on the segment of {entry.network}"
        if len(here) > 1:
            return frozenset(), f"several interfaces have the MAC address {entry.gateway} ({names}); {instead}"
        return frozenset(here), ""

    def named_gateways(self, host: IPv4Address) -> frozenset[IfaceRef] | None:
        """Return the ports of the gateway that hosts.yaml has for a host, or None if it has none."""
        return next((ports for network, ports in self.configured if host in network), None)

    def gateway_ports(self, ports: list[IfaceRef], subnet: IPv4Network) -> list[IfaceRef]:
        """Select the ports (all on one segment) that are probably the gateway of the hosts in `subnet`.

        The router of such a port has a virtual address of VRRP, or a default route that leads away from the segment. If
        any router has both, only ports of routers with both are returned.
        """
        holders = [port for port in ports if self._holds_virtual(port, subnet)]
        leading = [port for port in ports if self._leads_away(port)]
        both = [port for port in holders if port in leading]
        return both or [port for port in ports if port in holders or port in leading]

    def _holds_virtual(self, port: IfaceRef, subnet: IPv4Network) -> bool:
        """Whether the port's router has an address in the subnet that can move to another router.

        Such an address is a second one on the port, one that keepalived added, or a /32 on another interface.
        """
        own = [address for address in self.interface(port).addresses if address.local in subnet]
        elsewhere = (
            address
            for interface in self.routers[port.router].interfaces
            if interface.name != port.interface and interface.up and not interface.loopback
            if not interface.without_arp  # such as the interface of IPVS, which only accepts packets
            for address in interface.addresses
            if address.prefixlen == 32 and address.peer is None and address.local in subnet
        )
        return len(own) > 1 or any(address.virtual for address in own) or any(elsewhere)

    def _leads_away(self, port: IfaceRef) -> bool:
        here = {p.interface for p in self.segment_of[port].ports if p.router == port.router}
        return bool(self._default_devices[port.router] - here)

    def _own(self, facts: NetworkFacts, separate: Container[tuple[str, str]]) -> None:
        problems = []
        for router, interface, address in _addresses(facts):
            port = IfaceRef(router.name, interface.name)
            before = self.owners.get(address.local, ())
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
            self.owners[address.local] = (*before, port)
        if problems:
            raise FactsError(problems)

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
        if address.is_multicast or address.is_unspecified or address.packed == b"\xff\xff\xff\xff":
            return f"{address} is not a host address: it is a {'multicast' if address.is_multicast else 'reserved'} address"
        segment = self.segment_holding(address)
        if segment and segment.reserves(address) and not self.owned_by(address):
            return f"{address} is not a host address: it is the network or broadcast address of segment {segment.name}"
        return ""


def _addresses(facts: NetworkFacts) -> list[tuple[RouterFacts, Interface, Address]]:
    return [
        (router, interface, address)
        for router in facts.routers
        for interface in router.interfaces
        for address in interface.addresses
        if not address.local.is_loopback
    ]


class _Wires:
    """Groups the ports that are on one wire (union-find)."""

    def __init__(
        self,
        facts: NetworkFacts,
        owners: dict[IPv4Address, tuple[IfaceRef, ...]],
        separate: Container[tuple[str, str]],
    ) -> None:
        self._facts = facts
        self._separate = separate
        self._owners = owners
        self._parent: dict[IfaceRef, IfaceRef] = {}
        self.networks: dict[IfaceRef, list[IPv4Network]] = {}
        """Port -> subnets of the hosts on it."""
        self._by_addresses()
        self._subnets: dict[IPv4Network, set[str]] = {}
        for port, networks in self.networks.items():
            for network in networks:
                self._subnets.setdefault(network, set()).add(port.router)
        self._sorted = sorted(self._subnets)
        roots = Counter(map(self._root, self._parent))
        self._alone = {port for port in self._parent if roots[self._root(port)] == 1}
        """Ports that share no subnet with another port."""
        for router in facts.routers:
            self._by_gateways(router)
            self._by_destinations(router)
        self._by_tunnels()

    def segments(self) -> tuple[Segment, ...]:
        """Return the segments, sorted by their subnets."""
        groups: dict[IfaceRef, list[IfaceRef]] = {}
        for port in self._parent:
            groups.setdefault(self._root(port), []).append(port)
        gateways = frozenset[IPv4Address]().union(*map(default_gateways, self._facts.routers)) - self._owners.keys()
        segments = []
        for ports in groups.values():
            nets = tuple(sorted({network for port in ports for network in self.networks[port]}))
            outside = frozenset(g for g in gateways if any(g in network for network in nets))
            name = "+".join(map(str, nets[:2])) + ("+…" if len(nets) > 2 else "")
            segments.append(Segment(name or str(min(ports)), nets, tuple(sorted(ports)), outside))
        return tuple(sorted(segments, key=lambda segment: (segment.networks, segment.ports)))

    def _root(self, port: IfaceRef) -> IfaceRef:
        parent = self._parent
        while parent[port] != port:
            parent[port] = parent[parent[port]]
            port = parent[port]
        return port

    def _add(self, port: IfaceRef, *networks: IPv4Network) -> None:
        self._parent.setdefault(port, port)
        self.networks.setdefault(port, []).extend(networks)

    def _by_addresses(self) -> None:
        """Join ports that share a subnet or are each other's point-to-point peers."""
        first: dict[object, IfaceRef] = {}
        for router, interface, address in _addresses(self._facts):
            if interface.loopback:
                continue
            port = IfaceRef(router.name, interface.name)
            if address.peer is not None:
                key: object = frozenset({address.local, address.peer})
                self._add(port, IPv4Network(address.peer))
            else:
                key = (port, address.network) if port in self._separate else address.network
            self._add(port, address.network)
            self._parent[self._root(port)] = self._root(first.setdefault(key, port))

    def _by_gateways(self, router: RouterFacts) -> None:
        """Put the gateway of each route on the wire of the route's interface.

        If a router owns the gateway, the two ports are joined (except on links without ARP). Otherwise the gateway's
        address becomes a subnet of the port.
        """
        interfaces = _wired(router)
        for name, gateway, forced in on_link.gateways(router):
            if name not in interfaces or (forced and not _without_subnet(interfaces[name])):
                continue  # `onlink` outside the interface's own subnet is more likely a mistake
            port = IfaceRef(router.name, name)
            owners = self._owners.get(gateway, ())
            if owners and interfaces[name].without_arp:
                self._add(port)
            elif owners:
                self._join_owner(port, owners)
            elif not any(gateway in network for network in self.networks.get(port, ())):
                self._add(port, IPv4Network(gateway))

    def _by_destinations(self, router: RouterFacts) -> None:
        """Put destinations of routes without a gateway on the wire, unless they are known to be elsewhere."""
        interfaces = _wired(router)
        for name, network in on_link.destinations(router):
            if name not in interfaces:
                continue
            port = IfaceRef(router.name, name)
            owners = self._owners.get(network.network_address, ()) if network.prefixlen == 32 else ()
            if interfaces[name].without_arp:
                self._add(port)  # the far end has these destinations, not the link
            elif owners:
                self._join_owner(port, owners)
            elif (network.prefixlen == 32 or _without_subnet(interfaces[name])) and not self._elsewhere(port, network):
                self._add(port, network)  # another subnet beside its own is more likely a forgotten gateway

    def _elsewhere(self, port: IfaceRef, network: IPv4Network) -> bool:
        """Whether the network is known to be elsewhere.

        It is if it is a subnet in the facts, contains one, or is part of a subnet that this port's router is not in.
        """
        if network in self._subnets:
            return True
        within = bisect_left(self._sorted, network)
        if within < len(self._sorted) and self._sorted[within].subnet_of(network):
            return True
        wider = (network.supernet(new_prefix=length) for length in range(network.prefixlen))
        return any(known in self._subnets and port.router not in self._subnets[known] for known in wider)

    def _join_owner(self, port: IfaceRef, owners: tuple[IfaceRef, ...]) -> None:
        """Join a port to the port of another router that owns an address on its wire.

        Does nothing if this would put two interfaces of one router on one wire. In that case the route is probably
        wrong.
        """
        if len(owners) != 1 or owners[0].router == port.router or owners[0] not in self._parent:
            return
        self._add(port)
        one, other = self._root(port), self._root(owners[0])
        if one != other and not self._routers(one) & self._routers(other):
            self._parent[one] = other

    def _by_tunnels(self) -> None:
        """Join tunnels without a common subnet if their routes lead to each other's address.

        OpenVPN with a /32 for each end is an example. Only tunnels without a far end are joined. A tunnel that has a
        far end passes packets for all other addresses to it.
        """
        lone: dict[str, dict[str, list[IPv4Address]]] = {}
        for router in self._facts.routers:
            for interface in router.interfaces:
                port = IfaceRef(router.name, interface.name)
                if interface.without_arp and "POINTOPOINT" in interface.flags and port in self._alone:
                    lone.setdefault(router.name, {})[interface.name] = [a.local for a in interface.addresses]
        routes = {r.name: on_link.tunnel_routes(r, lone[r.name]) for r in self._facts.routers if r.name in lone}
        ends = [(IfaceRef(name, i), addresses) for name, found in lone.items() for i, addresses in found.items()]
        for port, addresses in ends:
            for other in sorted(lone.keys() - {port.router}):
                far = {on_link.longest(routes[other], address) for address in addresses}
                for name in filter(None, far):
                    if port.interface in {on_link.longest(routes[port.router], a) for a in lone[other][name]}:
                        self._parent[self._root(port)] = self._root(IfaceRef(other, name))

    def _routers(self, root: IfaceRef) -> set[str]:
        return {port.router for port in self._parent if self._root(port) == root}


def _wired(router: RouterFacts) -> dict[str, Interface]:
    """Return the interfaces that can be on a wire, by name."""
    return {i.name: i for i in router.interfaces if not i.loopback and not i.vrf}


def _without_subnet(interface: Interface) -> bool:
    """Whether the interface has no subnet, so that only routes show what is on its link."""
    return all(address.prefixlen == 32 for address in interface.addresses)


def default_gateways(router: RouterFacts) -> frozenset[IPv4Address]:
    """Return the gateways of the router's default routes, in any table."""
    gateways = set()
    for route in router.routes:
        if route.data.get("dst") != "default":
            continue
        for hop in on_link.hops(route.data):
            try:
                gateways.add(IPv4Address(hop["gateway"]))
            except (KeyError, ValueError, TypeError):
                continue  # no gateway, or an IPv6 one
    return frozenset(gateways)
