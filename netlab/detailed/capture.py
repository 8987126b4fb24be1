"""Captures the packets of a detailed run: opens the gates of its routers, traces packets, and reads their passages."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Address

from netlab.detailed.follow import Index, Passage, passages
from netlab.errors import NetlabError, NetlinkError
from netlab.facts.netconf import settings_of
from netlab.kernel.routes import Route
from netlab.kernel.trace import TraceLost
from netlab.live.build import LiveNetwork, LiveRouter
from netlab.packets.icmp_errors import CODES, unreachable
from netlab.packets.probe import ICMP
from netlab.topology import on_link
from netlab.topology.next_stop import Onward, next_stop
from netlab.topology.segments import IfaceRef

ETHERTYPE_IPV4 = b"\x08\x00"


class Capture:
    """Opens routers for real connections and reads the traced packets. `close_gates` and `forget` restore the routers."""

    def __init__(self, network: LiveNetwork, routers: Iterable[str]) -> None:
        self._network = network
        self._routers = [network.routers[name] for name in routers]
        self.index: Index = defaultdict(list)
        """Incoming header -> passages of packets with this header, in the order of their capture."""
        self.macs = {IfaceRef(r.name, name): live.mac for r in self._routers for name, live in r.ports.items()}
        """The MAC address of each router interface."""

    def open(self, addresses: Iterable[IPv4Address]) -> None:
        """Let real packets through the routers.

        `addresses` are all possible destinations of these packets. Links without ARP need a neighbour entry for each.
        """
        addresses = set(addresses)
        for router in self._routers:
            router.trace.drop()
            router.sets.put("open", ETHERTYPE_IPV4)
            self._far_ends(router, addresses)

    def trace_all_packets(self) -> None:
        """From now on, trace every packet, not only those that open, answer or refuse a connection."""
        for router in self._routers:
            router.sets.put("closely", ETHERTYPE_IPV4)

    def read(self) -> None:
        """Read the trace events since the last call. Raises NetlabError if the kernel lost some."""
        for router in self._routers:
            try:
                events = router.trace.read()
            except TraceLost:
                raise NetlabError(
                    f"{router.name}: the kernel sent more trace events than could be read; test fewer services"
                ) from None
            for passage in passages(router.name, router.names, events, router.book):
                self.index[passage.before].append(passage)

    def refuse(self, passage: Passage) -> None:
        """Send the ICMP error for a packet that the router's routes refused, which the kernel may have suppressed."""
        code = CODES.get(self._fault(passage))
        settings = settings_of(self._network.topology.routers[passage.router].netconf, passage.in_iface)
        silent = settings is not None and not settings.forwarding  # the kernel drops without an error then
        if code is not None and not silent:
            whom, complaint = unreachable(code, passage.packet)
            with contextlib.suppress(OSError):  # the router itself has no route to the sender
                self._network.routers[passage.router].raw.sendto(complaint, (str(whom), 0))

    def _fault(self, passage: Passage) -> int:
        """Return the errno with which the router's routes refuse the packet, or 0 if they accept it."""
        try:
            self.route(passage)
        except NetlinkError as bad:
            return bad.errno
        return 0

    def route(self, passage: Passage) -> Route:
        """Return the route that the packet takes in the router. Raises NetlinkError."""
        router = self._network.routers[passage.router]
        iif = router.ports[passage.in_iface].index if passage.in_iface in router.ports else 0
        after = passage.after
        ports = None if after.protocol == ICMP else (after.sport, after.dport)
        return router.routes.get(
            IPv4Address(after.destination),
            IPv4Address(after.source),
            iif=iif,
            mark=passage.mark,
            protocol=after.protocol,
            ports=ports,
        )

    def close_gates(self) -> None:
        """Block all packets of real connections again."""
        for router in self._routers:
            router.sets.flush(["open", "closely"])

    def forget(self) -> None:
        """Delete everything that the routers learned since `open`: connections, neighbours, trace events."""
        for router in self._routers:
            router.sets.forget_connections()
            router.neighbours.forget()
            router.trace.drop()

    def _far_ends(self, router: LiveRouter, addresses: set[IPv4Address]) -> None:
        """Add neighbour entries for the router's tunnels.

        A real tunnel needs no ARP. On the bench a tunnel is a veth pair, so the MAC address of its far end must be
        known.
        """
        topology = self._network.topology
        for name, live in router.ports.items():
            port = IfaceRef(router.name, name)
            segment = topology.segment_of.get(port)
            if segment is None or not topology.interface(port).without_arp:
                continue
            for address in addresses:
                stop = next_stop(topology, port, address, address)
                if isinstance(stop, Onward) and stop.port not in topology.owned_by(address):
                    mac = self._network.routers[stop.port.router].ports[stop.port.interface].mac
                    router.neighbours.learn(live.index, address, mac)
            for gateway in (
                g for interface, g, _ in on_link.gateways(topology.routers[router.name]) if interface == name
            ):
                for address in addresses:
                    stop = next_stop(topology, port, gateway, address)
                    if isinstance(stop, Onward) and stop.port not in topology.owned_by(gateway):
                        mac = self._network.routers[stop.port.router].ports[stop.port.interface].mac
                        router.neighbours.learn(live.index, gateway, mac)
