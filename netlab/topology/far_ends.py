"""Determines which router receives a packet from a tunnel with several far ends. Pure.

WireGuard decides by the destination and the allowed addresses of its peers (wireguard.txt). Without this file, the
packet is assumed to go to the far end that has the destination's subnet.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from netlab.facts.dumps.wireguard import Peer
from netlab.facts.reader import RouterFacts
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology


def peer_for(router: RouterFacts, interface: str, address: IPv4Address) -> Peer | None:
    """Return the peer to which WireGuard sends packets for the address.

    Of the peers that allow the address, it is the one with the longest network for it.
    """
    best: tuple[int, Peer] | None = None
    for peer in router.peers:
        if peer.interface == interface:
            for network in peer.allowed:
                if address in network and (best is None or network.prefixlen > best[0]):
                    best = (network.prefixlen, peer)
    return best[1] if best else None


def of_peer(topology: Topology, out: IfaceRef, far: Sequence[IfaceRef], peer: Peer) -> list[IfaceRef]:
    """Return the far ends that can be this peer.

    A far end can be the peer if the peer's allowed networks include its address, and if its own router does not list
    the peer's key (a router is not its own peer).
    """
    router = topology.routers[out.router]
    return [
        port
        for port in far
        if any(peer_for(router, out.interface, a.local) == peer for a in topology.interface(port).addresses)
        and all(other.key != peer.key for other in topology.routers[port.router].peers)
    ]


def of_host(topology: Topology, ports: Sequence[IfaceRef], host: IPv4Address) -> list[IfaceRef]:
    """Return those of a tunnel's ports that have a peer for the address of a host which is none of the other ports."""
    found = []
    for port in ports:
        peer = peer_for(topology.routers[port.router], port.interface, host)
        others = [other for other in ports if other.router != port.router]
        if peer is not None and not of_peer(topology, port, others, peer):
            found.append(port)
    return found


def refusal(topology: Topology, port: IfaceRef, sender: IfaceRef, source: IPv4Address) -> str:
    """Return why WireGuard on `port` drops a packet from `source` that arrives from `sender`; "" if it accepts it.

    WireGuard accepts a packet only if its source is in the allowed addresses of the peer that sent it.
    """
    router = topology.routers[port.router]
    here = [peer for peer in router.peers if peer.interface == port.interface]
    if not here:
        return ""
    peer = peer_for(router, port.interface, source)
    sent_by = [one for one in here if of_peer(topology, port, [sender], one)]
    if peer in sent_by or (peer is not None and not sent_by):
        return ""
    place = router.file("wireguard.txt")
    return f"{port} drops packets from {source}, which is not among the peer's allowed addresses ({place})"


def with_subnet(topology: Topology, far: Sequence[IfaceRef], destination: IPv4Address) -> list[IfaceRef]:
    """Return the far ends whose router owns the destination.

    If no router owns it, return those with the longest subnet for it on their router's other interfaces.
    """
    owners = {owner.router for owner in topology.owned_by(destination)}
    if owners:
        return [port for port in far if port.router in owners]
    lengths: dict[IfaceRef, int] = {}
    for port in far:
        networks = topology.networks_beside(port)
        lengths[port] = max((n.prefixlen for n in networks if destination in n), default=-1)
    longest = max(lengths.values(), default=-1)
    return [port for port in far if lengths[port] == longest >= 0]
