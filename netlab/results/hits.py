"""The rules that a result names, how often, and which blocked first: counted and listed for each run. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from netlab.results.document import NO, REPLY, REQUEST, DetailedResult, Result, Rule, ServiceResult

NAMES_MAX = 400
"""Maximum number of names counted for one run; those with the most hits come first."""
STOPPERS_SHOWN = 3
_FACTS = re.compile(r"[0-9a-f]{1,64}")

Hit = tuple[str, str, int | None, str]
"""Name of the rule, request or reply, port and protocol of the service; the name includes the router."""


def facts_of(result: Result) -> str:
    """The hash of the facts that the result was made from; "" when it is not one."""
    return result.facts if _FACTS.fullmatch(result.facts) else ""


def counted(result: Result) -> dict[str, int]:
    """{name of a rule: hits}: one for each service on each router, and one more for its reply.

    In a quick run only a blocking rule is known; in a detailed one every deciding rule, on both paths.
    """
    hits = Counter(name for name, *_ in {*_forward(result), *_replies(result)})
    return dict(sorted(hits.items(), key=lambda item: (-item[1], item[0]))[:NAMES_MAX])


def stopped_by(result: Result) -> str:
    """The first blockers, for lists: `dc-fw iptables.rules:4, dc-gw`, at most STOPPERS_SHOWN, and how many more."""
    places = {
        (router.name, cell.port, cell.protocol): _place(cell.rule)
        for router in result.routers
        for cell in router.services
        if cell.result == NO
    }
    if isinstance(result, DetailedResult):
        places |= {
            (hop.router, service.port, service.protocol): _place(hop.rule)
            for service in result.services
            for hop in service.hops
            if hop.result == NO
        }
    services: tuple[ServiceResult, ...] = result.services
    blockers = list(
        dict.fromkeys(
            f"{router} {places.get((router, service.port, service.protocol), '')}".strip()
            for service in services
            for router in service.blocked_by[:1]
        )
    )
    shown = blockers[:STOPPERS_SHOWN]
    more = f" and {len(blockers) - len(shown)} more" if len(blockers) > len(shown) else ""
    return ", ".join(shown) + more


def _place(rule: Rule | None) -> str:
    """`iptables.rules:4`; the router is shown beside it."""
    return f"{rule.file.rpartition('/')[2]}:{rule.line}" if rule and rule.file else ""


def _forward(result: Result) -> Iterator[Hit]:
    for router in result.routers:
        for cell in router.services:
            if name := _name(router.name, cell.rule):
                yield name, REQUEST, cell.port, cell.protocol


def _replies(result: Result) -> Iterator[Hit]:
    if not isinstance(result, DetailedResult):
        return
    for service in result.services:
        for hop in service.hops:
            if hop.direction == REPLY and (name := _name(hop.router, hop.rule)):
                yield name, REPLY, service.port, service.protocol


def _name(router: str, rule: Rule | None) -> str:
    """Name of a rule; "" when it has no place in the facts."""
    if rule is None:
        return ""
    if rule.file:
        return f"{rule.file}:{rule.line}"
    return f"{router}/{rule.family} {rule.table} {rule.chain} policy" if rule.policy else ""
