"""Before a detailed run: where its hosts stand, where each service ends, and which routers it will cross, both ways.

Found by a quick walk of the same question, which leaves nothing behind; so a run knows its routers before it takes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from netlab.live.hosts import HostLocation
from netlab.packets.probe import ICMP, Packet
from netlab.quick.flow import NO, Flow, Question
from netlab.quick.walk import Walker
from netlab.topology.ingress import Ingress, find_ingress
from netlab.topology.segments import IfaceRef, Topology


@dataclass(frozen=True)
class ServicePlan:
    """One service: its quick walk, the address and port it ends at (after DNAT), and where that host stands.

    `place` None: a router's own address, or nowhere (then `reachable` is False, and `flow.reason` says why if no rule does).
    """

    flow: Flow
    address: IPv4Address
    port: int | None
    place: HostLocation | None
    reachable: bool


@dataclass(frozen=True)
class DetailedPlan:
    """A detailed run's plan. `source_place` None: the source is a router's own address."""

    entry: Ingress
    legs: tuple[ServicePlan, ...]
    source_place: HostLocation | None
    routers: frozenset[str]
    addresses: frozenset[IPv4Address]
    """Everything a packet of the run may be sent to."""


def plan(topology: Topology, walker: Walker, question: Question) -> DetailedPlan:
    """Walk the question quickly and lay everything out. Raises Taken."""
    ((entry, flows),) = walker.walk([replace(question, rules=False)])
    source_place = _source_place(topology, walker, question.source, entry)
    doors: dict[IPv4Address, IfaceRef | None] = {}
    legs = tuple(
        _apart(question.source, source_place, _leg(topology, walker, question, entry, flow, doors)) for flow in flows
    )
    routers = {step.router for flow in flows for step in flow.steps} | _ways_back(topology, walker, legs)
    packets = [packet for flow in flows for packet in (*(packet for _, _, packet in flow.seen), flow.packet)]
    addresses = {IPv4Address(address) for packet in packets for address in (packet.source, packet.destination)}
    return DetailedPlan(entry, legs, source_place, frozenset(routers), frozenset(addresses))


def _source_place(topology: Topology, walker: Walker, source: IPv4Address, entry: Ingress) -> HostLocation | None:
    if topology.owned_by(source):
        return None
    if entry.port is None:
        home = topology.segment_holding(source)
        return HostLocation(home, None) if home else None
    segment = topology.segment_of[entry.port]
    if segment.holds(source):
        return HostLocation(segment, entry.port)
    kind, out, hop = walker.lookup(entry.port.router, source, None, "")
    gateway = hop if kind == "out" and out == entry.port and hop != source else None
    if gateway is None and segment.gateways:
        gateway = min(segment.gateways)
    return HostLocation(segment, entry.port, gateway, beyond=True)


def _leg(
    topology: Topology,
    walker: Walker,
    question: Question,
    entry: Ingress,
    flow: Flow,
    doors: dict[IPv4Address, IfaceRef | None],
) -> ServicePlan:
    """Where the flow ends; `doors`: by which port each destination's answers set out, as far as known."""
    address = IPv4Address(flow.packet.destination)
    port = None if flow.service[0] is None else int.from_bytes(flow.packet.ports[2:4], "big")
    owners = topology.owned_by(address)
    if owners:
        if flow.steps and any(own.router == flow.steps[-1].router for own in owners):
            return ServicePlan(flow, address, port, None, reachable=True)
        return _nobody(
            ServicePlan(flow, address, port, None, reachable=False), f"{address} is {owners[0].router}'s own address"
        )
    if flow.exit is not None:
        out, hop = flow.exit
        segment = topology.segment_of[out]
        home = topology.segment_holding(address)
        if home and home != segment:
            service_plan = ServicePlan(flow, address, port, None, reachable=False)
            return _nobody(service_plan, f"{address} belongs to segment {home.name}")
        if hop != address:
            return ServicePlan(flow, address, port, HostLocation(segment, out, hop, beyond=True), reachable=True)
        if not segment.holds(address):
            return ServicePlan(flow, address, port, HostLocation(segment, out, None, beyond=True), reachable=True)
        if address not in doors:
            doors[address] = find_ingress(topology, walker.lookup, address, question.source).port
        return ServicePlan(flow, address, port, HostLocation(segment, doors[address] or out), reachable=True)
    home = topology.segment_holding(address)
    if entry.port is None and home:
        return ServicePlan(flow, address, port, HostLocation(home, None), reachable=True)
    return ServicePlan(flow, address, port, None, reachable=False)


def _nobody(service_plan: ServicePlan, why: str) -> ServicePlan:
    """A leg that leaves the bench for an address which is elsewhere on it: what is between, no facts tell."""
    if service_plan.flow.exit and not service_plan.flow.reason:
        service_plan.flow.reason = f"{why}, but the packet leaves the network at {service_plan.flow.exit[0]}"
    return service_plan


def _apart(source: IPv4Address, at: HostLocation | None, service_plan: ServicePlan) -> ServicePlan:
    """The leg, with nobody at its end when that would be the source's own station: it would only talk to itself."""
    if (
        at is None
        or service_plan.place is None
        or at.segment != service_plan.place.segment
        or service_plan.address == source
    ):
        return service_plan
    gateway = at.gateway or source
    if gateway != (service_plan.place.gateway or service_plan.address):
        return service_plan
    if not service_plan.flow.reason:
        service_plan.flow.reason = f"{source} and {service_plan.address} are behind the same gateway, {gateway}"
    return replace(service_plan, place=None, reachable=False)


@dataclass
class _Way:
    """An answer on its way: what is sent next, and the routers that will undo their NAT on it, the nearest first."""

    flow: Flow
    undoing: list[tuple[str, Packet]]
    """(router, the packet it was given on the way there)."""

    def go_on(self) -> bool:
        """After a walk: from the router that undoes its NAT on with what it was given, or False at the end."""
        if not self.undoing:
            return False
        router, given = self.undoing.pop(0)
        here = next((step for step in self.flow.steps if step.router == router), None)
        if here is None:
            return False
        self.flow = _setting_out(self.flow, IfaceRef(router, here.in_iface), _answering(given))
        return True


def _ways_back(topology: Topology, walker: Walker, legs: tuple[ServicePlan, ...]) -> set[str]:
    """Routers that replies and refusals will cross; all of them walked in one pass for each NAT on the way."""
    ways = [way for service_plan in legs for way in (_reply(service_plan), _refusal(topology, service_plan)) if way]
    routers: set[str] = set()
    while ways:
        walker.probe([way.flow for way in ways])
        routers |= {step.router for way in ways for step in way.flow.steps}
        ways = [way for way in ways if way.go_on()]
    return routers


def _reply(service_plan: ServicePlan) -> _Way | None:
    start = service_plan.place.router if service_plan.place else None
    if service_plan.place is None and service_plan.reachable and service_plan.flow.steps:
        start = IfaceRef(service_plan.flow.steps[-1].router, "")
    if start is None or not service_plan.reachable:
        return None
    return _Way(
        _setting_out(service_plan.flow, start, _answering(service_plan.flow.packet)),
        _nats(service_plan.flow, len(service_plan.flow.steps)),
    )


def _refusal(topology: Topology, service_plan: ServicePlan) -> _Way | None:
    """What the router says that stops the request, if any does."""
    flow = service_plan.flow
    at = next((n for n, step in enumerate(flow.steps) if step.result == NO), len(flow.steps) - 1)
    if at < 0 or (service_plan.reachable and flow.steps[at].result != NO):
        return None
    router, in_iface, given = flow.seen[at]
    own = [a.local for a in topology.interface(IfaceRef(router, in_iface)).addresses] if in_iface else []
    source = own[0].packed if own else given.destination
    complaint = Packet(ICMP, source, given.source, bytes(4))
    return _Way(_setting_out(flow, IfaceRef(router, ""), complaint), _nats(flow, at))


def _nats(flow: Flow, end: int) -> list[tuple[str, Packet]]:
    given = [packet for _, _, packet in flow.seen[: len(flow.steps)]]
    made = [*given[1:], flow.packet]
    changed = [(step.router, old) for step, old, new in zip(flow.steps, given, made, strict=True) if old != new]
    before = {step.router for step in flow.steps[:end]}
    return [(router, old) for router, old in reversed(changed) if router in before]


def _answering(packet: Packet) -> Packet:
    ports = packet.ports if packet.protocol == ICMP else packet.ports[2:4] + packet.ports[0:2]
    return Packet(packet.protocol, packet.destination, packet.source, ports)


def _setting_out(like: Flow, start: IfaceRef, packet: Packet) -> Flow:
    flow = Flow(like.service, packet, like.dscp)
    flow.enter(start)
    return flow
