"""Bulk results for tests, written by hand: one question in each row, and rules of dc-fw and edge."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from app.answers.impact.compare import compare
from app.answers.impact.document import Impact
from netlab.facts.changes.document import FactsChanges
from netlab.results.bulk import BulkAnswer, BulkResult, BulkService
from netlab.results.document import Rule, Verdict

NO_CHANGES = FactsChanges("no changes", (), ())
SERVICE = re.compile(r"(?:(\d+)/)?(tcp|udp|icmp)")


def a_rule(router: str = "dc-fw", line: int = 12, text: str = "-p tcp --dport 443 -j DROP", **other: Any) -> Rule:
    """A rule of FORWARD in iptables.rules."""
    rule = Rule(
        family="ip",
        table="filter",
        chain="FORWARD",
        chains=("FORWARD",),
        number=line - 4,
        text=f"-A FORWARD {text}",
        file=f"{router}/iptables.rules",
        line=line,
        hook="forward",
        verdict="DROP",
        policy=False,
    )
    return replace(rule, **other)


def a_policy(router: str = "dc-fw", line: int = 4, **other: Any) -> Rule:
    """The policy DROP of FORWARD."""
    changes = {"number": None, "policy": True, "text": ":FORWARD DROP [1:60]"} | other
    return replace(a_rule(router, line), **changes)


def cell(
    result: Verdict = "YES",
    *,
    service: str = "443/tcp",
    path: str = "gw core dc-fw",
    by: str = "",
    reason: str | None = None,
    rule: int | None = None,
) -> BulkService:
    """One cell. `path` and `by` are names of routers, `rule` a position in the rules of the result."""
    port, protocol = SERVICE.fullmatch(service).groups()  # type: ignore[union-attr]
    return BulkService(
        int(port) if port else None, protocol, result, tuple(path.split()), tuple(by.split()), reason, rule
    )


def question(line: int, *cells: BulkService, **other: Any) -> BulkAnswer:
    """The answer for the question of this line, from 10.1.10.20 to 10.3.20.8."""
    results = {service.result for service in cells}
    worst: Verdict = "NO" if "NO" in results else "UNKNOWN" if "UNKNOWN" in results else "YES"
    answer = BulkAnswer(line, "10.1.10.20", "10.3.20.8", worst, cells)
    return replace(answer, **other)


def bulk(
    *answers: BulkAnswer, rules: tuple[Rule, ...] = (), notes: tuple[str, ...] = (), facts: str = "aa"
) -> BulkResult:
    """A run with these answers."""
    return BulkResult(run_id="r", facts=facts, answers=answers, rules=rules, notes=notes)


def impact_of(
    before: BulkService,
    after: BulkService,
    rules: tuple[tuple[Rule, ...], tuple[Rule, ...]] = ((a_rule(),), (a_rule(),)),
    **other: Any,
) -> Impact:
    """The impact on one question with one cell."""
    sides = (
        bulk(question(1, one), rules=own, facts=facts)
        for one, own, facts in zip((before, after), rules, ("aa", "bb"), strict=True)
    )
    was, now = sides
    return compare([was], [now], NO_CHANGES, **other)
