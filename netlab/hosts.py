"""The host registry: namespaces that stand for the hosts of a detailed run, on their segment, with their real address.

A host is there as long as any attempt holds a reference; the first acquires, the last releases. It owns nothing that is a
router's: its own address, a MAC made from that address, and a default route to the right router. A host outside every
segment stands behind the edge it would come from: its namespace plays the provider's gateway, which no router owns, and
carries the far address behind it. An address of a router's own needs no host; sockets are opened in the router itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from netlab import namespaces
from netlab.build import LiveNetwork
from netlab.errors import BuildError, NetlabError
from netlab.loader import run_batch
from netlab.plan import Command
from netlab.rtnetlink import LinkWriter
from netlab.topology import Port, Segment

HOST_SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
}


class HostConflict(NetlabError):
    """The address cannot be given to a host."""


@dataclass(frozen=True)
class Place:
    """Where a host stands: the segment it is wired to, its router there, and, beyond an edge, the gateway it plays."""

    segment: Segment
    router: Port | None
    """The router port its default route points to; None when the host talks to its own segment only."""
    gateway: IPv4Address | None = None
    beyond: bool = False

    def __str__(self) -> str:
        return f"beyond {self.router}" if self.beyond else f"segment {self.segment.name}"


@dataclass(eq=False)
class Host:
    """One host on the bench; `references` counts by run."""

    address: IPv4Address
    place: str
    namespace: int
    outside: str
    """Its wire's end at the segment; "" for a router's own address."""
    references: dict[str, int] = field(default_factory=dict)


class HostRegistry:
    """All hosts of one live network."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._links = LinkWriter()
        self._hosts: dict[IPv4Address, Host] = {}
        self._made = 0

    def conflicts(self, address: IPv4Address, place: Place | None = None) -> str | None:
        """Why no host can have this address (there), or None: it is a router's own, or of another segment."""
        owners = self._network.topology.owned_by(address)
        if owners:
            return f"{address} is {owners[0]}'s own address"
        home = self._network.topology.segment_holding(address)
        if place and not place.beyond and home and home != place.segment:
            return f"{address} belongs to segment {home.name}, not {place.segment.name}"
        if place and place.beyond and home:
            return f"{address} belongs to segment {home.name}, it cannot stand {place}"
        return None

    def acquire(self, address: IPv4Address, run: str, place: Place | None) -> Host:
        """Create the host or join it; `place` None for a router's own address. Raises HostConflict, BuildError."""
        host = self._hosts.get(address)
        if host is None:
            host = self._own(address) if place is None else self._create(address, place)
            self._hosts[address] = host
        host.references[run] = host.references.get(run, 0) + 1
        return host

    def release(self, address: IPv4Address, run: str) -> None:
        """Give back one reference; the last one removes the host."""
        host = self._hosts[address]
        host.references[run] -= 1
        if not host.references[run]:
            del host.references[run]
        if not host.references:
            del self._hosts[address]
            self._remove(host)

    def release_all(self, run: str) -> None:
        """Give back every reference of a run whose attempt has ended."""
        for host in list(self._hosts.values()):
            for _ in range(host.references.get(run, 0)):
                self.release(host.address, run)

    def documents(self) -> Iterator[dict[str, Any]]:
        """Each host as status shows it."""
        for address in sorted(self._hosts):
            host = self._hosts[address]
            yield {"address": str(address), "place": host.place, "references": dict(host.references)}

    def _own(self, address: IPv4Address) -> Host:
        owners = self._network.topology.owned_by(address)
        if not owners:
            raise HostConflict(f"{address} is no router's own address, and has no place on any segment")
        router = self._network.routers[owners[0].router]
        return Host(address, f"router {router.name}", router.namespace, "")

    def _create(self, address: IPv4Address, place: Place) -> Host:
        conflict = self.conflicts(address, place)
        if conflict:
            raise HostConflict(conflict)
        self._made += 1
        outside = f"h{self._made}"
        space = namespaces.create(HOST_SYSCTLS)
        try:
            mac = "02:68:" + (place.gateway or address).packed.hex(":")
            wire = f"link add {outside} type veth peer name eth0 address {mac} netns /proc/self/fd/{space}"
            problems = run_batch([Command(wire, f"host {address}", 0)], pass_fds=(space,))
            if not problems:
                with namespaces.entered(space):
                    problems = run_batch(list(_inside(address, place, self._router_address(place))))
            if problems:
                raise BuildError(problems)
            # Last, when both ends can be up at once: a bridge port that gets its carrier later starts up to a second late.
            self._links.plug(outside, self._network.bridges[place.segment])
        except BaseException:
            os.close(space)
            raise
        return Host(address, str(place), space, outside)

    def _router_address(self, place: Place) -> IPv4Address | None:
        if place.router is None:
            return None
        own = [a.local for a in self._network.topology.interface(place.router).addresses]
        return own[0] if own else None

    def _remove(self, host: Host) -> None:
        if not host.outside:
            return
        # Unplugged it can disturb nobody; the kernel takes it away with its namespace, in the background (deleting it here
        # would wait ~30 ms).
        self._links.unplug(host.outside)
        os.close(host.namespace)


def _inside(address: IPv4Address, place: Place, router: IPv4Address | None) -> Iterator[Command]:
    """What makes the new namespace the host."""
    where = f"host {address}"
    own = place.gateway or address
    home: IPv4Network | None = next((n for n in place.segment.networks if own in n), None)
    yield Command("link set dev lo up", where, 0)
    yield Command("link set dev eth0 up", where, 0)
    yield Command(f"addr add {own}/{home.prefixlen if home else 32} dev eth0", where, 0)
    if own != address:
        yield Command(f"addr add {address}/32 dev lo", where, 0)
    if router:
        yield Command(f"route add default via {router} dev eth0 onlink src {address}", where, 0)
