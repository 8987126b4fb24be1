"""What two results can differ in: the data compare.py finds, compare_words.py says and a template shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.web.rule_text import RuleText

Kind = Literal["only in a", "only in b", "changed", "elsewhere", "same"]
"""`elsewhere`: the same answer, but another router, direction or reason behind it."""


@dataclass(frozen=True)
class Cause:
    """What stops a service first: a router, its rule where one is named, a reason where none is, and in which direction."""

    router: str
    rule: RuleText | None
    reason: str
    direction: str


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
    """`same`: both answer alike, by the same paths and rules; moved rules and other facts do not make a difference."""

    same: bool
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
