"""Where a packet from `source` first meets a router: on its segment, at the network's edge, or made by a router itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from netlab.topology.segments import Delivered, IfaceRef, Onward, Segment, Topology, default_gateways

Lookup = Callable[[str, IPv4Address, IPv4Address | None, str], tuple[str, IfaceRef | None, IPv4Address | None]]
"""(router, destination, source, iif) -> ("local" | "out" | "none", out port, next hop), as the router's kernel says."""


@dataclass(frozen=True)
class Ingress:
    """`port` None and no reason: no router is between. `port.interface` "": the router itself sends."""

    port: IfaceRef | None
    reason: str = ""
    unknown: bool = False
    impossible: bool = False
    """No packet can come from there or be for there: the answer is NO."""
    note: str = ""


def find_ingress(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> Ingress:
    """Decide where the packet comes in; asks kernels only where the topology leaves a choice."""
    for address, end in ((source, "source"), (destination, "destination")):
        segment = topology.segment_holding(address)
        if segment and segment.nobodys(address) and not topology.owned_by(address):
            return Ingress(
                None,
                f"{end} {address} is no host: it is segment {segment.name}'s own or broadcast address",
                impossible=True,
            )
    owners = topology.owned_by(source)
    if owners:
        return Ingress(IfaceRef(owners[0].router, ""))
    segment = topology.segment_holding(source)
    if segment is not None:
        return _from_segment(topology, lookup, segment, source, destination)
    return _from_beyond(topology, lookup, source, destination)


def _from_segment(
    topology: Topology, lookup: Lookup, segment: Segment, source: IPv4Address, destination: IPv4Address
) -> Ingress:
    here = [port for port in segment.ports if topology.interface(port).linked]
    mine = [port for port in topology.owned_by(destination) if port in here]
    if mine:
        return Ingress(mine[0])
    if segment.holds(destination) and not topology.owned_by(destination):
        return Ingress(
            None, f"{source} and {destination} are both on segment {segment.name}: no router is between them"
        )
    if not here:
        return Ingress(
            None,
            f"no router's interface on segment {segment.name} of {source} is up with carrier",
            unknown=True,
        )
    ranks = {port: _rank(topology, lookup, port, source, destination) for port in here}
    best = min(ranks.values())
    chosen = [port for port in here if ranks[port] == best]
    note = ""
    if len(chosen) > 1:
        others = ", ".join(map(str, chosen[1:]))
        note = (
            f"segment {segment.name} has several routers that could be {source}'s gateway; "
            f"asked {chosen[0]}, not {others}"
        )
    return Ingress(chosen[0], note=note)


def _rank(topology: Topology, lookup: Lookup, port: IfaceRef, source: IPv4Address, destination: IPv4Address) -> int:
    """A host's gateway is the router that owns the destination, else one that leads away from the segment."""
    kind, out, _ = lookup(port.router, destination, source, port.interface)
    if kind == "local":
        return 0
    if kind == "none":
        return 3
    return 2 if out == port else 1


def _from_beyond(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> Ingress:
    edges: list[IfaceRef] = []
    for router in sorted(topology.routers):
        kind, out, hop = lookup(router, source, None, "")
        if kind == "out" and out and hop and topology.after(out, hop, source) == Delivered(edge=True):
            edges.append(out)
    # Policy rules may send what has no source yet elsewhere; a default gateway outside the network is an edge all the same.
    edges = edges or _gateway_edges(topology)
    if not edges:
        return Ingress(
            None,
            f"{source} is in no segment, and no router has a route to it that leaves the network: "
            "there is no place where it could come in",
            unknown=True,
        )
    if len(edges) == 1:
        return Ingress(edges[0])
    public = [edge for edge in edges if topology.segment_of[edge].holds(destination)]
    public = public or [edge for edge in edges for own in topology.owned_by(destination) if own.router == edge.router]
    back = public[0] if public else _way_back(topology, lookup, source, destination)
    if back in edges:
        return Ingress(back)
    others = ", ".join(map(str, edges[1:]))
    return Ingress(edges[0], note=f"{source} could come in at several edges; asked {edges[0]}, not {others}")


def _gateway_edges(topology: Topology) -> list[IfaceRef]:
    """Ports whose segment has a provider's gateway, of routers that point a default route at it."""
    return [
        port
        for segment in topology.segments
        for port in segment.ports
        if topology.interface(port).linked and segment.gateways & default_gateways(topology.routers[port.router])
    ]


def _way_back(topology: Topology, lookup: Lookup, source: IPv4Address, destination: IPv4Address) -> IfaceRef | None:
    """Follow the reply from the destination; the edge it leaves by is the edge the request came in by."""
    owners = topology.owned_by(destination)
    segment = topology.segment_holding(destination)
    if not owners and segment is None:
        return None
    starts = owners or (segment.ports if segment else ())
    for start in starts:
        router, seen = start.router, set[str]()
        while router not in seen:
            seen.add(router)
            kind, out, hop = lookup(router, source, None, "")
            if kind != "out" or out is None or hop is None:
                break
            stop = topology.after(out, hop, source)
            if isinstance(stop, Delivered):
                return out
            if not isinstance(stop, Onward):
                break
            router = stop.port.router
    return None
