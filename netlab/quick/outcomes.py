"""Tests every outcome of the rules that count packets or decide by chance, and determines what that means for a result.

A quick run first tests branch 0, which is the first packet after the counters were reset. For each uncertain rule that
the packet may have met, the service is then walked again in the branch in which this rule has its other outcome
(netlab/rules/loaded_rules.py). If all walks have the same result, the result is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import islice

from netlab.packets.probe import Packet
from netlab.quick.flow import Flow
from netlab.results.document import NO, UNKNOWN, YES
from netlab.rules.caveats import Caveats
from netlab.rules.conditions import Ends, Traffic
from netlab.rules.saved_firewall import SavedRule
from netlab.rules.uncertain import Kind, Tie, Uncertain

MOST = 64
"""Maximum number of additional walks for one service. If more outcomes are possible, the result is UNKNOWN."""
TOGETHER = 800
"""Maximum number of walks that are probed at once."""


@dataclass(frozen=True)
class _Outcome:
    """An additional walk of the service `of`, in another branch of one rule."""

    of: Flow
    router: str
    uncertain: Uncertain
    flow: Flow


def traffics(flow: Flow) -> Iterator[tuple[str, Traffic]]:
    """Yield (router, traffic) for each router on the path.

    The traffic has all addresses that NAT may have given the packet.
    """
    last = len(flow.steps) - 1
    ends = frozenset(_ends(packet) for packet in {*(packet for _, _, packet in flow.seen), flow.packet})
    for number, step in enumerate(flow.steps):
        here = number == last and not step.out_iface
        yield step.router, Traffic(flow.service[1], step.in_iface, step.out_iface, here, ends)


def _ends(packet: Packet) -> Ends:
    return Ends(IPv4Address(packet.source), IPv4Address(packet.destination), int.from_bytes(packet.ports[2:], "big"))


def may_be_uncertain(flow: Flow, caveats: Caveats) -> bool:
    """Return whether any router of the flow has an uncertain rule for its protocol and interfaces."""
    protocol, uncertain_routers = flow.service[1], caveats.uncertain_routers
    for step in flow.steps:
        if step.router in uncertain_routers and caveats.may_be_uncertain(
            step.router, protocol, step.in_iface, step.out_iface, flow.ends_at(step)
        ):
            return True
    return False


def ask(
    flows: Iterable[tuple[Flow, Callable[[], Flow]]], caveats: Caveats, probe: Callable[[Iterable[Flow]], None]
) -> None:
    """Walk the other outcomes of each flow and update the flow's result.

    `flows` has pairs of a flow that may be uncertain and a function that starts the same service again.
    """
    outcomes: list[_Outcome] = []
    for flow, again in flows:
        every = (
            (router, uncertain, branch)
            for router, traffic in traffics(flow)
            for uncertain in caveats.uncertain(router, traffic)
            for branch in uncertain.branches
        )
        listed = list(islice(every, MOST + 1))
        if len(listed) > MOST:
            router, uncertain, _ = listed[MOST]
            unsure(flow, router, f"more than {MOST} outcomes are possible; one depends on {_named(uncertain)}")
            continue
        for router, uncertain, branch in listed:
            other = again()
            other.branch = (router, branch)
            outcomes.append(_Outcome(flow, router, uncertain, other))
    for at in range(0, len(outcomes), TOGETHER):
        probe([outcome.flow for outcome in outcomes[at : at + TOGETHER]])
    by_rule: dict[tuple[int, int], list[_Outcome]] = {}
    for outcome in outcomes:
        by_rule.setdefault((id(outcome.of), id(outcome.uncertain)), []).append(outcome)
    for same in by_rule.values():
        _settle(same[0], [outcome.flow for outcome in same])


def doubt(flow: Flow) -> None:
    """Make the result of each router unknown where a rule stopped the packet whose target this machine lacks.

    The result of the service is unknown too, unless a router before it blocks the packet.
    """
    certain = False
    for step in flow.steps:
        decision = step.rule
        if decision is not None and decision.lacking and decision.rule is not None:
            step.result, step.rule, step.stopped = UNKNOWN, None, None
            if not certain:
                unsure(flow, step.router, lacking_target(decision.rule))
        certain = certain or step.result == NO


def lacking_target(rule: SavedRule) -> str:
    """Return the reason for an unknown result because of a rule whose target this machine lacks."""
    return f"depends on {_named(Uncertain(Kind.TARGET, rule, ()))}"


def _settle(one: _Outcome, others: list[Flow]) -> None:
    """Compare the walks of all outcomes of one rule, and record in the flow whether they differ."""
    if one.uncertain.tie:
        _settle_order(one, one.uncertain.tie, others)
        return
    flow, every = one.of, [one.of, *others]
    failing = [other.bypass for other in every if other.bypass]
    if one.uncertain.kind is not Kind.TRAFFIC and 0 < len(failing) < sum(other.result == YES for other in every):
        flow.unsure_connection = (
            f"{one.router}: depends on {_named(one.uncertain)}: a connection fails in {len(failing)} of its {len(every)} "
            f"outcomes, because {failing[0]}"
        )
        flow.notes = [note for note in flow.notes if not flow.bypass or flow.bypass not in note]
        flow.notes.append(f"the reply is not tested; {flow.unsure_connection}")
    if one.uncertain.kind is Kind.TARGET and flow.blocked_by[:1] == [one.router]:  # it can also accept the packet
        unsure(flow, one.router, f"depends on {_named(one.uncertain)}")
    elif len({(other.result, tuple(other.path), tuple(other.blocked_by)) for other in every}) == 1:
        flow.settled |= {one.uncertain.rule.place}
    elif one.uncertain.kind is not Kind.TRAFFIC and len({other.result for other in every}) > 1:
        good = sum(other.result == YES for other in every)
        results = f"{good} of its {len(every)} possible outcomes give YES"
        unsure(flow, one.router, f"depends on {_named(one.uncertain)}: {results}")


def _settle_order(one: _Outcome, tie: Tie, others: list[Flow]) -> None:
    """Compare the walk with those in which another table's NAT rules are asked first.

    If these rules did not change the packet, those of the first table decide in any order, as in branch 0.
    """
    flow = one.of
    every = [flow, *(other for other in others if _translated(flow, other, one.router, tie))]
    if len({other.result for other in every}) > 1:
        good = sum(other.result == YES for other in every)
        unsure(flow, one.router, f"depends on {tie.what}: {good} of its {len(every)} possible outcomes give YES")
    elif flow.result == YES and len({(tuple(other.seen), other.packet) for other in every}) > 1:
        flow.notes.append(f"{one.router}: the packet arrives with any order, but where depends on {tie.what}")
        if not all(other.bypass for other in every) and not flow.unsure_connection:
            flow.unsure_connection = f"{one.router}: the connection depends on {tie.what}"


def _translated(first: Flow, flow: Flow, router: str, tie: Tie) -> bool:
    """Whether the router may have changed the packet's source, or its destination.

    A packet that did not pass may have been changed unseen.
    """
    stops = NO in (step.result for step in flow.steps if step.router == router)
    if tie.of_source and stops and router not in first.blocked_by:
        return True
    after = [*(packet for _, _, packet in flow.seen[1:]), flow.packet]
    for step, (_, _, before), packet in zip(flow.steps, flow.seen, after, strict=False):
        if step.router == router and (step.unseen or _end_of(before, tie) != _end_of(packet, tie)):
            return True
    return False


def _end_of(packet: Packet, tie: Tie) -> tuple[bytes, bytes]:
    return (packet.source, packet.ports[:2]) if tie.of_source else (packet.destination, packet.ports[2:])


def unsure(flow: Flow, router: str, why: str) -> None:
    """Make the result of the flow, and that of the router, UNKNOWN for this reason."""
    flow.undecided = True
    flow.unsure = flow.unsure or f"{router}: {why}"
    for step in flow.steps:
        if step.router == router:
            step.result, step.rule, step.stopped = UNKNOWN, None, None


def _named(uncertain: Uncertain) -> str:
    rule = uncertain.rule
    return f"{uncertain.kind.value}, `{rule.text}` ({rule.file}:{rule.line})"
