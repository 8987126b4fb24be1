"""Builds the result of a detailed run: what each router did on both paths, and by which rule. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from msgspec.structs import replace

from netlab.detailed.follow import LOOPBACK, Header, Passage
from netlab.detailed.plan import DetailedPlan
from netlab.detailed.run import Exchange
from netlab.packets.probe import ICMP
from netlab.quick.answer import worst
from netlab.quick.branches import agrees, depends, listed, united
from netlab.quick.flow import Question, Step
from netlab.quick.outcomes import lacking_target
from netlab.results.document import (
    NO,
    REPLY,
    REQUEST,
    SCHEMA,
    UNKNOWN,
    YES,
    Cause,
    Cell,
    DetailedResult,
    DetailedServiceResult,
    End,
    Hop,
    Nat,
    Outcome,
    RouterResult,
    Side,
    Verdict,
)
from netlab.results.ends import detailed_end
from netlab.results.services import spell
from netlab.rules.caveats import Caveats
from netlab.rules.conditions import Ends, Traffic
from netlab.rules.decisions import RuleDecision


def answer_detailed(
    question: Question,
    tests: Sequence[tuple[DetailedPlan, list[Exchange]]],
    caveats: Caveats,
    digest: str,
    *,
    run_id: str = "",
    timing_ms: dict[str, float] | None = None,
) -> DetailedResult:
    """Build the result document of one detailed run.

    `tests` has the exchanges of each plan. The result of a service is the one that all plans have in common. If a plan
    has no exchanges, no service was tested, and each has the reason from the plan.
    """
    if tests[0][1]:
        by_service: dict[int, list[Exchange]] = {}
        for exchange in (exchange for _, shown in tests for exchange in shown):
            by_service.setdefault(exchange.service_plan.number, []).append(exchange)
        services, agreements = zip(*(_of_all(question, by_service[n]) for n in sorted(by_service)), strict=True)
    else:
        services = tuple(_not_tested(tests[0][0], port, protocol) for port, protocol in question.services)
        agreements = ()
    assumptions = dict.fromkeys(text for plan, _ in tests for text in plan.assumptions)
    exchanges = [exchange for _, shown in tests for exchange in shown]
    passages = [passage for exchange in exchanges for passage in (*exchange.request, *exchange.reply)]
    for router in dict.fromkeys(passage.router for passage in passages):
        assumptions.update(dict.fromkeys(caveats.incomplete(router)))
    notes = assumptions | dict.fromkeys(text for text in agreements if text)
    for exchange in exchanges:
        for passage in (*exchange.request, *exchange.reply):
            protocol = exchange.connection.protocol
            if caveats.may(passage.router, protocol, passage.in_iface, passage.out_iface, passage.received):
                notes.update(dict.fromkeys(caveats.about(passage.router, _traffic(exchange, passage))))
        differences = dict.fromkeys([*disagreements(exchange), *_untested(exchange)])
        assumptions |= differences
        notes |= differences
    forwarding = (passage.router for passage in passages if _forwards(passage))
    notes.update(dict.fromkeys(caveats.forwarding(forwarding)))
    reasons = dict.fromkeys(service.reason for service in services if service.reason)
    return DetailedResult(
        schema=SCHEMA,
        run_id=run_id,
        source=str(question.source),
        destination=str(question.destination),
        source_port=question.source_port,
        verdict=worst({service.result for service in services}),
        path=Counter(service.path for service in services).most_common(1)[0][0],
        routers=_routers(tests[0][1]),
        services=services,
        caveats=tuple(notes),
        depends_on=tuple(assumptions),
        reason="; ".join(reasons) or None,
        facts=digest,
        timing_ms=timing_ms or {},
    )


def _forwards(passage: Passage) -> bool:
    return passage.passed and not passage.received and passage.in_iface not in ("", LOOPBACK)


def _traffic(exchange: Exchange, passage: Passage) -> Traffic:
    ends = frozenset(
        Ends(IPv4Address(header.source), IPv4Address(header.destination), header.dport)
        for header in (passage.before, passage.after)
    )
    return Traffic(exchange.connection.protocol, passage.in_iface, passage.out_iface, passage.received, ends)


class _Judgement(NamedTuple):
    """How the test of one service ended, and which router blocked it in which direction."""

    outcome: Outcome | None
    result: Verdict
    blocked: Side | None = None
    blocked_by: tuple[str, ...] = ()


def _judge(exchange: Exchange) -> _Judgement:
    if exchange.service_plan.flow.of_several_paths:
        return _Judgement(None, UNKNOWN)
    outcome: Outcome | None = exchange.connection.outcome or Outcome.TIMEOUT
    if outcome is Outcome.CONNECTED and not exchange.service_plan.reachable:
        outcome = None  # the source's own namespace answered: it also has that address
    connected = outcome is Outcome.CONNECTED
    stopped, side = _stopped(exchange)
    if stopped:
        return _Judgement(outcome, YES if connected else NO, side, (stopped.router,))
    if exchange.dropped_reply:
        return _Judgement(outcome, NO, REPLY)
    if connected:
        return _Judgement(outcome, YES)
    if _no_host(exchange):  # every rule accepts it, but it does not arrive: a loop, or a next hop that no router owns
        lost = _lost(exchange)
        return _Judgement(outcome, NO, REQUEST, (lost.router,) if lost else ())
    if exchange.bypass:
        return _Judgement(outcome, NO, REPLY)
    return _Judgement(outcome, UNKNOWN)


def _of_all(question: Question, exchanges: Sequence[Exchange]) -> tuple[DetailedServiceResult, str]:
    """Return the result of a service in all plans, and a caveat if they agree on it ("" if there is only one).

    The paths are those of the first plan. If the plans do not agree, the result is UNKNOWN with the answer of each.
    """
    made = [(exchange.service_plan.choices, _service(question, exchange)) for exchange in exchanges]
    first = made[0][1]
    if len(made) == 1:
        return first, ""
    choices = [choice for chosen, _ in made for choice in chosen]
    answers = listed((chosen, service.result, _why(service)) for chosen, service in made)
    if len({service.result for _, service in made}) == 1:
        return first, agrees(choices, answers)
    unknown = replace(
        first,
        result=UNKNOWN,
        outcome=None,
        latency_ms=None,
        refused_by=None,
        blocked_by=(),
        blocked=None,
        also_blocked_by=(),
        reason=depends(choices, answers),
        ended=End(REQUEST, None, None, Cause.UNKNOWN),
    )
    return unknown, ""


def _why(service: DetailedServiceResult) -> str:
    """Return what blocked the service, or why its result is unknown; "" for a YES."""
    if service.result == YES or (service.reason and not service.blocked_by):
        return service.reason or ""
    stop = next((hop for hop in service.hops if hop.result == NO), None)
    if stop is None:
        return service.reason or "no reply arrived"
    place = f" ({stop.rule.file}:{stop.rule.line})" if stop.rule and stop.rule.file else ""
    return f"blocked by {stop.router}{place}" + (" on the return path" if stop.direction == REPLY else "")


def _service(question: Question, exchange: Exchange) -> DetailedServiceResult:
    connection, flow = exchange.connection, exchange.service_plan.flow
    judgement = _judge(exchange)
    undecided = _undecided(exchange, judgement)
    if undecided:
        judgement = _Judgement(judgement.outcome, UNKNOWN)
    refused = judgement.outcome is Outcome.REFUSED
    service = DetailedServiceResult(
        port=flow.service[0],
        protocol=flow.service[1],
        result=judgement.result,
        outcome=judgement.outcome,
        latency_ms=None if connection.latency_s is None else round(connection.latency_s * 1e3, 3),
        refused_by=exchange.refused_by or (str(question.destination) if refused else None),
        path=_names(exchange.request),
        reply_path=_names(exchange.reply),
        blocked_by=judgement.blocked_by,
        blocked=judgement.blocked,
        also_blocked_by=tuple(name for name in flow.blocked_by if name not in judgement.blocked_by),
        hops=(
            *(_hop(exchange, passage, REQUEST) for passage in exchange.request),
            *(_hop(exchange, passage, REPLY) for passage in exchange.reply),
        ),
        reason=undecided or _reason(exchange, judgement.result),
    )
    if undecided:
        return replace(service, ended=End(_stopped(exchange)[1] or REQUEST, None, None, Cause.UNKNOWN))
    return replace(service, ended=detailed_end(service, looped=flow.looped, impossible=flow.impossible))


def _undecided(exchange: Exchange, judgement: _Judgement) -> str:
    """Return why the result is UNKNOWN although a connection was tested; "" if the result is certain.

    A connection shows only one of several possible outcomes.
    """
    flow = exchange.service_plan.flow
    stopped, _ = _stopped(exchange)
    if stopped and stopped.decided and stopped.decided.lacking and stopped.decided.rule:
        return f"{stopped.router}: {lacking_target(stopped.decided.rule)}"
    if flow.unsure:
        return flow.unsure if judgement.blocked != REPLY else ""
    if flow.unsure_connection and not judgement.blocked_by:
        return flow.unsure_connection
    return united(flow).reason if flow.paths and united(flow).undecided else ""


def _untested(exchange: Exchange) -> list[str]:
    """Return caveats about possible paths that the real connection did not take."""
    branches = exchange.service_plan.flow.paths
    questions = dict.fromkeys(choice.question for branch in branches for choice in branch.choices)
    others = "a quick test of each possible path gives the same answer, but only one was tested with a real connection"
    return [*(f"the request depends on {question}: {others}" for question in questions), *exchange.untested]


def _stopped(exchange: Exchange) -> tuple[Passage | None, Side | None]:
    if exchange.request and not exchange.request[-1].passed:
        return exchange.request[-1], REQUEST
    if exchange.reply and not exchange.reply[-1].passed:
        return exchange.reply[-1], REPLY
    return None, None


def _no_host(exchange: Exchange) -> bool:
    """Whether routing alone shows that the packet can reach no host.

    This is so if a route, or the lack of one, loses it, if it loops, or if no host can have the address. False if the
    path leaves the known network.
    """
    flow = exchange.service_plan.flow
    routed = any(step.result == NO and step.stopped is None for step in flow.steps)
    return not exchange.service_plan.reachable and (flow.looped or flow.impossible or routed)


def _lost(exchange: Exchange) -> Passage | None:
    """Return the passage of the router that accepts the request but sends it where nothing can receive it, or None."""
    flow, passed = exchange.service_plan.flow, exchange.request[-1:]
    last = flow.steps[-1] if flow.steps else None
    if not passed or not _no_host(exchange) or last is None or last.result != NO or last.stopped is not None:
        return None
    return passed[0] if passed[0].router == last.router else None


def _decision(exchange: Exchange, passage: Passage) -> tuple[Verdict, RuleDecision | None]:
    """Return the result of one router and the decision behind it, which is None if routing decided or no rule did."""
    if passage.passed and passage is _lost(exchange):
        return NO, None
    if passage.decided is not None and passage.decided.lacking:
        return UNKNOWN, None
    return (YES if passage.passed else NO), passage.decided


def _names(passages: list[Passage]) -> tuple[str, ...]:
    """Return the routers of a path. A router that connects to itself counts once, although the packet passes it twice."""
    return tuple(passage.router for passage in passages if passage.in_iface != LOOPBACK)


def _reason(exchange: Exchange, result: str) -> str | None:
    """Return the reason to show, normally that of the quick walk; None if there is none or it does not apply.

    The reason of the quick walk does not apply if the request arrived and something else failed. It also does not apply
    to a router that connects to itself: quick cannot test INPUT then, but this run has tested it.
    """
    flow = exchange.service_plan.flow
    if exchange.dropped_reply and result == NO:
        return exchange.dropped_reply
    if exchange.bypass and result == NO:
        return exchange.bypass
    if exchange.lost_reply and result != YES:
        return exchange.lost_reply
    arrived = flow.delivered and exchange.service_plan.reachable and result == UNKNOWN
    to_itself = any(passage.out_iface == LOOPBACK for passage in exchange.request)
    return None if arrived or to_itself else flow.reason or None


def _hop(exchange: Exchange, passage: Passage, direction: Side) -> Hop:
    result, decided = _decision(exchange, passage)
    return Hop(
        router=passage.router,
        direction=direction,
        in_iface=passage.in_iface or None,
        out_iface=passage.out_iface or None,
        result=result,
        rule=decided.document() if decided else None,
        decisions=tuple(decision.document() for decision in passage.rules if not decision.lacking),
        nat=_nat(passage.before, passage.after) if passage.natted else None,
    )


def _nat(before: Header, after: Header) -> Nat:
    """Describe what NAT changed. A port is shown only if it changed as well."""
    changes = []
    for was, now in zip(_endpoints(before), _endpoints(after), strict=True):
        if was != now:
            same_port = was[1] == now[1]
            changes.append(" → ".join(end[0] if same_port else _spell_endpoint(end) for end in (was, now)))
    texts = [" → ".join(map(_spell_endpoint, _endpoints(header))) for header in (before, after)]
    return Nat(texts[0], texts[1], tuple(changes))


Endpoint = tuple[str, int | None]
"""(address, port). The port is None for ICMP."""


def _endpoints(header: Header) -> tuple[Endpoint, Endpoint]:
    source, destination = str(IPv4Address(header.source)), str(IPv4Address(header.destination))
    if header.protocol == ICMP:
        return (source, None), (destination, None)
    return (source, header.sport), (destination, header.dport)


def _spell_endpoint(endpoint: Endpoint) -> str:
    """Format an endpoint as `10.1.10.20:443`, or as the address alone for ICMP."""
    address, port = endpoint
    return address if port is None else f"{address}:{port}"


def _routers(exchanges: list[Exchange]) -> tuple[RouterResult, ...]:
    """Return the routers of the forward path as in a quick run's document. Each cell has its deciding rule."""
    entries: dict[tuple[int, str, str, str], list[Cell]] = {}
    for exchange in exchanges:
        port, protocol = exchange.service_plan.flow.service
        for number, passage in enumerate(exchange.request, start=1):
            result, decided = _decision(exchange, passage)
            cell = Cell(port, protocol, result, decided.document() if decided else None)
            entries.setdefault((number, passage.router, passage.in_iface, passage.out_iface), []).append(cell)
    return tuple(
        RouterResult(name, number, in_iface or None, out_iface or None, tuple(cells))
        for (number, name, in_iface, out_iface), cells in sorted(entries.items(), key=lambda item: item[0][0])
    )


def _not_tested(plan: DetailedPlan, port: int | None, protocol: str) -> DetailedServiceResult:
    impossible = plan.entry.impossible
    return DetailedServiceResult(
        port=port,
        protocol=protocol,
        result=NO if impossible else UNKNOWN,
        path=(),
        blocked_by=(),
        reason=plan.entry.reason,
        ended=End(REQUEST, None, None, Cause.NO_HOST if impossible else Cause.UNKNOWN),
    )


def disagreements(exchange: Exchange) -> list[str]:
    """Return a caveat for each router about which the quick walk and the real request disagree, with the likely cause."""
    flow = exchange.service_plan.flow
    caveats = []
    for step, passage in zip(flow.steps, exchange.request, strict=False):
        if step.router == passage.router and _differs(step, passage):
            difference = f"the quick test says {step.result}, the real connection says {YES if passage.passed else NO}"
            caveats.append(
                f"{passage.router}, {spell(*flow.service)}: {difference}; a rule there depends on more than one packet"
            )
    return caveats


def _differs(step: Step, passage: Passage) -> bool:
    """Whether the quick walk and the real request disagree about a router.

    A NO of the quick walk counts only if a rule may have caused it. A NO caused by routing says nothing about the
    rules.
    """
    judged = step.result == YES or (step.result == NO and step.stopped is not None)
    return judged and (step.result == YES) != passage.passed and passage.decided is not None
