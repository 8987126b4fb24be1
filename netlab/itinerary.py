"""Before a detailed run: where its hosts stand, where each service ends, and which routers it will cross, both ways.

Found by a quick walk of the same question, which leaves nothing behind; so a run knows its routers before it takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from netlab.entry import Entry, find_entry
from netlab.flow import Flow, Question
from netlab.hosts import Place
from netlab.probe import Packet
from netlab.topology import Port, Topology
from netlab.walk import Walker


@dataclass(frozen=True)
class Leg:
    """One service: its quick walk, the address and port it ends at (after DNAT), and where that host stands.

    `place` None: a router's own address, or nowhere (then `reachable` is False).
    """

    flow: Flow
    address: IPv4Address
    port: int | None
    place: Place | None
    reachable: bool


@dataclass(frozen=True)
class Itinerary:
    """A detailed run's plan. `source_place` None: the source is a router's own address."""

    entry: Entry
    legs: tuple[Leg, ...]
    source_place: Place | None
    routers: frozenset[str]


def plan(topology: Topology, walker: Walker, question: Question) -> Itinerary:
    """Walk the question quickly and lay everything out."""
    ((entry, flows),) = walker.walk([question])
    source_place = _source_place(topology, walker, question.source, entry)
    legs = tuple(_leg(topology, walker, question, entry, flow) for flow in flows)
    routers = {step.router for flow in flows for step in flow.steps}
    for leg in legs:
        if leg.reachable:
            routers |= _reply_routers(topology, walker, question, leg)
    return Itinerary(entry, legs, source_place, frozenset(routers))


def _source_place(topology: Topology, walker: Walker, source: IPv4Address, entry: Entry) -> Place | None:
    if topology.owned_by(source):
        return None
    if entry.port is None:
        home = topology.segment_holding(source)
        return Place(home, None) if home else None
    segment = topology.segment_of[entry.port]
    if segment.holds(source):
        return Place(segment, entry.port)
    kind, out, hop = walker.lookup(entry.port.router, source, None, "")
    gateway = hop if kind == "out" and out == entry.port and hop != source else None
    if gateway is None and segment.gateways:
        gateway = min(segment.gateways)
    return Place(segment, entry.port, gateway, beyond=True)


def _leg(topology: Topology, walker: Walker, question: Question, entry: Entry, flow: Flow) -> Leg:
    address = IPv4Address(flow.packet.destination)
    port = None if flow.service[0] is None else int.from_bytes(flow.packet.ports[2:4], "big")
    owners = topology.owned_by(address)
    if owners:
        here = bool(flow.steps) and any(own.router == flow.steps[-1].router for own in owners)
        return Leg(flow, address, port, None, reachable=here)
    if flow.exit is not None:
        out, hop = flow.exit
        segment = topology.segment_of[out]
        if hop != address:
            return Leg(flow, address, port, Place(segment, out, hop, beyond=True), reachable=True)
        if not segment.holds(address):
            return Leg(flow, address, port, Place(segment, out, None, beyond=True), reachable=True)
        back = find_entry(topology, walker.lookup, address, question.source).port
        return Leg(flow, address, port, Place(segment, back or out), reachable=True)
    home = topology.segment_holding(address)
    if entry.port is None and home:
        return Leg(flow, address, port, Place(home, None), reachable=True)
    return Leg(flow, address, port, None, reachable=False)


def _reply_routers(topology: Topology, walker: Walker, question: Question, leg: Leg) -> set[str]:
    """Routers of the way back. Where a router has changed the source, the reply goes on from there to the true one."""
    routers: set[str] = set()
    seen = leg.flow.packet
    target = IPv4Address(seen.source)
    start = leg.place.router if leg.place else (Port(leg.flow.steps[-1].router, "") if leg.flow.steps else None)
    for destination in dict.fromkeys((target, question.source)):
        if start is None or start.router == "":
            return routers
        packet = Packet(seen.protocol, seen.destination, destination.packed, seen.ports[2:4] + seen.ports[0:2])
        if start.interface == "" and not topology.owned_by(IPv4Address(seen.destination)):
            return routers
        flow = Flow(leg.flow.service, packet, question.dscp)
        flow.enter(start)
        walker.carry([flow])
        routers |= set(flow.path)
        if not flow.steps or not topology.owned_by(destination) or destination == question.source:
            return routers
        start = Port(flow.steps[-1].router, flow.steps[-1].inward)
    return routers
