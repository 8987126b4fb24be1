"""Replaces matches that count packets or decide by chance with a test of a number in the probe. Pure.

`-m limit`, `statistic`, `hashlimit`, `connlimit`, `quota`, and nft's `limit`, `ct count`, `quota` and `numgen` have a
state that changes with every packet and cannot be restored. On the bench such a match tests the branch number in the
probe's cookie instead (netlab/packets/probe.py). The rule then remembers nothing, and every outcome can be tested.
In branch 0 the match decides as for the first packet after a reset; all real traffic is in branch 0. In branch N the
match with number N has its other outcome. Rules keep their number and line, since only the loaded text changes.

A rule with a target that this machine lacks (`-j TARPIT`) stops the packet on the bench instead. The packets that it
stops are those that the target would get, so a test that ends there is UNKNOWN (netlab/rules/decisions.py). A target
that only logs or counts is left out.
Sources: iptables-extensions(8), nft(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial

from netlab.facts.dumps.extensions import SILENT_TARGETS, TARGETS, never_loaded
from netlab.facts.dumps.iptables import BUILT_IN, target_of
from netlab.facts.reader import RouterFacts
from netlab.packets.probe import BRANCH_MASK, BRANCHES, branch_value
from netlab.rules.native_tables import loadable
from netlab.rules.saved_firewall import Chain, SavedRule, read_iptables, read_nft

_STRING = re.compile(r'"[^"\n]*"')
_HIDDEN = re.compile("\0(\\d+)\0")


class Kind(Enum):
    """What a match depends on in addition to the packet."""

    TRAFFIC = "earlier traffic"
    """A counter. Its verdict on the first packet after a reset is certain; later packets can have another one."""
    CHANCE = "chance"
    """A random or alternating choice. Any packet may have any of the outcomes."""
    LACKING = "a match that this machine cannot evaluate"
    """A match that the kernel or the tools of this machine do not have."""
    TARGET = "a target that this machine cannot evaluate"
    """A target, or a statement of nft, that the kernel or the tools of this machine do not have.

    The rule stops the packet on the bench.
    """


@dataclass(frozen=True)
class Lacking:
    """The parts of one router's rules that the kernel or the tools of this machine refuse."""

    iptables: frozenset[int] = frozenset()
    """Line numbers in iptables.rules of rules with a refused match."""
    targets: frozenset[int] = frozenset()
    """Line numbers in iptables.rules of rules with a refused target."""
    nft: frozenset[int] = frozenset()
    """Line numbers in nft.rules."""
    sets: frozenset[str] = frozenset()
    """Names of ipsets."""


NOTHING = Lacking()


@dataclass(frozen=True)
class Uncertain:
    """One rule with an uncertain match. `branches` are the branch numbers of its outcomes other than that of branch 0."""

    kind: Kind
    rule: SavedRule
    branches: tuple[int, ...]


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
_IPTABLES_COUNTS = re.compile(r"-m (?:limit|hashlimit|connlimit|quota|statistic)\b")
"""Matches each rule that a pattern of `_IPTABLES` can match, and few others."""
_NFT_COUNTS = re.compile(r"\blimit\b|\bct count\b|\bquota\b|\bnumgen\b")
_NFT_NAMED = re.compile(r"\b(limit|quota) name (\0\d+\0|[\w.]+)(?=[\s;}]|$)")
_NFT_OBJECT = re.compile(r"^[ \t]*(limit|quota)\s+(\S+)\s*\{([^{}]*)\}", re.MULTILINE)
_NFT_METER = re.compile(r"\b(?:add|update) @\S+ \{[^{}]*\}|\bmeter [^{}]*\{[^{}]*\}")
"""A statement that keeps its counters in a set.

It is not replaced, because the set is restored after each test (netlab/kernel/rule_memory.py).
"""
_NUMGEN = re.compile(r"\bnumgen (?:random|inc) mod (\d+)(?! offset)(?=\s)")
_NUMGEN_FIELD = "@th,73,5"
_NUMGEN_MOST = 32


_SEGMENT = re.compile(r"-m (\S+)(?:(?! -[mjg] ).)*")
"""One `-m` match of iptables with its options."""
_TARGET_NAME = re.compile(r" -j (?=(\S+))")
_MATCHED_SET = re.compile(r"--match-set (\S+)")
_ALWAYS_THERE = frozenset(
    "tcp udp icmp comment conntrack state multiport mark connmark u32 limit hashlimit connlimit quota statistic"
    " recent".split()
)
_BASIC_TARGETS = frozenset("CONNMARK DNAT LOG MARK MASQUERADE REDIRECT REJECT SET SNAT".split())
"""Targets that every machine of a bench has. A refused rule with such a target is damaged."""
_MODULE_TARGETS = frozenset(TARGETS) - _BASIC_TARGETS
_DECIDES_NOTHING = SILENT_TARGETS | frozenset(
    "CHECKSUM CLASSIFY CONNSECMARK ECN NFLOG RATEEST SECMARK TCPMSS TCPOPTSTRIP TRACE".split()
)
"""Targets after which the first packet of a connection continues unchanged in all that rules and routes look at."""
_SET_TARGET = re.compile(r" -j SET .*?--(add|del|map)-set (\S+)")
_CHANGES_TRACKING = re.compile(r" --(?:notrack|zone)")
_STOP, _STOP_IN_NAT = " -j DROP", " -j NFQUEUE --queue-num 65535"
"""Targets that stop the packet. iptables refuses DROP in the table nat; the bench has no program for the queue."""
_NFT_DOES = re.compile(
    r"\b(?:accept|drop|reject(?: with .*)?|return|continue|(?:jump|goto) \S+)$| set \S"
    r"|\b(?:tproxy|synproxy|dup|fwd|queue|dnat|snat|masquerade|redirect|notrack)\b"
)
"""The action of a rule. A refused line without an action is damaged, so it is not replaced."""
_NFT_VERDICT = re.compile(r"\b(?:accept|drop|reject(?: with .*)?|return|continue|(?:jump|goto) \S+)$")


@dataclass(frozen=True)
class Chances:
    """The rules to load for one router, as text, and the rules in which a match was replaced."""

    iptables: str
    nft: str
    rules: Mapping[tuple[Chain, int], Uncertain]
    """(chain, number of the rule in it) -> the rule."""
    silent: tuple[SavedRule, ...] = ()
    """Rules that are loaded without their target. It decides nothing."""


def chances(router: RouterFacts, lacking: Lacking = NOTHING) -> Chances:
    """Replace the uncertain matches in the rules that the bench loads for `router`.

    `lacking` has the rules that this machine has refused. The result is cached: do not change it.
    """
    nft = loadable(router).text
    return _chances(router.iptables, router.file(router.iptables_file), nft, router.file("nft.rules"), lacking)


@lru_cache(maxsize=1024)
def _chances(iptables: str, iptables_file: str, nft: str, nft_file: str, lacking: Lacking) -> Chances:
    numbers = _Numbers()
    found: dict[tuple[Chain, int], Uncertain] = {}
    saved = iptables
    if _IPTABLES_COUNTS.search(saved):
        counting = (rule for rule in read_iptables(saved, iptables_file).rules if _IPTABLES_COUNTS.search(rule.text))
        iptables = _replaced(iptables, counting, numbers, found, _iptables_rule)
    if lacking.iptables or lacking.sets:
        rules = read_iptables(saved, iptables_file).rules
        iptables = _replaced(iptables, rules, numbers, found, _lacking_match(lacking))
    silent: list[SavedRule] = []
    if lacking.targets or lacking.sets or any(map(never_loaded, set(_TARGET_NAME.findall(saved)))):
        firewall = read_iptables(saved, iptables_file)
        iptables = _replaced(
            iptables, firewall.rules, numbers, found, _lacking_target(lacking, firewall.declared, silent)
        )
    if lacking.nft or _NFT_COUNTS.search(nft):
        firewall = read_nft(nft, nft_file)
        objects = {(kind, name): "over" in body for kind, name, body in _NFT_OBJECT.findall(nft)}
        nft = _replaced(nft, firewall.rules, numbers, found, lambda rule, line, take: _nft_rule(line, take, objects))
        nft = _replaced(nft, firewall.rules, numbers, found, _lacking_rule(lacking))
    return Chances(iptables, nft, found, tuple(silent))


class _Numbers:
    """Branch numbers for the matches of one router."""

    def __init__(self) -> None:
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
        if self._next < BRANCHES:
            return self._next
        return (self._in_chain[chain] - 1) % (BRANCHES - 1) + 1


_Take = Callable[[bool], int]
"""(whether a match of the rule matches the first packet) -> its branch number."""
_Replace = Callable[[SavedRule, str, _Take], tuple[str, Kind | None, tuple[int, ...]]]
"""(rule, its line to load, function that returns a branch number) -> (new line, kind or None, branches).

The kind is None if the rule is certain.
"""


def _replaced(
    text: str,
    rules: Iterable[SavedRule],
    numbers: _Numbers,
    found: dict[tuple[Chain, int], Uncertain],
    replace: _Replace,
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


def _hide(text: str) -> tuple[str, list[str]]:
    strings: list[str] = []

    def hide(quoted: re.Match[str]) -> str:
        strings.append(quoted[0])
        return f"\0{len(strings) - 1}\0"

    return _STRING.sub(hide, text), strings


def _show(text: str, strings: list[str]) -> str:
    return _HIDDEN.sub(lambda number: strings[int(number[1])], text)


def _lacking_match(lacking: Lacking) -> _Replace:
    """Return a function that replaces all matches refused in one rule of iptables.rules with one test of the branch."""

    def replace(rule: SavedRule, line: str, take: _Take) -> tuple[str, Kind | None, tuple[int, ...]]:
        def refused(match: re.Match[str]) -> bool:
            if match[1] == "set":
                name = _MATCHED_SET.search(match[0])
                return bool(name and name[1] in lacking.sets)
            return rule.line in lacking.iptables and match[1] not in _ALWAYS_THERE

        hidden, strings = _hide(line)
        places = [match for match in _SEGMENT.finditer(hidden) if refused(match)]
        if not places:
            return line, None, ()
        branch = take(False)
        test = f'-m u32 --u32 "0>>22&0x3C@8&{BRANCH_MASK:#x}={branch_value(branch):#x}"'
        for match in reversed(places):
            first = match is places[0]
            hidden = f"{hidden[: match.start()]}{test if first else ''}{hidden[match.end() :]}"
        return _show(" ".join(hidden.split()), strings), Kind.LACKING, (branch,)

    return replace


def _lacking_target(lacking: Lacking, declared: Collection[Chain], silent: list[SavedRule]) -> _Replace:
    """Return a function that replaces the target of a rule of iptables.rules if this machine lacks it.

    The allow list has not checked what follows a target that is never loaded, so it must always be removed. Rules whose
    target decides nothing are added to `silent`.
    """

    def refused(rule: SavedRule, name: str) -> bool:
        if name in BUILT_IN or ("ip", rule.table, name) in declared:
            return False
        if never_loaded(name):
            return True
        if name == "SET":
            written = _SET_TARGET.search(rule.bare)
            return bool(written and written[2] in lacking.sets)
        return rule.line in lacking.targets and name in _MODULE_TARGETS

    def replace(rule: SavedRule, line: str, take: _Take) -> tuple[str, Kind | None, tuple[int, ...]]:
        target = target_of(line, lambda name: refused(rule, name))
        if target is None:
            return line, None, ()
        start, name = target
        if _decides_nothing(name, line[start:]):
            silent.append(rule)
            return line[:start], None, ()
        return line[:start] + (_STOP_IN_NAT if rule.table == "nat" else _STOP), Kind.TARGET, ()

    return replace


def _decides_nothing(name: str, target: str) -> bool:
    """Whether a target, with its options, leaves the first packet of a connection as it is."""
    if name == "SET":  # all that reads a set that this machine lacks is uncertain anyway
        return "--map-set" not in target
    if name in ("CT", "NOTRACK"):
        return name == "CT" and not _CHANGES_TRACKING.search(target)
    return name in _DECIDES_NOTHING


def _lacking_rule(lacking: Lacking) -> _Replace:
    """Return a function that replaces a rule refused in nft.rules with a test of the branch and the rule's verdict.

    This branch is tested only for packets that can match the conditions of the rule (netlab/rules/conditions.py). A
    rule without a verdict may change the packet. Its replacement drops the packet in that branch, which shows whether
    the result depends on the rule.
    """

    def replace(rule: SavedRule, line: str, take: _Take) -> tuple[str, Kind | None, tuple[int, ...]]:
        if rule.line not in lacking.nft or not _NFT_DOES.search(rule.bare):
            return line, None, ()
        branch = take(False)
        verdict = _NFT_VERDICT.search(rule.bare)
        action = verdict[0].strip() if verdict else "drop"
        kind = Kind.LACKING if verdict else Kind.TARGET
        return f"@th,64,32 & {BRANCH_MASK:#x} == {branch_value(branch):#x} {action}", kind, (branch,)

    return replace


def _iptables_rule(rule: SavedRule, line: str, take: _Take) -> tuple[str, Kind | None, tuple[int, ...]]:
    hidden, strings = _hide(line)
    kind, branches = None, list[int]()
    for match in _IPTABLES:

        def put(found: re.Match[str], match: _Match = match) -> str:
            nonlocal kind
            kind = match.kind if kind is None else kind
            branches.append(take(match.first(found)))
            negated = "! " if match.first(found) else ""
            field = f"0>>22&0x3C@8&{BRANCH_MASK:#x}={branch_value(branches[-1]):#x}"
            return f'-m u32 {negated}--u32 "{field}"'

        hidden = match.pattern.sub(put, hidden)
    return _show(hidden, strings), kind, tuple(branches)


def _nft_rule(
    line: str, take: _Take, objects: Mapping[tuple[str, str], bool]
) -> tuple[str, Kind | None, tuple[int, ...]]:
    hidden, strings = _hide(line)
    meters: list[str] = []

    def keep(meter: re.Match[str]) -> str:
        meters.append(meter[0])
        return f"\1{len(meters) - 1}\1"

    hidden = _NFT_METER.sub(keep, hidden)
    kind: Kind | None = None
    branches = list[int]()

    def predicate(first: bool) -> str:
        branches.append(take(first))
        return f"@th,64,32 & {BRANCH_MASK:#x} {'!=' if first else '=='} {branch_value(branches[-1]):#x}"

    for match in _NFT:

        def put(found: re.Match[str], match: _Match = match) -> str:
            nonlocal kind
            kind = match.kind
            return predicate(match.first(found))

        hidden = match.pattern.sub(put, hidden)

    def named(found: re.Match[str]) -> str:
        nonlocal kind
        name = _show(found[2], strings).strip('"')
        if (found[1], name) not in objects:
            return found[0]
        kind = Kind.TRAFFIC
        return predicate(not objects[found[1], name])

    hidden = _NFT_NAMED.sub(named, hidden)
    numgen = _NUMGEN.search(hidden)
    if numgen and 1 < int(numgen[1]) <= _NUMGEN_MOST and len(_NUMGEN.findall(hidden)) == 1:
        kind = Kind.CHANCE
        branches += [BRANCHES * outcome for outcome in range(1, int(numgen[1]))]
        hidden = _NUMGEN.sub(_NUMGEN_FIELD, hidden)
    hidden = re.sub("\1(\\d+)\1", lambda number: meters[int(number[1])], hidden)
    return _show(hidden, strings), kind, tuple(branches)
