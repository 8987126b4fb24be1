"""Replaces matches that count packets or decide by chance with a test of a number in the probe. Pure.

`-m limit`, `statistic`, `hashlimit`, `connlimit`, `quota`, and nft's `limit`, `ct count`, `quota` and `numgen` have a
state that changes with every packet and cannot be restored. In branch 0 the test decides as the match does for the first
packet after a reset, in the branch with its number it has the other outcome (netlab/rules/rule_replacement.py).
Sources: iptables-extensions(8), nft(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from netlab.packets.probe import BRANCHES
from netlab.rules.rule_replacement import STRINGS, Replace, Take, hide, iptables_test, nft_test, show
from netlab.rules.saved_firewall import SavedRule
from netlab.rules.uncertain import Kind


@dataclass(frozen=True)
class _Match:
    """One kind of match. `first` returns whether it matches the first packet after a reset."""

    pattern: re.Pattern[str]
    kind: Kind
    first: Callable[[re.Match[str]], bool]


def _flipped(match: re.Match[str], first: bool) -> bool:
    return first != ("! " in match[0])


def _connlimit(match: re.Match[str]) -> bool:
    number = int(re.findall(r"--connlimit-(?:above|upto) (\d+)", match[0])[0])
    above = "--connlimit-above" in match[0]
    return _flipped(match, (number < 1) if above else number >= 1)


_IPTABLES = (
    _Match(re.compile(r"-m limit(?: --limit\S* \S+)+"), Kind.TRAFFIC, lambda match: True),
    _Match(
        re.compile(r"-m hashlimit(?: --hashlimit-rate-match| --hashlimit-\S+ \S+)+"),
        Kind.TRAFFIC,
        lambda match: "--hashlimit-above" not in match[0],
    ),
    _Match(
        re.compile(r"-m connlimit(?:(?: !)? --connlimit-(?:above|upto|mask) \S+| --connlimit-[sd]addr)+"),
        Kind.TRAFFIC,
        _connlimit,
    ),
    _Match(
        re.compile(r"-m quota (?:! )?--quota (\d+)"), Kind.TRAFFIC, lambda match: _flipped(match, int(match[1]) > 0)
    ),
    _Match(
        re.compile(r"-m statistic --mode \S+(?:(?: !)? --(?:probability|every|packet) \S+)+"),
        Kind.CHANCE,
        lambda match: "! --" in match[0],
    ),
)
_NFT = (
    _Match(
        re.compile(r"\blimit rate( over)? \d+ ?\w*/\w+(?: burst \d+ \w+)?"),
        Kind.TRAFFIC,
        lambda match: not match[1],
    ),
    _Match(
        re.compile(r"\bct count( over)? (\d+)"),
        Kind.TRAFFIC,
        lambda match: (int(match[2]) < 1) if match[1] else int(match[2]) >= 1,
    ),
    _Match(
        re.compile(r"\bquota (over |until )?\d+ \w+(?: used \d+ \w+)?"), Kind.TRAFFIC, lambda match: match[1] != "over "
    ),
)
IPTABLES_COUNTS = re.compile(r"-m (?:limit|hashlimit|connlimit|quota|statistic)\b")
"""Matches each rule that a pattern of `_IPTABLES` can match, and few others."""
NFT_COUNTS = re.compile(r"\blimit\b|\bct count\b|\bquota\b|\bnumgen\b")
_NFT_NAMED = re.compile(r"\b(limit|quota) name (\0\d+\0|[\w.]+)(?=[\s;}]|$)")
_NFT_OBJECT = re.compile(r"^[ \t]*(limit|quota)\s+(\S+)\s*\{([^{}]*)\}", re.MULTILINE)
_NFT_METER = re.compile(r"\b(?:add|update) @\S+ \{[^{}]*\}|\bmeter [^{}]*\{[^{}]*\}")
"""A statement that keeps its counters in a set.

It is not replaced, because the set is restored after each test (netlab/kernel/rule_memory.py).
"""
_NUMGEN = re.compile(r"\bnumgen (?:random|inc) mod (\d+)(?! offset)(?=\s)")
_NUMGEN_FIELD = "@th,73,5"
_NUMGEN_MOST = 32


def iptables_rule(rule: SavedRule, line: str, take: Take) -> tuple[str, Kind | None, tuple[int, ...]]:
    """Replace each match of a rule of iptables that counts or decides by chance with a test of a branch."""
    hidden, strings = hide(line, STRINGS, "\0")
    kind, branches = None, list[int]()
    for match in _IPTABLES:

        def put(found: re.Match[str], match: _Match = match) -> str:
            nonlocal kind
            kind = match.kind if kind is None else kind
            branches.append(take(match.first(found)))
            return iptables_test(branches[-1], negated=match.first(found))

        hidden = match.pattern.sub(put, hidden)
    return show(hidden, strings, "\0"), kind, tuple(branches)


def nft_rule(nft: str) -> Replace:
    """Return a function that replaces the matches of one rule of this ruleset that count or decide by chance."""
    objects = {(kind, name): "over" in body for kind, name, body in _NFT_OBJECT.findall(nft)}
    return lambda rule, line, take: _nft_rule(line, take, objects)


def _nft_rule(
    line: str, take: Take, objects: Mapping[tuple[str, str], bool]
) -> tuple[str, Kind | None, tuple[int, ...]]:
    """`objects` has the named limits and quotas: (kind, name) -> whether a packet matches above the limit."""
    hidden, strings = hide(line, STRINGS, "\0")
    hidden, meters = hide(hidden, _NFT_METER, "\1")
    kind: Kind | None = None
    branches = list[int]()

    def test(kind_of_match: Kind, first: bool) -> str:
        nonlocal kind
        kind = kind_of_match
        branches.append(take(first))
        return nft_test(branches[-1], negated=first)

    def put(match: _Match, found: re.Match[str]) -> str:
        return test(match.kind, match.first(found))

    def named(found: re.Match[str]) -> str:
        name = show(found[2], strings, "\0").strip('"')
        above = objects.get((found[1], name))
        return found[0] if above is None else test(Kind.TRAFFIC, not above)

    for match in _NFT:
        hidden = match.pattern.sub(partial(put, match), hidden)
    hidden = _NFT_NAMED.sub(named, hidden)
    numgen = _NUMGEN.search(hidden)
    if numgen and 1 < int(numgen[1]) <= _NUMGEN_MOST and len(_NUMGEN.findall(hidden)) == 1:
        kind = Kind.CHANCE
        branches += [BRANCHES * outcome for outcome in range(1, int(numgen[1]))]
        hidden = _NUMGEN.sub(_NUMGEN_FIELD, hidden)
    return show(show(hidden, meters, "\1"), strings, "\0"), kind, tuple(branches)
