"""Which router interface is the default gateway of the hosts in a subnet. Pure.

hosts.yaml names it (netlab/facts/host_gateways.py). Otherwise it is probably an interface of the router that has a
virtual address, or whose default route leads away from the segment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network

from netlab.errors import FactsError, Problem
from netlab.facts.host_gateways import FILE, HostGateway, longest_first
from netlab.facts.reader import NetworkFacts
from netlab.topology import on_link
from netlab.topology.segments import IfaceRef, Segment

_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


class HostGateways:
    """The default gateways of hosts in one network. Raises FactsError if hosts.yaml does not fit the facts."""

    def __init__(
        self,
        facts: NetworkFacts,
        segments: tuple[Segment, ...],
        owners: Mapping[IPv4Address, tuple[IfaceRef, ...]],
    ) -> None:
        """`owners` has the ports that own an address."""
        self._routers = {router.name: router for router in facts.routers}
        self._segments = segments
        self._segment_of = {port: segment for segment in segments for port in segment.ports}
        self._owners = owners
        self._default_devices = {router.name: on_link.default_devices(router) for router in facts.routers}
        self._by_subnet = tuple(self._configured(facts.gateways))
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
        near = {s for s in self._segments if any(entry.network.overlaps(network) for network in s.networks)}
        if _MAC.fullmatch(entry.gateway):
            return self._with_mac(entry, near)
        try:
            owners = self._owners.get(IPv4Address(entry.gateway), ())
            ports = [port for owner in owners for port in self._segment_of if port.router == owner.router]
            if not owners:
                return frozenset(), f"no router of these facts has the address {entry.gateway}"
        except ValueError:
            if router not in self._routers:
                return frozenset(), f"{router} is not a router of these facts"
            ports = [p for p in self._segment_of if p.router == router and interface in ("", p.interface)]
            if interface and not ports:
                return frozenset(), f"{router} has no interface {interface} with an address"
        if near and not any(self._segment_of[port] in near for port in ports):
            return frozenset(), f"{entry.gateway} is not on the segment of {entry.network}"
        return frozenset(ports), ""

    def _with_mac(self, entry: HostGateway, near: Collection[Segment]) -> tuple[frozenset[IfaceRef], str]:
        """Return the port with the MAC address in an entry of hosts.yaml, and what is wrong with the entry.

        Several interfaces of a router often have one MAC address (VLANs, bridges). `near` are the segments of the entry's
        subnet: the port is on one of them. They are empty for addresses outside the network.
        """
        mac = entry.gateway.lower().replace("-", ":")
        instead = "name the router or `router:interface` instead"
        holders = [IfaceRef(r.name, i.name) for r in self._routers.values() for i in r.interfaces if i.mac == mac]
        ports = [port for port in holders if port in self._segment_of]
        if not ports:
            what = f"no interface with an address has the MAC address {entry.gateway} in addr.json"
            return frozenset(), f"{what}; {instead}"
        here = [port for port in ports if self._segment_of[port] in near] if near else ports
        names = ", ".join(map(str, here or ports))
        if not here:
            return frozenset(), f"{entry.gateway} ({names}) is not on the segment of {entry.network}"
        if len(here) > 1:
            return frozenset(), f"several interfaces have the MAC address {entry.gateway} ({names}); {instead}"
        return frozenset(here), ""

    def named(self, host: IPv4Address) -> frozenset[IfaceRef] | None:
        """Return the ports of the gateway that hosts.yaml has for a host, or None if it has none."""
        return next((ports for network, ports in self._by_subnet if host in network), None)

    def probable(self, ports: list[IfaceRef], subnet: IPv4Network) -> list[IfaceRef]:
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
        own = [
            address
            for address in self._routers[port.router].interface(port.interface).addresses
            if address.local in subnet
        ]
        elsewhere = (
            address
            for interface in self._routers[port.router].interfaces
            if interface.name != port.interface and interface.up and not interface.loopback
            if not interface.without_arp  # such as the interface of IPVS, which only accepts packets
            for address in interface.addresses
            if address.prefixlen == 32 and address.peer is None and address.local in subnet
        )
        return len(own) > 1 or any(address.virtual for address in own) or any(elsewhere)

    def _leads_away(self, port: IfaceRef) -> bool:
        here = {p.interface for p in self._segment_of[port].ports if p.router == port.router}
        return bool(self._default_devices[port.router] - here)
