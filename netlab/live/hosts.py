"""The host registry: namespaces that represent the hosts of a detailed run, on their segment, with their real address.

A host exists while an attempt has a reference to it. It has its own address, a MAC made from that address, a default
route to the right router, and nothing that belongs to a router. If an address is outside every segment, its host is
behind the edge through which it would enter: one namespace acts as the provider's gateway, which no router owns, and
has all the far addresses behind it. A router's own address needs no namespace; its sockets are opened in the router
itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from netlab.errors import NetlabError, NetlinkError
from netlab.kernel import links
from netlab.kernel.links import LOOPBACK, WIRE
from netlab.live.build import LiveNetwork
from netlab.live.host_pool import PooledNamespace
from netlab.topology.segments import IfaceRef, Segment

UNNUMBERED_GATEWAY = IPv4Address("169.254.1.1")
"""The gateway of a host if the router's interface has no address. Calico uses the same address for this purpose."""


class HostConflict(NetlabError):
    """The address cannot be given to a host."""


@dataclass(frozen=True)
class HostLocation:
    """The place of a host: its segment, its router there, and (beyond an edge) the gateway that its namespace acts as."""

    segment: Segment
    router: IfaceRef | None
    """The router port to which the default route points; None if the host needs only its own segment."""
    gateway: IPv4Address | None = None
    beyond: bool = False

    def __str__(self) -> str:
        return f"beyond {self.router}" if self.beyond else f"segment {self.segment.name}"


@dataclass(eq=False)
class HostNamespace:
    """One namespace on one segment. It is a host, or a gateway with the far hosts behind it."""

    own: IPv4Address
    segment: Segment
    space: PooledNamespace
    routed: bool = False
    hosts: set[IPv4Address] = field(default_factory=set)


@dataclass(eq=False)
class Host:
    """One host on the bench. `references` is the number of references from each run."""

    address: IPv4Address
    place: str
    namespace: int
    station: HostNamespace | None
    """The host's namespace on a segment; None for a router's own address."""
    references: dict[str, int] = field(default_factory=dict)


class HostRegistry:
    """All hosts of one live network."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._hosts: dict[IPv4Address, Host] = {}
        self._stations: dict[tuple[Segment, IPv4Address], HostNamespace] = {}

    def conflicts(self, address: IPv4Address, place: HostLocation | None = None) -> str | None:
        """Return why no host can have this address (at this place), or None if one can.

        It cannot if the address belongs to a router or to another segment, or is not a host address.
        """
        owners = self._network.topology.owned_by(address)
        if owners:
            return f"{address} is {owners[0]}'s own address"
        if address.is_multicast or address.is_loopback or address.is_unspecified or address.packed == b"\xff" * 4:
            return f"{address} is not a valid host address"
        homes = self._network.topology.segments_holding(address)
        home = place.segment if place and place.segment in homes else next(iter(homes), None)
        if home and any(_reserved(address, network) for network in home.networks):
            return f"{address} is not a valid host address in segment {home.name}"
        if place and not place.beyond and home and home != place.segment:
            return f"{address} belongs to segment {home.name}, not {place.segment.name}"
        if place and place.beyond and home:
            return f"{address} belongs to segment {home.name}, it cannot be placed {place}"
        return None

    def acquire(self, address: IPv4Address, run: str, place: HostLocation | None, router: str = "") -> Host:
        """Create the host, or add a reference to it. Raises HostConflict.

        `place` is None for a router's own address. `router` names a router that has the address by a `local` route.
        """
        host = self._hosts.get(address)
        if host is None:
            host = self._own(address, router) if place is None else self._create(address, place)
            self._hosts[address] = host
        host.references[run] = host.references.get(run, 0) + 1
        return host

    def release(self, address: IPv4Address, run: str) -> None:
        """Release one reference. The host is removed with its last reference."""
        host = self._hosts[address]
        host.references[run] -= 1
        if not host.references[run]:
            del host.references[run]
        if not host.references:
            del self._hosts[address]
            if host.station:
                self._leave(host.station, address)

    def release_all(self, run: str) -> None:
        """Release every reference of a run that has ended."""
        for host in list(self._hosts.values()):
            for _ in range(host.references.get(run, 0)):
                self.release(host.address, run)

    def __iter__(self) -> Iterator[Host]:
        return iter([self._hosts[address] for address in sorted(self._hosts)])

    def _own(self, address: IPv4Address, name: str) -> Host:
        owners = self._network.topology.owned_by(address)
        if not owners and not name:
            raise HostConflict(f"{address} is not a router's own address and is not on any segment")
        router = self._network.routers[name or owners[0].router]
        return Host(address, f"router {router.name}", router.namespace, None)

    def _create(self, address: IPv4Address, place: HostLocation) -> Host:
        conflict = self.conflicts(address, place)
        if conflict:
            raise HostConflict(conflict)
        own = place.gateway or address
        station = self._stations.get((place.segment, own))
        try:
            if station is None:
                station = self._station(own, place)
            self._route(station, place)
            if address != own:
                station.space.links.change([links.add_address(LOOPBACK, address, 32)], f"far host {address}")
        except NetlinkError as bad:
            if station and not station.hosts:
                self._remove(station)
            raise HostConflict(f"{address} cannot be placed {place}: {bad}") from bad
        station.hosts.add(address)
        return Host(address, str(place), station.space.namespace, station)

    def _station(self, own: IPv4Address, place: HostLocation) -> HostNamespace:
        """Turn a pooled namespace into the host or gateway with address `own`, and connect it to the segment."""
        space = self._network.spaces.take()
        length = next((n.prefixlen for n in place.segment.networks if own in n), 32)
        if place.router and self._network.topology.interface(place.router).without_arp:
            length = 32  # a tunnel is not a wire that all hosts share
        try:
            space.links.change(
                [links.set_mac(WIRE, b"\x02\x68" + own.packed), links.add_address(WIRE, own, length)],
                f"host {own} on {place}",
            )
            self._network.spaces.plug(space, self._network.bridge(place.segment))
        except BaseException:
            self._network.spaces.give_back(space)
            raise
        station = HostNamespace(own, place.segment, space)
        self._stations[(place.segment, own)] = station
        return station

    def _route(self, station: HostNamespace, place: HostLocation) -> None:
        """Add a default route to the place's router, unless the namespace has one: a gateway has only one return route."""
        if place.router is None or station.routed:
            return
        addresses = self._network.topology.interface(place.router).addresses
        near = (a.local for a in addresses if station.own in a.network)
        gateway = next(near, addresses[0].local if addresses else None)
        messages = []
        if gateway is None:
            gateway = UNNUMBERED_GATEWAY
            mac = self._network.routers[place.router.router].ports[place.router.interface].mac
            messages.append(links.neighbour(gateway, WIRE, mac))
        messages.append(links.default_route(gateway, WIRE))
        station.space.links.change(messages, f"default route of {station.own}")
        station.routed = True

    def _leave(self, station: HostNamespace, address: IPv4Address) -> None:
        station.hosts.discard(address)
        if not station.hosts:
            self._remove(station)
        elif address != station.own:
            station.space.links.change([links.drop_address(LOOPBACK, address, 32)], f"far host {address}")

    def _remove(self, station: HostNamespace) -> None:
        del self._stations[(station.segment, station.own)]
        self._network.spaces.give_back(station.space)


def _reserved(address: IPv4Address, network: IPv4Network) -> bool:
    """Whether this is the network address or the broadcast address of the subnet (RFC 919).

    A /31 has neither (RFC 3021).
    """
    return network.prefixlen < 31 and address in (network.network_address, network.broadcast_address)
