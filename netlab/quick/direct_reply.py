"""Recognises replies that bypass the router that would have to undo its NAT. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from netlab.packets.probe import Packet
from netlab.quick.flow import Flow
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology


def direct_reply(topology: Topology, out: IfaceRef, source: IPv4Address, destination: IPv4Address, router: str) -> str:
    """Return why the reply bypasses `router`, which changed the destination to `destination` but not the source.

    `out` is the interface through which the request leaves the last router. The result is "" if the reply passes a
    router.
    """
    segment = topology.segment_of.get(out)
    subnet = segment.subnet(source) if segment and not topology.owned_by(source) else None
    if segment is None or subnet is None or destination not in subnet:
        return ""
    if source == destination:
        back = f"{router} sends the packet back to its sender {source}, with the sender's own address as its source"
        return f"{back}; hosts drop that"
    return (
        f"{source} and {destination} are both on segment {segment.name}, and {router} changes only the destination: "
        f"the reply goes directly to {source}, past {router}, which would have to undo its DNAT"
    )


def hairpin(topology: Topology, flow: Flow) -> str:
    """Return why the reply to a delivered quick flow bypasses the router that changed the destination, or ""."""
    if flow.exit is None or flow.packet is flow.seen[0][2]:  # each change by NAT makes a new packet
        return ""
    changing = [router for router, before, after in _changes(flow) if before.destination != after.destination]
    if not changing or flow.seen[0][2].source != flow.packet.source:
        return ""
    source, destination = IPv4Address(flow.packet.source), IPv4Address(flow.packet.destination)
    return direct_reply(topology, flow.exit[0], source, destination, changing[-1])


def unowned_source(topology: Topology, flow: Flow) -> str:
    """Return why the reply to a delivered quick flow may reach no router, because NAT made its source a neighbour.

    The result is "" if a router owns the new source, or if the destination sends the reply to its gateway.
    """
    if flow.exit is None or flow.packet is flow.seen[0][2]:
        return ""
    changing = [router for router, before, after in _changes(flow) if before.source != after.source]
    source, destination = IPv4Address(flow.packet.source), IPv4Address(flow.packet.destination)
    segment = topology.segment_of.get(flow.exit[0])
    subnet = segment.subnet(destination) if segment else None
    if not changing or subnet is None or source not in subnet or topology.owned_by(source):
        return ""
    router = changing[-1]
    return (
        f"{router} changes the source to {source}, which no router owns: {destination} sends its reply to {source} directly,"
        f" and {router} gets it only if it answers ARP requests for {source}, which the facts do not show"
    )


def _changes(flow: Flow) -> Iterator[tuple[str, Packet, Packet]]:
    """Yield (router, packet before it, packet after it)."""
    after = [*(packet for _, _, packet in flow.seen[1:]), flow.packet]
    return ((router, old, new) for (router, _, old), new in zip(flow.seen, after, strict=True))
