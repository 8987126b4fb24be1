"""Builds the result of a quick run from its flows. Pure."""

from __future__ import annotations

from collections import Counter

from netlab.quick.branches import all_paths, united
from netlab.quick.flow import Flow, Question
from netlab.quick.outcomes import traffics
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
from netlab.results.ends import quick_end
from netlab.results.services import spell
from netlab.rules.caveats import Caveats


def answer(
    question: Question,
    flows: list[Flow],
    caveats: Caveats,
    digest: str,
    *,
    run_id: str = "",
    timing_ms: dict[str, float] | None = None,
) -> QuickResult:
    """Build the result document of one quick run. `flows` has one entry per service, in the question's order."""
    paths = [path for flow in flows for path in all_paths(flow)]
    flows = [united(flow) for flow in flows]
    services = tuple(map(_service, flows))
    notes, assumptions = _caveats(paths, flows, caveats)
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


def _service(flow: Flow) -> ServiceResult:
    result = flow.result
    return ServiceResult(
        port=flow.service[0],
        protocol=flow.service[1],
        result=result,
        path=tuple(flow.path),
        blocked_by=tuple(flow.blocked_by),
        reason=flow.unsure or flow.reason or None,
        ended=_end(flow, result),
    )


def _end(flow: Flow, result: Verdict) -> End | None:
    return quick_end(result, flow.steps, looped=flow.looped, impossible=flow.impossible)


def worst(results: set[Verdict]) -> Verdict:
    """Return the worst result. NO is worse than UNKNOWN, and UNKNOWN is worse than YES."""
    return NO if NO in results else UNKNOWN if UNKNOWN in results else YES


def _routers(flows: list[Flow]) -> tuple[RouterResult, ...]:
    """Return one entry for each router and hop, with the cells of the services that pass it by the same interfaces."""
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
    """Return the reason if all services have the same one; otherwise each reason with its services.

    None without reasons.
    """
    services: dict[str, list[str]] = {}
    for flow in flows:
        if reason := flow.unsure or flow.reason:
            services.setdefault(reason, []).append(spell(*flow.service))
    if len(services) == 1 and sum(map(len, services.values())) == len(flows):
        return next(iter(services))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in services.items()) or None


def _caveats(paths: list[Flow], flows: list[Flow], caveats: Caveats) -> tuple[list[str], list[str]]:
    """Return all caveats, and those of them that could change the result. `paths` has every possible path of the flows."""
    assumptions = dict[str, None]()
    routers, forwarding = dict[str, None](), dict[str, None]()
    for flow in paths:
        for step in flow.steps:
            routers[step.router] = None
            if step.result == YES and step.in_iface and step.out_iface:
                forwarding[step.router] = None
    for router in routers:
        for missing in caveats.incomplete(router):
            assumptions[missing] = None
    all_caveats = dict(assumptions)
    for flow in paths:
        if _may_have_caveats(flow, caveats):
            for router, traffic in traffics(flow):
                all_caveats.update(dict.fromkeys(caveats.about(router, traffic, flow.settled)))
    for flow in flows:
        if flow.notes or flow.assumptions:
            assumptions.update(dict.fromkeys(flow.assumptions))
            all_caveats.update(dict.fromkeys([*flow.notes, *flow.assumptions]))
    all_caveats.update(dict.fromkeys(caveats.forwarding(forwarding)))
    return list(all_caveats), list(assumptions)


def _may_have_caveats(flow: Flow, caveats: Caveats) -> bool:
    """Return whether any router of the flow has a rule with a caveat for its protocol and interfaces."""
    protocol, routers = flow.service[1], caveats.routers
    for step in flow.steps:
        if step.router in routers and caveats.may(
            step.router, protocol, step.in_iface, step.out_iface, flow.ends_at(step)
        ):
            return True
    return False
