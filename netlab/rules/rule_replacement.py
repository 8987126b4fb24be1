"""Replaces parts of rules with a test of the branch number in the probe's cookie (netlab/packets/probe.py). Pure.

A test of the branch remembers nothing, unlike the match that it replaces, and every outcome of it can be tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from netlab.packets.probe import BRANCH_MASK, BRANCHES, branch_value
from netlab.rules.saved_firewall import Chain, SavedRule
from netlab.rules.uncertain import Kind, Uncertain

STRINGS = re.compile(r'"[^"\n]*"')


class BranchNumbers:
    """Branch numbers for the matches of one router."""

    def __init__(self, taken: int = 0) -> None:
        """`taken`: how many numbers, from the highest, have another use."""
        self._limit = BRANCHES - taken
        self._next = 0
        self._in_chain: dict[Chain, int] = {}
        self._of_rule: dict[tuple[Chain, int, bool], int] = {}

    def take(self, rule: SavedRule, first: bool) -> int:
        """Return the branch number for the matches of `rule` that match the first packet, or for those that do not.

        The latter have one number, because the rule matches only if all of them do.

        Numbers are unique in the router until they run out. After that they are counted for each chain, so they can
        repeat.
        """
        key = (rule.key, rule.number, first)
        if key not in self._of_rule:
            self._of_rule[key] = self._new(rule.key)
        return self._of_rule[key]

    def _new(self, chain: Chain) -> int:
        self._next += 1
        self._in_chain[chain] = self._in_chain.get(chain, 0) + 1
        if self._next < self._limit:
            return self._next
        return (self._in_chain[chain] - 1) % (self._limit - 1) + 1


Take = Callable[[bool], int]
"""(whether a match of the rule matches the first packet) -> its branch number."""
Replace = Callable[[SavedRule, str, Take], tuple[str, Kind | None, tuple[int, ...]]]
"""(rule, its line to load, function that returns a branch number) -> (new line, kind or None, branches).

The kind is None if the rule is certain.
"""


def replaced(
    text: str,
    rules: Iterable[SavedRule],
    numbers: BranchNumbers,
    found: dict[tuple[Chain, int], Uncertain],
    replace: Replace,
) -> str:
    """Return the text with the matches of each rule replaced by `replace`, and add those rules to `found`.

    The text keeps its line numbers. Only the first line of a rule is examined.
    """
    lines = text.split("\n")
    for rule in rules:
        line = lines[rule.line - 1]
        changed, kind, branches = replace(rule, line, partial(numbers.take, rule))
        lines[rule.line - 1] = changed
        if kind is not None:
            before = found.get((rule.key, rule.number))
            more = before.branches if before else ()
            every = tuple(dict.fromkeys((*more, *branches)))
            found[rule.key, rule.number] = Uncertain(kind, rule, every)
    return "\n".join(lines)


def hide(text: str, pattern: re.Pattern[str], mark: str) -> tuple[str, list[str]]:
    """Replace what matches by its number between two marks, so that no other pattern matches in it."""
    hidden: list[str] = []

    def number(found: re.Match[str]) -> str:
        hidden.append(found[0])
        return f"{mark}{len(hidden) - 1}{mark}"

    return pattern.sub(number, text), hidden


def show(text: str, hidden: list[str], mark: str) -> str:
    """Put back what `hide` has replaced."""
    return re.sub(f"{mark}(\\d+){mark}", lambda number: hidden[int(number[1])], text)


def iptables_test(branch: int, negated: bool = False) -> str:
    """Return a match of iptables that is true for probes in this branch only, or for all others."""
    return f'-m u32 {"! " if negated else ""}--u32 "0>>22&0x3C@8&{BRANCH_MASK:#x}={branch_value(branch):#x}"'


def nft_test(branch: int, negated: bool = False) -> str:
    """Return an expression of nft that is true for probes in this branch only, or for all others."""
    return f"@th,64,32 & {BRANCH_MASK:#x} {'!=' if negated else '=='} {branch_value(branch):#x}"
