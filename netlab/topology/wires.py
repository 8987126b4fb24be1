"""Finds the segments: which interfaces are on one wire, by their subnets, and by the gateways of their routes. Pure.

Interfaces in the same subnet are on one wire. An interface is also on one wire with the owner of a gateway to which a
route sends packets through it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Container
from ipaddress import IPv4Address, IPv4Network

from netlab.facts.reader import Address, Interface, NetworkFacts, RouterFacts
from netlab.topology import on_link
from netlab.topology.segments import IfaceRef, Segment


def addresses(facts: NetworkFacts) -> list[tuple[RouterFacts, Interface, Address]]:
    """Return all addresses of the routers except loopback addresses."""
    return [
        (router, interface, address)
        for router in facts.routers
        for interface in router.interfaces
        for address in interface.addresses
        if not address.local.is_loopback
    ]


class Wires:
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
        gateways = (
            frozenset[IPv4Address]().union(*map(on_link.default_gateways, self._facts.routers)) - self._owners.keys()
        )
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
        for router, interface, address in addresses(self._facts):
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
