"""The plan of a detailed run: its hosts, where each service ends, and the routers on both paths.

A quick walk of the same request finds all of this and leaves no state behind. A run therefore knows its routers before
it locks them.

The facts may allow several entries of the request, and several gateways for the replies of its destination. There is one
plan for each combination, and a connection is made for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from netlab.live.hosts import HostLocation
from netlab.packets.probe import ICMP, Packet
from netlab.quick.flow import Choice, Flow, Question
from netlab.quick.walk import Walker, entry_choices, unite_ways
from netlab.results.document import NO
from netlab.topology.ingress import Ingress, find_ingress
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology


@dataclass(frozen=True)
class ServicePlan:
    """The plan of one service: its quick walk, where it ends (address and port after DNAT), and the place of that host.

    `place` is None for a router's own address, and if no host exists at the address. In the latter case `reachable` is
    False, and `flow.reason` says why unless a rule blocks the service.
    """

    flow: Flow
    address: IPv4Address
    port: int | None
    place: HostLocation | None
    reachable: bool
    number: int = 0
    """Position of the service in the question."""
    choices: tuple[Choice, ...] = ()
    """What this plan assumes where the facts allow several entries of the request or of the reply."""
    router: str = ""
    """The router that receives the service because of a `local` route, although it does not own the address; or ""."""


MOST = 16
"""Maximum number of plans of one run. If more are possible, a caveat says that the others were not tested."""


@dataclass(frozen=True)
class DetailedPlan:
    """One plan of a detailed run. `source_place` is None if the source is a router's own address."""

    entry: Ingress
    legs: tuple[ServicePlan, ...]
    source_place: HostLocation | None
    routers: frozenset[str]
    addresses: frozenset[IPv4Address]
    """All addresses to which a packet of the run may be sent."""
    assumptions: tuple[str, ...] = ()
    """Assumptions about the source, the edges and the far ends of tunnels."""


def plans(topology: Topology, walker: Walker, question: Question) -> list[DetailedPlan]:
    """Make all plans with a quick walk. Raises RouterLocked."""
    ((entry, ways),) = walker.ways([replace(question, rules=False)])
    if entry.port is None:
        return _plans_of(topology, walker, question, entry, ways[0], ())
    found: list[DetailedPlan] = []
    for port, choice, flows in zip(entry.ports, entry_choices(entry), ways, strict=True):
        choices = (choice,) if entry.also else ()
        found += _plans_of(topology, walker, question, Ingress.at(port), flows, choices)
    return found if len(found) <= MOST else _first_of(found, unite_ways(entry, ways))


def _first_of(found: list[DetailedPlan], united: list[Flow]) -> list[DetailedPlan]:
    """Return the first plans, with a caveat about the others.

    `united` has the quick walks of each service through all entries. If their results differ, so does the service's.
    """
    note = f"only the first {MOST} of {len(found)} ways of the request and its reply were tested with a connection"
    return [
        replace(
            one,
            legs=tuple(
                replace(leg, flow=united[leg.number]) if united[leg.number].of_several_paths else leg
                for leg in one.legs
            ),
            assumptions=(*one.assumptions, note),
        )
        for one in found[:MOST]
    ]


def _plans_of(
    topology: Topology,
    walker: Walker,
    question: Question,
    entry: Ingress,
    flows: list[Flow],
    choices: tuple[Choice, ...],
) -> list[DetailedPlan]:
    """Make the plans of a request that enters at one port: one for each way of the replies.

    The first plan has all services, and each other plan those whose replies can take one more way.
    """
    source_place = _source_place(topology, walker, question.source, entry)
    ends = _Ends(topology, walker, question, entry)
    ways = [ends.service_plans(flow) for flow in flows]
    return [
        _plan(
            topology,
            walker,
            question,
            entry,
            source_place,
            [
                _not_to_itself(
                    question.source,
                    source_place,
                    replace(possible[turn], number=number, choices=(*choices, *possible[turn].choices)),
                )
                for number, possible in enumerate(ways)
                if turn < len(possible)
            ],
            ends.assumptions,
        )
        for turn in range(max(map(len, ways)))
    ]


def _plan(
    topology: Topology,
    walker: Walker,
    question: Question,
    entry: Ingress,
    source_place: HostLocation | None,
    of_services: list[ServicePlan],
    assumed: list[str],
) -> DetailedPlan:
    legs, flows = tuple(of_services), [leg.flow for leg in of_services]
    routers = {step.router for flow in flows for step in flow.steps} | _return_routers(topology, walker, legs)
    packets = [packet for flow in flows for packet in (*(packet for _, _, packet in flow.seen), flow.packet)]
    addresses = {IPv4Address(address) for packet in packets for address in (packet.source, packet.destination)}
    notes = walker.mistyped(question.source, entry)
    assumptions = tuple(dict.fromkeys([*notes, *assumed, *_assumed(flows)]))
    return DetailedPlan(entry, legs, source_place, frozenset(routers), frozenset(addresses), assumptions)


def _assumed(flows: list[Flow]) -> list[str]:
    """Return the assumptions of the quick walk about the far ends of tunnels."""
    return [text for flow in flows for text in flow.assumptions if text.startswith("assumed ")]


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


class _Ends:
    """Finds the host at which each flow of one request ends."""

    def __init__(self, topology: Topology, walker: Walker, question: Question, entry: Ingress) -> None:
        self._topology = topology
        self._walker = walker
        self._question = question
        self._entry = entry
        self.assumptions: list[str] = []

    def service_plans(self, flow: Flow) -> list[ServicePlan]:
        """Return the plans of the flow's service, one for each way that the reply can take.

        Sets the flow's reason if it leaves the network although its destination is inside.
        """
        address = IPv4Address(flow.packet.destination)
        port = None if flow.service[0] is None else int.from_bytes(flow.packet.ports[2:4], "big")
        owners = self._topology.owned_by(address)
        last = flow.steps[-1].router if flow.steps else ""
        if owners:
            places, reachable = [], any(owner.router == last for owner in owners)
        elif flow.steps and flow.delivered and flow.exit is None:  # a `local` route to a prefix, as load balancers have
            return [ServicePlan(flow, address, port, None, reachable=True, router=last)]
        else:
            places = self._places(flow, address)
            reachable = bool(places)
        if flow.exit and not reachable and not flow.reason:
            flow.reason = f"{self._topology.home(address)}, but the packet leaves the network at {flow.exit[0]}"
        if not places:
            return [ServicePlan(flow, address, port, None, reachable)]
        return [ServicePlan(flow, address, port, place, reachable, choices=choices) for place, choices in places]

    def _places(self, flow: Flow, address: IPv4Address) -> list[tuple[HostLocation, tuple[Choice, ...]]]:
        """Return the places of the destination host: one for each port where its replies can enter.

        There is none if the flow does not arrive there.
        """
        homes = self._topology.segments_holding(address)
        if flow.exit is None:
            return [(HostLocation(homes[0], None), ())] if homes and self._entry.port is None else []
        out, next_hop = flow.exit
        segment = self._topology.segment_of[out]
        if homes and segment not in homes:
            return []
        beyond = next_hop != address or not segment.holds(address)
        gateway = next_hop if next_hop != address else None
        # The reply is sent to the source of the request as it arrives, after NAT.
        back = find_ingress(self._topology, self._walker, address, IPv4Address(flow.packet.source))
        options = [Choice(choice.question, f"{choice.option} (reply)", choice.remedy) for choice in entry_choices(back)]
        here = [(port, option) for port, option in zip(back.ports, options, strict=True) if port in segment.ports]
        if beyond and len(here) < len(back.ports):
            names = ", ".join(str(port) for port in back.ports if port not in segment.ports)
            what = f"assumed that the reply enters at {here[0][0] if here else out}"
            self.assumptions.append(f"{what} ({names} also possible, but not tested)")
        if len(here) < 2:
            return [(HostLocation(segment, here[0][0] if here else out, gateway, beyond), ())]
        return [(HostLocation(segment, port, gateway, beyond), (option,)) for port, option in here]


def _not_to_itself(source: IPv4Address, source_place: HostLocation | None, service_plan: ServicePlan) -> ServicePlan:
    """Return the plan, made unreachable if both ends would be in the same namespace on the bench.

    That is the case if one gateway represents both addresses.
    """
    place, address = service_plan.place, service_plan.address
    if source_place is None or place is None or source_place.segment != place.segment or address == source:
        return service_plan
    gateway = source_place.gateway or source
    if gateway != (place.gateway or address):
        return service_plan
    if not service_plan.flow.reason:
        service_plan.flow.reason = f"{source} and {address} are behind the same gateway, {gateway}"
    return replace(service_plan, place=None, reachable=False)


@dataclass
class _Return:
    """A reply or refusal to walk. `flow` is the part of its path to walk next.

    `undoing` has the routers that will undo their NAT on the rest of the path, nearest first.
    """

    flow: Flow
    undoing: list[tuple[str, Packet]]
    """(router, the packet that it received on the forward path)."""

    def go_on(self) -> bool:
        """Set `flow` to the next part of the path, which begins at the next router that undoes its NAT.

        Returns False if no such router is left, or if the walk did not reach it.
        """
        if not self.undoing:
            return False
        router, given = self.undoing.pop(0)
        here = next((step for step in self.flow.steps if step.router == router), None)
        if here is None:
            return False
        self.flow = _setting_out(self.flow, IfaceRef(router, here.in_iface), _answering(given))
        return True


def _return_routers(topology: Topology, walker: Walker, legs: tuple[ServicePlan, ...]) -> set[str]:
    """Return the routers that replies and refusals will cross.

    All of them are walked together, once more for each NAT that is undone on the path.
    """
    returns = [back for leg in legs for back in (_reply(leg), _refusal(topology, leg)) if back]
    routers: set[str] = set()
    while returns:
        walker.probe([each.flow for each in returns])
        routers |= {step.router for each in returns for step in each.flow.steps}
        returns = [each for each in returns if each.go_on()]
    return routers


def _reply(service_plan: ServicePlan) -> _Return | None:
    start = service_plan.place.router if service_plan.place else None
    if service_plan.place is None and service_plan.reachable and service_plan.flow.steps:
        start = IfaceRef(service_plan.flow.steps[-1].router, "")
    if start is None or not service_plan.reachable:
        return None
    return _Return(
        _setting_out(service_plan.flow, start, _answering(service_plan.flow.packet)),
        _nats(service_plan.flow, len(service_plan.flow.steps)),
    )


def _refusal(topology: Topology, service_plan: ServicePlan) -> _Return | None:
    """Return the refusal that the blocking router would send, or None."""
    flow = service_plan.flow
    at = next((n for n, step in enumerate(flow.steps) if step.result == NO), len(flow.steps) - 1)
    if at < 0 or (service_plan.reachable and flow.steps[at].result != NO):
        return None
    router, in_iface, given = flow.seen[at]
    own = [a.local for a in topology.interface(IfaceRef(router, in_iface)).addresses] if in_iface else []
    source = own[0].packed if own else given.destination
    complaint = Packet(ICMP, source, given.source, bytes(4))
    return _Return(_setting_out(flow, IfaceRef(router, ""), complaint), _nats(flow, at))


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
