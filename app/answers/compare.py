"""Compares the results of two runs, a and b: answers, paths and rules, as data and as sentences. Pure.

    two results ──▶ compare() ──▶ Comparison(services, paths, rules, sentences)

Differences that come from the mode do not count. A detailed run differs from a quick run in that it ends at the
blocking router instead of testing the routers after it, tests the return path, and names accepting rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import groupby

from app.answers.compare_words import say
from app.answers.differences import Cause, Comparison, Kind, PathChange, RuleChange, ServiceChange
from app.answers.paths import Leg, ServicePath, service_paths
from app.answers.rule_text import RuleText
from app.formatting import ARROW
from netlab.results.document import NO, REPLY, UNKNOWN, YES, DetailedResult, QuickResult, Result, ServiceResult
from netlab.results.services import fold, service_name

Services = Mapping[str, ServiceResult]
"""{name: service}."""
Pairs = Mapping[str, tuple[ServicePath, ServicePath]]
"""{name of a service: its paths in both results}."""


def compare(a: Result, b: Result) -> Comparison:
    """Compare two results. `a` is the earlier one, or the reference."""
    before, after = _ways(a), _ways(b)
    names = [*after, *(name for name in before if name not in after)]
    alike = type(a) is type(b)
    services = tuple(_service(name, before.get(name), after.get(name), alike=alike) for name in names)
    both = {name: (before[name], after[name]) for name in names if name in before and name in after}
    asked = {service_name(service): service for service in (*a.services, *b.services)}
    detailed = alike and isinstance(a, DetailedResult)
    paths = _paths(both, asked)
    rules = _rules(both, asked, detailed=detailed)
    comparison = Comparison(
        (a.verdict, b.verdict),
        (_question(a), _question(b)),
        (_mode(a), _mode(b)),
        (a.facts, b.facts),
        services,
        paths,
        rules,
        (),
    )
    return replace(comparison, sentences=tuple(say(comparison, asked)))


def _ways(result: Result) -> dict[str, ServicePath]:
    return {service_path.service: service_path for service_path in service_paths(result)}


def _question(result: Result) -> str:
    return f"{result.source}{ARROW}{result.destination}"


def _mode(result: Result) -> str:
    return "quick" if isinstance(result, QuickResult) else "detailed"


def _service(name: str, before: ServicePath | None, after: ServicePath | None, *, alike: bool) -> ServiceChange:
    was = _cause(before) if before else None
    now = _cause(after) if after else None
    kind: Kind
    if not before or not after:
        kind = "only in a" if before else "only in b"
    elif not alike and _only_the_reply(before, after):
        kind = "not looked at"
    elif before.result != after.result:
        kind = "changed"
    else:
        kind = "same" if _place(was, alike) == _place(now, alike) else "elsewhere"
    return ServiceChange(name, kind, before.result if before else "", after.result if after else "", was, now)


def _only_the_reply(before: ServicePath, after: ServicePath) -> bool:
    """Return whether the service fails in only one result, and only for a reason that a quick run does not test.

    Such a reason is the return path, or the connection.
    """
    failed = [service_path for service_path in (before, after) if service_path.stopped]
    if len(failed) != 1 or not failed[0].both_ways or not failed[0].stopped:
        return False
    direction, leg = failed[0].stopped
    return direction == REPLY or (leg.end is None and leg.result == UNKNOWN)


def _place(cause: Cause | None, alike: bool) -> tuple[str, ...]:
    """Return where the path ends and why.

    For runs in two modes, return only where, because the modes word their reasons differently.
    """
    if cause is None:
        return ("",)
    return (cause.router, cause.direction, cause.reason) if alike else (cause.router,)


def _cause(path: ServicePath) -> Cause | None:
    if path.stopped is None:
        return None
    direction, leg = path.stopped
    if leg.end is None:
        return Cause("", None, leg.reason, direction)
    stop = leg.stops[leg.end]
    return Cause(stop.router, stop.rule, "" if stop.rule else leg.reason, direction)


def _paths(both: Pairs, asked: Services) -> tuple[PathChange, ...]:
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[ServiceResult]] = {}
    for name, paths in both.items():
        for direction, was, now in _legs(*paths):
            before, after = _comparable(was, now)
            if before != after:
                groups.setdefault((direction, before, after), []).append(asked[name])
    return tuple(
        PathChange(fold(services), direction, before, after, tuple(_diff(before, after)))
        for (direction, before, after), services in groups.items()
    )


def _legs(before: ServicePath, after: ServicePath) -> Iterable[tuple[str, Leg, Leg]]:
    """Yield the directions that both runs have tested."""
    yield "request", before.request, after.request
    if before.reply and after.reply:
        yield "reply", before.reply, after.reply


def _comparable(was: Leg, now: Leg) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return both paths, cut to the common length if one ends early, unless they diverge before that."""
    # In a detailed run, a router that sends to itself appears twice in a row. That does not make it another path.
    before, after = ([router for router, _ in groupby(leg.passed)] for leg in (was, now))
    shorter = min(len(before), len(after))
    early = was if len(before) < len(after) else now
    if early.result != YES and before[:shorter] == after[:shorter]:
        before, after = before[:shorter], after[:shorter]
    return tuple(before), tuple(after)


def _diff(before: Sequence[str], after: Sequence[str]) -> Iterable[tuple[str, str]]:
    for kind, a1, a2, b1, b2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from ((" ", router) for router in before[a1:a2])
            continue
        yield from (("-", router) for router in before[a1:a2])
        yield from (("+", router) for router in after[b1:b2])


def _rules(both: Pairs, asked: Services, *, detailed: bool) -> tuple[RuleChange, ...]:
    """Return the rule changes on routers that are on both paths.

    If at least one of the runs is quick, only services that a named rule blocks in both runs count.
    """
    groups: dict[tuple[str, str, RuleText | None, RuleText | None], list[ServiceResult]] = {}
    for name, paths in both.items():
        for direction, was, now in _legs(*paths):
            for router, before, after in _other_rules(was, now, detailed=detailed):
                groups.setdefault((router, direction, before, after), []).append(asked[name])
    return tuple(
        RuleChange(
            router,
            direction,
            fold(services),
            tuple(map(service_name, services)),
            before,
            after,
            _moved(before, after),
        )
        for (router, direction, before, after), services in groups.items()
    )


def _other_rules(was: Leg, now: Leg, *, detailed: bool) -> Iterable[tuple[str, RuleText | None, RuleText | None]]:
    """Yield (router, rule before, rule after) for each router of both legs on which the rule differs."""
    later = {stop.router: stop for stop in now.stops if not stop.not_probed}
    for stop in was.stops:
        other = later.get(stop.router)
        if stop.not_probed or other is None:
            continue
        both_block = stop.result == other.result == NO
        both_name = stop.rule and other.rule  # one of the runs may not have traced rules
        if (detailed or (both_block and both_name)) and stop.rule != other.rule:
            yield stop.router, stop.rule, other.rule


def _moved(before: RuleText | None, after: RuleText | None) -> bool:
    if not before or not after or not before.where:
        return False
    return replace(before, short="", where="") == replace(after, short="", where="")
