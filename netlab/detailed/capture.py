"""The routers a detailed run has to itself: their gates opened, their packets traced, and the way of each put together."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Address

from netlab.detailed.follow import Index, Passage, passages
from netlab.errors import NetlabError, NetlinkError
from netlab.kernel.trace import TraceLost
from netlab.live.build import LiveNetwork, LiveRouter
from netlab.packets.icmp_errors import CODES, unreachable
from netlab.packets.probe import ICMP
from netlab.topology.segments import IfaceRef

ETHERTYPE_IPV4 = b"\x08\x00"


class Capture:
    """Opens routers for real connections and reads what passes; `close_gates` and `forget` put them back."""

    def __init__(self, network: LiveNetwork, routers: Iterable[str]) -> None:
        self._network = network
        self._routers = [network.routers[name] for name in routers]
        self.index: Index = defaultdict(list)
        """Passages by the header they came in with, in order."""
        self.macs = {IfaceRef(r.name, name): live.mac for r in self._routers for name, live in r.ports.items()}
        """The MAC address of each port."""

    def open(self, addresses: Iterable[IPv4Address]) -> None:
        """Let real packets through; `addresses`: whatever they may be sent to, for links that ask for no address."""
        addresses = set(addresses)
        for router in self._routers:
            router.trace.drop()
            router.sets.put("open", ETHERTYPE_IPV4)
            self._far_ends(router, addresses)

    def trace_all_packets(self) -> None:
        """From now on trace every packet, not only those that open, answer or refuse a connection."""
        for router in self._routers:
            router.sets.put("closely", ETHERTYPE_IPV4)

    def read(self) -> None:
        """Read the trace events since the last call. Raises NetlabError when some were lost."""
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
        """Send the sender the ICMP error for what the routes refused, which the kernel may have left out."""
        code = CODES.get(self._fault(passage))
        if code is not None:
            whom, complaint = unreachable(code, passage.packet)
            with contextlib.suppress(OSError):  # the router itself has no route to the sender
                self._network.routers[passage.router].raw.sendto(complaint, (str(whom), 0))

    def _fault(self, passage: Passage) -> int:
        """Why the router's routes do not take the packet: the lookup's errno, 0 when they do."""
        router = self._network.routers[passage.router]
        iif = router.ports[passage.in_iface].index if passage.in_iface in router.ports else 0
        after = passage.after
        ports = None if after.protocol == ICMP else (after.sport, after.dport)
        try:
            router.routes.get(
                IPv4Address(after.destination),
                IPv4Address(after.source),
                iif=iif,
                mark=passage.mark,
                protocol=after.protocol,
                ports=ports,
            )
        except NetlinkError as bad:
            return bad.errno
        return 0

    def close_gates(self) -> None:
        """Let nothing pass any more."""
        for router in self._routers:
            router.sets.flush(["open", "closely"])

    def forget(self) -> None:
        """Everything that was learned meanwhile: connections, neighbours, events."""
        for router in self._routers:
            router.sets.forget_connections()
            router.neighbours.forget()
            router.trace.drop()

    def _far_ends(self, router: LiveRouter, addresses: set[IPv4Address]) -> None:
        """A tunnel hands everything to its far end; here it is a wire, whose far end has to be found without asking."""
        topology = self._network.topology
        for name, live in router.ports.items():
            port = IfaceRef(router.name, name)
            segment = topology.segment_of.get(port)
            if segment is None or not topology.interface(port).without_arp:
                continue
            far = [other for other in segment.ports if other != port and topology.interface(other).up]
            if len(far) == 1:
                mac = self._network.routers[far[0].router].ports[far[0].interface].mac
                for address in addresses:
                    if not segment.holds(address):
                        router.neighbours.learn(live.index, address, mac)
