"""Counts the rules that a result names, and lists the first blockers of each service. Pure."""

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
"""(name of the rule, REQUEST or REPLY, port, protocol). The name of the rule includes the router."""


def facts_of(result: Result) -> str:
    """Return the hash of the tested facts; "" if the field is not a valid hash."""
    return result.facts if _FACTS.fullmatch(result.facts) else ""


def counted(result: Result) -> dict[str, int]:
    """Return {name of a rule: hits}. A rule gets one hit for each service, and one more for the service's reply.

    A quick run knows only blocking rules. A detailed run knows every deciding rule, on the forward and the return path.
    """
    hits = Counter(name for name, *_ in {*_forward(result), *_replies(result)})
    return dict(sorted(hits.items(), key=lambda item: (-item[1], item[0]))[:NAMES_MAX])


def stopped_by(result: Result) -> str:
    """Return the first blockers as text for lists, such as `dc-fw iptables.rules:4, dc-gw`.

    The text names at most STOPPERS_SHOWN blockers and says how many more there are.
    """
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
    """Return the rule's place without its router, such as `iptables.rules:4`; "" if unknown."""
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
    """Return the name of a rule or policy; "" if it has no place in the facts."""
    if rule is None:
        return ""
    if rule.file:
        return f"{rule.file}:{rule.line}"
    return f"{router}/{rule.family} {rule.table} {rule.chain} policy" if rule.policy else ""
