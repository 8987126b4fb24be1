"""Determines what receives a packet that a router sends: a router, a host, the outside, or nothing. Pure.

No router's facts list hosts: an address in a segment's subnet that no router owns counts as a host of that segment. If
a router has a default route to the address, it counts as the provider's gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from netlab.topology import far_ends
from netlab.topology.segments import IfaceRef, Segment
from netlab.topology.topology import Topology


@dataclass(frozen=True)
class Delivered:
    """The packet has reached its destination's segment, or (`edge`) has left the network."""

    edge: bool


@dataclass(frozen=True)
class Onward:
    """The packet enters the next router at this port."""

    port: IfaceRef
    note: str = ""
    """What was assumed about the far end of a tunnel, or ""."""


@dataclass(frozen=True)
class Unclear:
    """The facts do not show what receives the packet. `reason` says why."""

    reason: str


@dataclass(frozen=True)
class Nowhere:
    """The packet is lost here. `reason` says why; `no_host` is True if no host can have its destination address."""

    reason: str
    no_host: bool = False


@dataclass(frozen=True)
class Outside:
    """The packet leaves the network although its destination is inside. What happens to it then is unknown."""

    reason: str


NextStop = Delivered | Onward | Nowhere | Outside | Unclear


def next_stop(topology: Topology, out: IfaceRef, next_hop: IPv4Address, destination: IPv4Address) -> NextStop:
    """Return what receives a packet that leaves on `out` towards `next_hop`.

    `next_hop` is the destination itself if the destination is on link.
    """
    segment = topology.segment_of.get(out)
    if segment is None:
        vrf = next((i.vrf for i in topology.routers[out.router].interfaces if i.name == out.interface), "")
        if vrf:
            return Unclear(f"{out} is in VRF {vrf}; paths through a VRF are not tested")
        return Nowhere(f"{out} has no segment: the interface has no address")
    if not topology.interface(out).linked:
        return Nowhere(f"{out} has no carrier: nothing is plugged in there, or its far end is down")
    if any(peer.interface == out.interface for peer in topology.routers[out.router].peers):
        return _to_peer(topology, out, segment, destination)
    for port in topology.owned_by(next_hop):
        if port in segment.ports and topology.interface(port).linked:
            return Onward(port)
    on_link = next_hop == destination
    # A link without ARP passes packets to its far end, whatever the destination.
    if topology.owned_by(next_hop) and not (on_link and topology.interface(out).without_arp):
        owner = topology.owned_by(next_hop)[0]
        what = "destination" if on_link else "next hop"
        away = f"is not on {out}'s segment {segment.name}"
        return Nowhere(f"{what} {next_hop} belongs to {owner}, which {_state(topology, owner, segment) or away}")
    if on_link:
        return _on_link(topology, out, segment, destination)
    if segment.holds(next_hop) and (len(segment.ports) == 1 or next_hop in segment.gateways):
        return _leaves(topology, out, destination)
    if segment.holds(next_hop) and topology.interface(out).without_arp:
        return _to_far_end(topology, out, segment, destination)  # a tunnel needs no address of its far end
    where = "belongs to no router" if segment.holds(next_hop) else "does not belong"
    return Nowhere(f"next hop {next_hop} of {out} {where} on segment {segment.name}")


def _state(topology: Topology, owner: IfaceRef, segment: Segment) -> str:
    if owner not in segment.ports:
        return ""
    return "has no carrier" if topology.interface(owner).up else "is down"


def _leaves(topology: Topology, out: IfaceRef, destination: IPv4Address) -> NextStop:
    """Return the stop of a packet that leaves the network at `out`.

    This is Delivered for an external destination, and Outside if the destination is inside the network.
    """
    home = topology.home(destination)
    return Outside(f"{home}, but the packet leaves the network at {out}") if home else Delivered(edge=True)


def _on_link(topology: Topology, out: IfaceRef, segment: Segment, destination: IPv4Address) -> NextStop:
    if segment.holds(destination):
        reason = topology.not_a_host(destination)
        return Nowhere(reason, no_host=True) if reason else Delivered(edge=False)
    if topology.interface(out).without_arp:
        return _to_far_end(topology, out, segment, destination)
    return Nowhere(f"{destination} is routed as on-link via {out}, but is not in segment {segment.name}")


def _far(topology: Topology, out: IfaceRef, segment: Segment) -> list[IfaceRef]:
    return [port for port in segment.ports if port != out and topology.interface(port).linked]


def _to_far_end(topology: Topology, out: IfaceRef, segment: Segment, destination: IPv4Address) -> NextStop:
    """Return the far end of a tunnel that receives packets for the destination, as far as the addresses show it."""
    far = _far(topology, out, segment)
    if not far:
        return _leaves(topology, out, destination)
    if len(far) == 1:
        return Onward(far[0])
    hint = f"; add {out.router}/wireguard.txt (`wg show all allowed-ips`)" if out.interface.startswith("wg") else ""
    able = far_ends.with_subnet(topology, far, destination)
    if len(able) == 1:
        note = f"assumed that {out} passes {destination} to {able[0]}, which has its subnet"
        return Onward(able[0], f"{note}{hint} to be certain" if hint else note)
    names = ", ".join(map(str, far))
    return Unclear(
        f"{out} has several far ends ({names}), and the facts do not say which one takes {destination}{hint}"
    )


def _to_peer(topology: Topology, out: IfaceRef, segment: Segment, destination: IPv4Address) -> NextStop:
    """Return the WireGuard peer that receives packets for the destination, according to wireguard.txt."""
    router = topology.routers[out.router]
    peer = far_ends.peer_for(router, out.interface, destination)
    if peer is None:
        return Nowhere(f"no peer of {out} has {destination} in its allowed addresses ({out.router}/wireguard.txt)")
    ends = far_ends.of_peer(topology, out, _far(topology, out, segment), peer)
    if len(ends) == 1:
        return Onward(ends[0])
    if ends or topology.owned_by(destination):
        names = ", ".join(map(str, ends or _far(topology, out, segment)))
        return Unclear(f"the facts do not say which of {names} is the peer {peer.key} of {out}")
    return Delivered(edge=False) if segment.holds(destination) else _leaves(topology, out, destination)
