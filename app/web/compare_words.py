"""A comparison of two results in plain sentences, those that matter most first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.spelling import fold
from app.web.differences import Cause, Comparison, PathChange, RuleChange, ServiceChange
from app.web.rule_text import RuleText


def say(found: Comparison, asked: Mapping[str, Any]) -> Iterable[str]:
    """Whole sentences; `asked` has the service, as documents spell it, of every name."""
    if found.question[0] != found.question[1]:
        yield f"The first asks {found.question[0]}, the second {found.question[1]}."
    if found.same:
        yield "Nothing changed: the same answers, by the same paths and rules."
    yield from _services(found.services, asked)
    yield from map(_path, found.paths)
    yield from (_rule(rule) for rule in found.rules if not _said_already(rule, found.services))
    if found.modes[0] != found.modes[1]:
        first, second = found.modes
        quick = "first" if first == "quick" else "second"
        yield f"The first is {first}, the second {second}: the {quick} did not look at the way back."
    if found.facts[0] != found.facts[1]:
        yield f"The facts of the network changed between the two ({found.facts[0]}, then {found.facts[1]})."


def _services(changes: Iterable[ServiceChange], asked: Mapping[str, Any]) -> Iterable[str]:
    """One sentence for all services of which the same is to be said."""
    groups: dict[str, list[str]] = {}
    for change in changes:
        ending = _service(change)
        if ending:
            groups.setdefault(ending, []).append(change.name)
    for ending, names in groups.items():
        many = len(names) > 1
        verbs = {"{was}": "were" if many else "was", "{is}": "are" if many else "is"}
        for mark, verb in verbs.items():
            ending = ending.replace(mark, verb, 1)
        yield f"{fold(asked[name] for name in names)} {ending}"


def _service(change: ServiceChange) -> str:
    """What follows the name, with `{was}` and `{is}` for one or for many; empty when there is nothing to say."""
    if change.kind == "only in a":
        return f"{{was}} asked in the first only: {change.before}."
    if change.kind == "only in b":
        return f"{{was}} asked in the second only: {change.after}{_because(change.cause_after)}."
    if change.kind == "changed":
        said = f"{{was}} {change.before} and {{is}} now {change.after}"
        if change.after == "YES":
            return f"{said}{_no_longer(change.cause_before)}."
        return f"{said}{_because(change.cause_after)}."
    was, now = change.cause_before, change.cause_after
    if change.kind == "elsewhere" and was and now:
        return f"{{is}} still {change.after}, now because of {_where(now)}; before, because of {_where(was)}."
    return ""


def _because(cause: Cause | None) -> str:
    return f": {_where(cause)}" if cause and (cause.router or cause.reason) else ""


def _where(cause: Cause) -> str:
    """`dc-core, FORWARD rule 7 (dc-core/iptables.rules:31)`, or the reason where no rule says it."""
    way = "the reply at " if cause.direction == "reply" and cause.router else ""
    why = [f"{way}{cause.router}" if cause.router else "", cause.rule.named if cause.rule else cause.reason]
    return ", ".join(part for part in why if part) or "no router"


def _no_longer(cause: Cause | None) -> str:
    if cause is None or not cause.router:
        return ""
    by = f"{cause.router}, {cause.rule.named}" if cause.rule else cause.router
    return f": {by} no longer stops {'the reply' if cause.direction == 'reply' else 'it'}"


def _path(change: PathChange) -> str:
    gone = [router for mark, router in change.diff if mark == "-"]
    new = [router for mark, router in change.diff if mark == "+"]
    what = "The reply of" if change.direction == "reply" else "The way of"
    if not gone and not new:
        return f"{what} {change.services} takes the same routers in another order."
    parts = [f"goes through {_listed(new)}"] if new else []
    if gone:
        parts.append(f"instead of {_listed(gone)}" if new else f"no longer goes through {_listed(gone)}")
    return f"{what} {change.services} now {' '.join(parts)}." if new else f"{what} {change.services} {parts[0]}."


def _rule(change: RuleChange) -> str:
    where = f"On {change.router}" + (", on the way back" if change.direction == "reply" else "")
    before, after = _named(change.before), _named(change.after)
    if change.moved:
        return f"{where} the rule for {change.services} is the same and has moved: {before}, now {after}."
    return (
        f"{where} another rule decides about {change.services}: {_quoted(change.before)}, now {_quoted(change.after)}."
    )


def _said_already(rule: RuleChange, services: Iterable[ServiceChange]) -> bool:
    """Whether everything it is about has another answer because of it, which has been said of each."""
    changed = {
        service.name
        for service in services
        for cause, own in ((service.cause_before, rule.before), (service.cause_after, rule.after))
        if service.kind == "changed" and cause
        if (cause.router, cause.direction, cause.rule) == (rule.router, rule.direction, own)
    }
    return changed.issuperset(rule.names)


def _named(rule: RuleText | None) -> str:
    return rule.named if rule else "none"


def _quoted(rule: RuleText | None) -> str:
    return rule.whole if rule else "none, nothing filters there"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
