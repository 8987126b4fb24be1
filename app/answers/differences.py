"""The differences between two results as records. Pure.

compare.py finds them, compare_words.py describes them, and a template shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.answers.rule_text import RuleText, router_address

Kind = Literal["only in a", "only in b", "changed", "elsewhere", "not looked at", "same"]
"""What has changed for a service.

`elsewhere` means the same answer from another router, direction or reason. `not looked at` means that one of the runs
is quick and only the return path fails, which a quick run does not test.
"""
UNCHANGED = frozenset({"not looked at", "same"})
ONCE = frozenset({"only in a", "only in b"})
NAMED_MAX = 4
"""Maximum number of services that the headline names."""


@dataclass(frozen=True)
class Cause:
    """What blocks a service first: the router, the direction, and the rule, or the reason if no rule is named."""

    router: str
    rule: RuleText | None
    reason: str
    direction: str

    @property
    def href(self) -> str:
        """The address of the router's page."""
        return router_address(self.router)


@dataclass(frozen=True)
class ServiceChange:
    """One service in both runs. `before` or `after` is "" if that run did not test it."""

    name: str
    kind: Kind
    before: str
    after: str
    cause_before: Cause | None
    cause_after: Cause | None


@dataclass(frozen=True)
class PathChange:
    """Services that take another path. `diff` lists ("+", "-" or " ", router) in order."""

    services: str
    direction: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    diff: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RuleChange:
    """The deciding rule on one router, before and after. It is None if nothing filters there."""

    router: str
    direction: str
    services: str
    names: tuple[str, ...]
    """Names of the services, one by one."""
    before: RuleText | None
    after: RuleText | None
    moved: bool
    """Whether only the number or the line of the rule has changed, so that it decides the same."""


@dataclass(frozen=True)
class Comparison:
    """All differences between two results.

    Moved rules, other facts, and a reply that only one run tested do not count as differences.
    """

    verdict: tuple[str, str]
    question: tuple[str, str]
    """Source and destination of both runs, such as `10.1.10.20 → 10.3.20.8`. If they differ, everything may differ."""
    modes: tuple[str, str]
    facts: tuple[str, str]
    services: tuple[ServiceChange, ...]
    """Services in the order of b, then those that are only in a."""
    paths: tuple[PathChange, ...]
    rules: tuple[RuleChange, ...]
    sentences: tuple[str, ...]

    @property
    def asked_both_times(self) -> list[ServiceChange]:
        """The services that both runs tested."""
        return [change for change in self.services if change.kind not in ONCE]

    @property
    def unchanged(self) -> bool:
        """Whether everything tested in both runs has the same answers, paths and rules."""
        both = self.asked_both_times
        return (
            self.question[0] == self.question[1]
            and bool(both)
            and all(change.kind in UNCHANGED for change in both)
            and not self.paths
            and all(rule.moved for rule in self.rules)
        )

    @property
    def same(self) -> bool:
        """Whether nothing has changed and both runs tested the same services and the same directions."""
        return self.unchanged and all(change.kind == "same" for change in self.services)

    @property
    def headline(self) -> str:
        """Short summary of the comparison."""
        if not self.unchanged:
            return "Summary"
        once = [change.name for change in self.services if change.kind in ONCE]
        looked = all(change.kind == "same" for change in self.asked_both_times)
        if not looked:
            text = "Nothing that both runs tested has changed"
        else:
            text = "Nothing has changed" + (" in the services tested in both runs" if once else "")
        if not once:
            return text
        more = f" and {len(once) - NAMED_MAX} more" if len(once) > NAMED_MAX else ""
        return f"{text}; tested in only one run: {', '.join(once[:NAMED_MAX])}{more}"
