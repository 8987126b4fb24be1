"""The result document of a detailed run: who decided on every router, both ways, and one sentence for the ticket. Pure."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address
from typing import Any

from netlab.detailed.connection import Outcome
from netlab.detailed.follow import LOOPBACK, Passage
from netlab.detailed.plan import DetailedPlan
from netlab.detailed.run import SERVICE_TIMEOUT_S, Exchange
from netlab.packets.probe import ICMP
from netlab.quick.flow import NO, UNKNOWN, YES, Question, Step
from netlab.rules.caveats import Caveats
from netlab.rules.conditions import Ends, Traffic
from netlab.rules.decisions import RuleDecision

REQUEST, REPLY = "request", "reply"


def answer_detailed(
    question: Question, detailed_plan: DetailedPlan, exchanges: list[Exchange], caveats: Caveats, digest: str
) -> dict[str, Any]:
    """The document without run_id, mode and timing_ms."""
    services = [_service(question, exchange) for exchange in exchanges]
    if not exchanges:
        services = [_unasked(question, detailed_plan, port, protocol) for port, protocol in question.services]
    results = {service["result"] for service in services}
    paths = Counter(tuple(service["path"]) for service in services)
    notes = dict.fromkeys([detailed_plan.entry.note] if detailed_plan.entry.note else [])
    for exchange in exchanges:
        for passage in (*exchange.request, *exchange.reply):
            if caveats.may(
                passage.router, exchange.connection.protocol, passage.in_iface, passage.out_iface, passage.received
            ):
                notes.update(dict.fromkeys(caveats.about(passage.router, _traffic(exchange, passage))))
        notes.update(dict.fromkeys(disagreements(exchange)))
    reasons = dict.fromkeys(service["reason"] for service in services if service["reason"])
    return {
        "source": str(question.source),
        "destination": str(question.destination),
        "source_port": question.source_port,
        "dscp": None,
        "verdict": NO if NO in results else UNKNOWN if UNKNOWN in results else YES,
        "path": list(paths.most_common(1)[0][0]),
        "routers": _routers(exchanges),
        "services": services,
        "caveats": list(notes),
        "reason": "; ".join(reasons) or None,
        "facts": digest,
    }


def _traffic(exchange: Exchange, passage: Passage) -> Traffic:
    ends = frozenset(
        Ends(IPv4Address(header.source), IPv4Address(header.destination), header.dport)
        for header in (passage.before, passage.after)
    )
    return Traffic(exchange.connection.protocol, passage.in_iface, passage.out_iface, passage.received, ends)


def _service(question: Question, exchange: Exchange) -> dict[str, Any]:
    connection, flow = exchange.connection, exchange.service_plan.flow
    outcome: Outcome | None = connection.outcome or Outcome.TIMEOUT
    if outcome is Outcome.CONNECTED and not exchange.service_plan.reachable:
        outcome = None  # the source's own station answered: it has that address too
    stopped, direction = _stopped(exchange)
    result = YES if outcome is Outcome.CONNECTED else NO if stopped or _nowhere(exchange) else UNKNOWN
    blockers = [stopped.router] if stopped else []
    if not stopped and outcome is not Outcome.CONNECTED and _nowhere(exchange):
        direction = REQUEST  # let through by every rule, and yet there is nobody: a loop, a next hop of none's
        blockers = [passage.router for passage in exchange.request[-1:] if passage.router in flow.blocked_by]
    document = {
        "port": flow.service[0],
        "protocol": flow.service[1],
        "result": result,
        "outcome": outcome and str(outcome),
        "latency_ms": None if connection.latency_s is None else round(connection.latency_s * 1e3, 3),
        "refused_by": exchange.refused_by or (str(question.destination) if outcome is Outcome.REFUSED else None),
        "path": _names(exchange.request),
        "reply_path": _names(exchange.reply),
        "blocked_by": blockers,
        "blocked": direction,
        "also_blocked_by": [name for name in flow.blocked_by if name not in blockers],
        "hops": [
            *(_hop(passage, REQUEST) for passage in exchange.request),
            *(_hop(passage, REPLY) for passage in exchange.reply),
        ],
        "reason": _reason(exchange, result),
    }
    document["sentence"] = sentence(question, document, stopped)
    return document


def _stopped(exchange: Exchange) -> tuple[Passage | None, str | None]:
    for direction, passages in ((REQUEST, exchange.request), (REPLY, exchange.reply)):
        if passages and not passages[-1].passed:
            return passages[-1], direction
    return None, None


def _nowhere(exchange: Exchange) -> bool:
    """Whether a route or the lack of one says that nobody can be there; not when the way leads out of what facts tell."""
    return not exchange.service_plan.reachable and exchange.service_plan.flow.result == NO


def _names(passages: list[Passage]) -> list[str]:
    """The routers of a way; one that sends to itself is one router, though the packet passes it twice."""
    return [passage.router for passage in passages if passage.in_iface != LOOPBACK]


def _reason(exchange: Exchange, result: str) -> str | None:
    """The quick walk's reason, unless it is about a request that did arrive while something else went wrong.

    Nor where a router talks to itself: the reason is that quick could not ask its INPUT, and here it was asked.
    """
    flow = exchange.service_plan.flow
    arrived = flow.delivered and exchange.service_plan.reachable and result == UNKNOWN
    to_itself = any(passage.out_iface == LOOPBACK for passage in exchange.request)
    return None if arrived or to_itself else flow.reason or None


def _hop(passage: Passage, direction: str) -> dict[str, Any]:
    decided = passage.decided
    return {
        "router": passage.router,
        "direction": direction,
        "in": passage.in_iface or None,
        "out": passage.out_iface or None,
        "result": YES if passage.passed else NO,
        "rule": decided.document() if decided else None,
        "decisions": [decision.document() for decision in passage.rules],
        "nat": _changed(passage),
    }


def _endpoint(address: bytes, port: int, protocol: int) -> str:
    """`10.1.10.20:443`, or the address alone for icmp."""
    return str(IPv4Address(address)) + ("" if protocol == ICMP else f":{port}")


def _changed(passage: Passage) -> dict[str, Any] | None:
    """The NAT a router did, before → after; None when it did none."""
    if not passage.natted:
        return None
    spelled = [
        f"{_endpoint(h.source, h.sport, h.protocol)} → {_endpoint(h.destination, h.dport, h.protocol)}"
        for h in (passage.before, passage.after)
    ]
    return {"before": spelled[0], "after": spelled[1]}


def _routers(exchanges: list[Exchange]) -> list[dict[str, Any]]:
    """The request's routers as in a quick run's document, each cell with its deciding rule."""
    entries: dict[tuple[int, str, str, str], list[dict[str, Any]]] = {}
    for exchange in exchanges:
        port, protocol = exchange.service_plan.flow.service
        for number, passage in enumerate(exchange.request, start=1):
            cell: dict[str, Any] = {"port": port, "protocol": protocol, "result": YES if passage.passed else NO}
            if passage.decided:
                cell["rule"] = passage.decided.document()
            entries.setdefault((number, passage.router, passage.in_iface, passage.out_iface), []).append(cell)
    return [
        {"name": name, "hop": number, "in": in_iface or None, "out": out_iface or None, "services": cells}
        for (number, name, in_iface, out_iface), cells in sorted(entries.items(), key=lambda item: item[0][0])
    ]


def _unasked(question: Question, detailed_plan: DetailedPlan, port: int | None, protocol: str) -> dict[str, Any]:
    name = _spell(port, protocol)
    return {
        "port": port,
        "protocol": protocol,
        "result": NO if detailed_plan.entry.impossible else UNKNOWN,
        "outcome": None,
        "latency_ms": None,
        "refused_by": None,
        "path": [],
        "reply_path": [],
        "blocked_by": [],
        "blocked": None,
        "also_blocked_by": [],
        "hops": [],
        "reason": detailed_plan.entry.reason,
        "sentence": f"{name} from {question.source} to {question.destination}: {detailed_plan.entry.reason}.",
    }


def sentence(question: Question, document: dict[str, Any], stopped: Passage | None) -> str:
    """One plain sentence a person can paste into a ticket."""
    what = f"{_spell(document['port'], document['protocol'])} from {question.source} to {question.destination}"
    if document["result"] == YES:
        way = f" through {', '.join(document['path'])}" if document["path"] else " on their own segment"
        return f"{what} is allowed: connected in {document['latency_ms']:.1f} ms{way}."
    if document["result"] == UNKNOWN and document["reason"]:
        return f"{what} cannot be told: {document['reason']}."
    if stopped is None:
        why = document["reason"] or f"no answer came within {SERVICE_TIMEOUT_S:g} s, though no router stopped anything"
        return f"{what} does not work: {'it does not arrive: ' if document['blocked'] == REQUEST else ''}{why}."
    rule = stopped.decided
    if rule is None or not rule.stops:
        why = document["reason"] or f"{stopped.router} has no way for it"
        where = "its reply does not come back" if document["blocked"] == REPLY else "it does not arrive"
        return f"{what} does not work: {where}: {why}."
    if document["blocked"] == REPLY:
        return f"{what} does not work: request arrives; reply {_verb(rule)} by {spell_rule(stopped.router, rule)}."
    return (
        f"{what} is {'rejected' if rule.verdict == 'REJECT' else 'blocked'} by {spell_rule(stopped.router, rule, ',')}."
    )


def _verb(rule: RuleDecision) -> str:
    return "rejected" if rule.verdict == "REJECT" else "dropped"


def spell_rule(router: str, rule: RuleDecision, comma: str = "") -> str:
    """`dc-core, FORWARD rule 7: -s … -j DROP (iptables.rules:31)`; a policy is called one."""
    chain = rule.chains[-1] + (f" (from {' → '.join(rule.chains[:-1])})" if len(rule.chains) > 1 else "")
    if rule.policy:
        where = f" ({rule.rule.file.split('/')[-1]}:{rule.rule.line})" if rule.rule else ""
        return f"{router}{comma} {chain} policy {rule.verdict} of table {rule.table}{where}"
    if rule.rule is None:
        return f"{router}{comma} {chain} of table {rule.table}"
    text = rule.rule.text.removeprefix(f"-A {rule.chains[-1]} ")
    return f"{router}{comma} {chain} rule {rule.rule.number}: {text} ({rule.rule.file.split('/')[-1]}:{rule.rule.line})"


def disagreements(exchange: Exchange) -> list[str]:
    """Where the quick walk and the real request say different things of one router, and why that may be."""
    flow = exchange.service_plan.flow
    found = []
    for step, passage in zip(flow.steps, exchange.request, strict=False):
        if step.router == passage.router and _differs(step, passage):
            said = f"quick says {step.result}, the real connection {YES if passage.passed else NO}"
            found.append(
                f"{passage.router}, {_spell(*flow.service)}: {said}; a rule there depends on more than one packet"
            )
    return found


def _differs(step: Step, passage: Passage) -> bool:
    """A NO of the quick walk counts only where a rule may have said it: where nobody is behind the router, none did."""
    judged = step.result == YES or (step.result == NO and step.stopped is not None)
    return judged and (step.result == YES) != passage.passed and passage.decided is not None


def _spell(port: int | None, protocol: str) -> str:
    return protocol if port is None else f"{protocol}/{port}"
