"""Describes the comparison of two results in plain sentences, the most important first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.answers.differences import Cause, Comparison, PathChange, RuleChange, ServiceChange
from app.answers.rule_text import RuleText
from netlab.results.document import ServiceResult
from netlab.results.services import fold


def say(comparison: Comparison, asked: Mapping[str, ServiceResult]) -> Iterable[str]:
    """Yield all sentences. `asked` maps every service name to the service in the documents' format."""
    alike = comparison.modes[0] == comparison.modes[1]
    if not alike:
        yield (
            f"The first is {comparison.modes[0]}, the second {comparison.modes[1]}: only the detailed one tested the "
            "return path, so answers that depend on the reply cannot be compared."
        )
    if comparison.question[0] != comparison.question[1]:
        yield f"The first run tests {comparison.question[0]}, the second {comparison.question[1]}."
    yield from _nothing(comparison, asked)
    words = _changed if alike else _between_modes(comparison.modes)
    yield from _services(comparison.services if not comparison.unchanged else comparison.asked_both_times, asked, words)
    yield from (_path(change, alike) for change in comparison.paths)
    yield from (_rule(rule, alike) for rule in comparison.rules if not _already_covered(rule, comparison.services))
    if comparison.facts[0] == comparison.facts[1]:
        yield "The network’s facts are the same in both."
    else:
        yield f"The facts of the network changed between the two ({comparison.facts[0]}, then {comparison.facts[1]})."


def _nothing(comparison: Comparison, asked: Mapping[str, ServiceResult]) -> Iterable[str]:
    """Yield the sentence for an unchanged comparison, including services tested in only one run.

    If the runs share no service, yield a sentence about that. Otherwise yield nothing.
    """
    both = comparison.asked_both_times
    if not both:
        yield "No service was tested in both runs."
    if not comparison.unchanged:
        return
    only = [sentence.removesuffix(".") for sentence in _services(comparison.services, asked, _asked_once)]
    if only:
        alike = sum(change.kind == "same" for change in both)
        tested = f"{alike} services" if alike > 1 else "one service"
        yield "; ".join([*([f"Nothing has changed in the {tested} tested in both runs"] if alike else []), *only]) + "."
    elif comparison.same:
        yield "Nothing changed: same results, same paths and rules."


Words = Callable[[ServiceChange], str]
"""Function that returns the rest of a sentence after the name, or "" for no sentence.

The text contains `{was}` and `{is}` in place of the verbs, which may be singular or plural.
"""


def _services(changes: Iterable[ServiceChange], asked: Mapping[str, ServiceResult], words: Words) -> Iterable[str]:
    """Yield one sentence for all services with the same change."""
    groups: dict[str, list[str]] = {}
    for change in changes:
        ending = words(change)
        if ending:
            groups.setdefault(ending, []).append(change.name)
    for ending, names in groups.items():
        plural = len(names) > 1
        verbs = {"{was}": "were" if plural else "was", "{is}": "are" if plural else "is"}
        for mark, verb in verbs.items():
            ending = ending.replace(mark, verb, 1)
        yield f"{fold(asked[name] for name in names)} {ending}"


def _asked_once(change: ServiceChange) -> str:
    if change.kind == "only in a":
        return f"{{was}} tested only in the first run: {change.before}."
    if change.kind == "only in b":
        return f"{{was}} tested only in the second run: {change.after}{_because(change.cause_after, ', because of ')}."
    return ""


def _changed(change: ServiceChange) -> str:
    """Return a sentence about two runs in the same mode: before and now."""
    if change.kind == "changed":
        text = f"{{was}} {change.before} and {{is}} now {change.after}"
        if change.after == "YES":
            return f"{text}{_no_longer(change.cause_before)}."
        return f"{text}{_because(change.cause_after)}."
    was, now = change.cause_before, change.cause_after
    if change.kind == "elsewhere" and was and now:
        return f"{{is}} still {change.after}, but now because of {_where(now)} (previously {_where(was)})."
    return _asked_once(change)


def _between_modes(modes: tuple[str, str]) -> Words:
    """Return the function for a quick and a detailed run.

    Its sentences give the result of each run, without calling it a change of the network.
    """

    def words(change: ServiceChange) -> str:
        answers = ((change.before, change.cause_before, modes[0]), (change.after, change.cause_after, modes[1]))
        if change.kind == "not looked at":
            cause = change.cause_before or change.cause_after
            why = _where(cause) if cause and (cause.router or cause.reason) else "no reply arrived"
            return f"{{is}} YES in the quick run, which did not test the return path; the detailed one did: {why}."
        if change.kind in ("changed", "elsewhere"):
            results = [f"{result} in the {mode} run{_because(cause)}" for result, cause, mode in answers]
            return f"{{is}} {results[0]}; {results[1]}."
        return _asked_once(change)

    return words


def _because(cause: Cause | None, joint: str = ": ") -> str:
    return f"{joint}{_where(cause)}" if cause and (cause.router or cause.reason) else ""


def _where(cause: Cause) -> str:
    """Return the place of a cause, such as `dc-core, FORWARD rule 7 (dc-core/iptables.rules:31)`.

    If no rule is named, the reason replaces it.
    """
    service_path = "the reply at " if cause.direction == "reply" and cause.router else ""
    why = [f"{service_path}{cause.router}" if cause.router else "", cause.rule.named if cause.rule else cause.reason]
    return ", ".join(part for part in why if part) or "no router"


def _no_longer(cause: Cause | None) -> str:
    if cause is None or not cause.router:
        return ""
    by = f"{cause.router}, {cause.rule.named}" if cause.rule else cause.router
    return f": {by} no longer stops {'the reply' if cause.direction == 'reply' else 'it'}"


def _path(change: PathChange, alike: bool) -> str:
    gone = [router for mark, router in change.diff if mark == "-"]
    new = [router for mark, router in change.diff if mark == "+"]
    what = "The return path of" if change.direction == "reply" else "The forward path of"
    if not gone and not new:
        return f"{what} {change.services} passes the same routers in a different order."
    if not alike:
        parts = [
            f"through {_listed(names)} only in the {run}" for names, run in ((gone, "first"), (new, "second")) if names
        ]
        return f"{what} {change.services} goes {', '.join(parts)}."
    parts = [f"goes through {_listed(new)}"] if new else []
    if gone:
        parts.append(f"instead of {_listed(gone)}" if new else f"no longer goes through {_listed(gone)}")
    return f"{what} {change.services} now {' '.join(parts)}." if new else f"{what} {change.services} {parts[0]}."


def _rule(change: RuleChange, alike: bool) -> str:
    where = f"On {change.router}" + (", on the return path" if change.direction == "reply" else "")
    before, after = _named(change.before), _named(change.after)
    if change.moved:
        return f"{where} the rule for {change.services} is the same but has moved from {before} to {after}."
    if not alike:
        both = f"{_quoted(change.before)} in the first, {_quoted(change.after)} in the second"
        return f"{where} the runs name different rules for {change.services}: {both}."
    rules = f"{_quoted(change.before)} before, {_quoted(change.after)} now"
    return f"{where}, a different rule decides {change.services}: {rules}."


def _already_covered(rule: RuleChange, services: Iterable[ServiceChange]) -> bool:
    """Return whether sentences about changed answers have already covered every service of this rule change."""
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
