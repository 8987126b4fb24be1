"""What two results can differ in: the data compare.py finds, compare_words.py says and a template shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.answers.rule_text import RuleText, router_address

Kind = Literal["only in a", "only in b", "changed", "elsewhere", "not looked at", "same"]
"""`elsewhere`: the same answer, but another router, direction or reason behind it. `not looked at`: it is the reply that
does not come, and one of the runs is quick."""
UNCHANGED = frozenset({"not looked at", "same"})


@dataclass(frozen=True)
class Cause:
    """What stops a service first: a router, its rule where one is named, a reason where none is, and in which direction."""

    router: str
    rule: RuleText | None
    reason: str
    direction: str

    @property
    def href(self) -> str:
        """The router's page."""
        return router_address(self.router)


@dataclass(frozen=True)
class ServiceChange:
    """One service in both runs; before or after is "" where it was not asked for."""

    name: str
    kind: Kind
    before: str
    after: str
    cause_before: Cause | None
    cause_after: Cause | None


@dataclass(frozen=True)
class PathChange:
    """Services that go another way; `diff` lists ("+", "-" or " ", router) in order."""

    services: str
    direction: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    diff: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RuleChange:
    """What decided on one router, before and after; None where nothing there filters."""

    router: str
    direction: str
    services: str
    names: tuple[str, ...]
    """The services one by one."""
    before: RuleText | None
    after: RuleText | None
    moved: bool
    """The same rule of the same chain, with another number or on another line: nothing decides otherwise."""


@dataclass(frozen=True)
class Comparison:
    """Moved rules, other facts, and a reply that only one of the runs looked at make no difference."""

    verdict: tuple[str, str]
    question: tuple[str, str]
    """`10.1.10.20 → 10.3.20.8` of both; when they differ, so may everything."""
    modes: tuple[str, str]
    facts: tuple[str, str]
    services: tuple[ServiceChange, ...]
    """In the order of b, those only in a last."""
    paths: tuple[PathChange, ...]
    rules: tuple[RuleChange, ...]
    sentences: tuple[str, ...]

    @property
    def asked_both_times(self) -> list[ServiceChange]:
        """The services that can be compared."""
        return [change for change in self.services if change.kind not in ("only in a", "only in b")]

    @property
    def unchanged(self) -> bool:
        """Whether all that was tested both times has the same answers by the same paths and rules."""
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
        """Whether, beyond that, both asked the same services and nothing was left out of one."""
        return self.unchanged and all(change.kind == "same" for change in self.services)

    @property
    def headline(self) -> str:
        """In a few words."""
        if not self.unchanged:
            return "In words"
        looked = all(change.kind == "same" for change in self.asked_both_times)
        return "Nothing has changed" if looked else "Nothing that both looked at has changed"
