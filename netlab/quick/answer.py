"""Builds the result of a quick run from its flows. Pure."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

from netlab.packets.probe import Packet
from netlab.quick.flow import Flow, Question
from netlab.results.document import (
    NO,
    SCHEMA,
    UNKNOWN,
    YES,
    Cell,
    End,
    QuickResult,
    RouterResult,
    ServiceResult,
    Verdict,
)
from netlab.results.ends import Probe, quick_end
from netlab.results.services import spell
from netlab.rules.caveats import Caveats
from netlab.rules.conditions import Ends, Traffic
from netlab.topology.ingress import Ingress


def answer(
    question: Question,
    ingress: Ingress,
    flows: list[Flow],
    caveats: Caveats,
    digest: str,
    *,
    run_id: str = "",
    timing_ms: dict[str, float] | None = None,
) -> QuickResult:
    """The result document of one quick run; `flows` has one entry for each service, in the question's order."""
    services = tuple(
        ServiceResult(
            port=flow.service[0],
            protocol=flow.service[1],
            result=flow.result,
            path=tuple(flow.path),
            blocked_by=tuple(flow.blocked_by),
            reason=flow.reason or None,
            ended=_end(flow),
        )
        for flow in flows
    )
    notes, assumptions = _caveats(ingress, flows, caveats)
    return QuickResult(
        schema=SCHEMA,
        run_id=run_id,
        source=str(question.source),
        destination=str(question.destination),
        source_port=question.source_port,
        dscp=question.dscp,
        verdict=worst({service.result for service in services}),
        path=Counter(service.path for service in services).most_common(1)[0][0],
        routers=_routers(flows),
        services=services,
        caveats=tuple(notes),
        depends_on=tuple(assumptions),
        reason=_reason(flows),
        facts=digest,
        timing_ms=timing_ms or {},
    )


def _end(flow: Flow) -> End | None:
    probes = [Probe(step.router, step.result, step.rule is not None or step.stopped is not None) for step in flow.steps]
    return quick_end(flow.result, probes, looped=flow.looped, impossible=flow.impossible)


def worst(results: set[Verdict]) -> Verdict:
    """The worst result: NO before UNKNOWN before YES."""
    return NO if NO in results else UNKNOWN if UNKNOWN in results else YES


def _routers(flows: list[Flow]) -> tuple[RouterResult, ...]:
    """One entry for each router as passed: hop, in and out; services with another path have an entry of their own."""
    entries: dict[tuple[int, str, str, str], list[Cell]] = {}
    for flow in flows:
        port, protocol = flow.service
        for hop, step in enumerate(flow.steps, start=1):
            cell = Cell(port, protocol, step.result, step.rule.document() if step.rule else None)
            entries.setdefault((hop, step.router, step.in_iface, step.out_iface), []).append(cell)
    return tuple(
        RouterResult(name, hop, in_iface or None, out_iface or None, tuple(cells))
        for (hop, name, in_iface, out_iface), cells in sorted(entries.items(), key=lambda item: item[0][0])
    )


def _reason(flows: list[Flow]) -> str | None:
    """The reason if all services share one, else each reason with its services; None when there is none."""
    services: dict[str, list[str]] = {}
    for flow in flows:
        if flow.reason:
            services.setdefault(flow.reason, []).append(spell(*flow.service))
    if len(services) == 1 and sum(map(len, services.values())) == len(flows):
        return next(iter(services))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in services.items()) or None


def _ends(packet: Packet) -> Ends:
    return Ends(IPv4Address(packet.source), IPv4Address(packet.destination), int.from_bytes(packet.ports[2:], "big"))


def _caveats(ingress: Ingress, flows: list[Flow], caveats: Caveats) -> tuple[list[str], list[str]]:
    """All caveats, and those of them on which the answer itself depends."""
    assumptions = dict.fromkeys([ingress.note] if ingress.note else [])
    for router in dict.fromkeys(step.router for flow in flows for step in flow.steps):
        assumptions.update(dict.fromkeys(caveats.incomplete(router)))
    all_caveats = dict(assumptions)
    for flow in flows:
        last = len(flow.steps) - 1
        ends: frozenset[Ends] | None = None
        for number, step in enumerate(flow.steps):
            here = number == last and not step.out_iface
            if not caveats.may(step.router, flow.service[1], step.in_iface, step.out_iface, here):
                continue
            if ends is None:
                ends = frozenset(_ends(packet) for packet in {*(packet for _, _, packet in flow.seen), flow.packet})
            traffic = Traffic(flow.service[1], step.in_iface, step.out_iface, here, ends)
            all_caveats.update(dict.fromkeys(caveats.about(step.router, traffic)))
        assumptions.update(dict.fromkeys(flow.assumptions))
        all_caveats.update(dict.fromkeys([*flow.notes, *flow.assumptions]))
    return list(all_caveats), list(assumptions)
