"""Chains with the same hook and priority: the order in which the kernel asks them, and what depends on it. Pure.

The kernel asks the chain first that was registered last (nf_hook_entries_grow in net/netfilter/core.c). Facts do not
say when a chain was registered: `nft list ruleset` lists tables in the order in which they were created, but a chain can
be added to an old table. The bench creates chains in the listed order (`first_chains`).

Among chains of type nat, the first one with a rule that changes the address decides, and the others are not asked. For
each table that would decide only in another order there is therefore a branch in which its rules are the only ones
(`ties`). All of its outcomes are tested (netlab/quick/outcomes.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from netlab.facts.reader import RouterFacts
from netlab.packets.probe import BRANCHES
from netlab.rules.native_tables import is_legacy, loadable
from netlab.rules.nft_rewrites import PRIORITIES
from netlab.rules.rule_replacement import STRINGS, Replace, Take, hide, iptables_test, nft_test, show
from netlab.rules.saved_firewall import Chain, SavedFirewall, SavedRule, read_iptables, read_nft
from netlab.rules.uncertain import Kind, Tie, Uncertain

_BASE = re.compile(r"\btype\s+(\w+)\s+hook\s+(\w+)\s+priority\s+(?:([a-z]+)\s*)?(?:([+-]?)\s*(\d+))?\s*;")
_DORMANT = re.compile(r"^[ \t]*flags\b[^;\n{]*\bdormant\b", re.MULTILINE)
_IPTABLES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_SOURCE_NAT = 100
LEGACY = " of iptables-legacy"
"""Suffix for the names of the tables in iptables-legacy.rules, when it is loaded beside iptables.rules."""
_TARGET = re.compile(r" -j (?=(?:DNAT|REDIRECT|SNAT|MASQUERADE|NETMAP)\b)")
_STATEMENT = re.compile(
    r"\b[ds]nat(?: ip| ip addr \. port)?(?: prefix)? to\b"
    r"|(?:^|\s)(?:masquerade|redirect)(?= to\b| random| fully-random| persistent|$)"
    r"|(?:^|\s)(?:drop|reject(?: with .*)?)$"
)
MOST_TABLES = 8
"""Maximum number of branches for the order of tables in one router."""


@dataclass(frozen=True)
class BaseChain:
    """A chain on a hook, as the kernel registers it."""

    chain: Chain
    kind: str
    hook: str
    priority: int
    line: int
    """Line in nft.rules; 0 if it is not listed there."""
    native: bool
    head: str = ""
    """The statement of nft that makes it a chain on a hook."""

    @property
    def table(self) -> tuple[str, str]:
        """Family and name of its table."""
        return self.chain[:2]

    @property
    def place(self) -> tuple[str, int]:
        """Two chains with the same place have no order of their own."""
        return self.hook, self.priority

    @property
    def of_source(self) -> bool:
        """Whether NAT in this chain changes the source."""
        return self.hook in ("input", "postrouting")


def base_chains(router: RouterFacts) -> tuple[BaseChain, ...]:
    """Return the chains on hooks, in the order in which they were probably registered.

    Those of iptables that nft.rules does not show come first, as the bench loads them. Routers with only one kind of
    rules have no chains with the same hook and priority in different tables; the result may then be empty.
    """
    file = router.file(router.iptables_file)
    return _base_chains(router.iptables, file, router.iptables_legacy, router.nft, loadable(router).text)


@lru_cache(maxsize=1024)
def _base_chains(iptables: str, file: str, iptables_legacy: str, nft: str, loaded: str) -> tuple[BaseChain, ...]:
    native = list(_listed(loaded, native=True))
    if not native and not iptables_legacy:
        return ()
    saved = read_iptables(iptables, file)
    lines = {one.line for one in native}
    shown: list[BaseChain] = []
    if not is_legacy(iptables):
        known = saved.declared | {rule.key for rule in saved.rules}
        shown = [one for one in _listed(nft, native=False) if one.line not in lines and one.chain in known]
    places = {one.chain for one in shown}
    missing = [one for one in _of_iptables(saved, "") if one.chain not in places]
    legacy = list(_of_iptables(read_iptables(iptables_legacy), LEGACY))
    return (*missing, *legacy, *sorted([*native, *shown], key=lambda one: one.line))


def _listed(text: str, *, native: bool) -> Iterator[BaseChain]:
    blocks = read_nft(text).blocks if " hook " in text else []
    dormant = {
        (one.family, one.table) for one in blocks if one.kind == "table" and _is_dormant(text[one.start : one.end])
    }
    for block in blocks:
        found = _BASE.search(text, block.start, block.end) if block.kind == "chain" else None
        if found is None or block.family not in ("ip", "inet") or (block.family, block.table) in dormant:
            continue
        base = PRIORITIES[""].get(found[3], 0) if found[3] else 0
        priority = base + int((found[4] or "") + (found[5] or "0"))
        chain = (block.family, block.table, block.name)
        yield BaseChain(chain, found[1], found[2], priority, block.line, native, found[0])


def _is_dormant(table: str) -> bool:
    return bool(_DORMANT.search(table.split("chain ", 1)[0]))


def _of_iptables(saved: SavedFirewall, suffix: str) -> Iterator[BaseChain]:
    declared = saved.declared | {rule.key for rule in saved.rules}
    for chain, hook in saved.hooks.items():
        if chain in declared and chain[1] in _IPTABLES:
            nat = chain[1] == "nat"
            priority = _SOURCE_NAT if nat and hook in ("input", "postrouting") else _IPTABLES[chain[1]]
            yield BaseChain((chain[0], chain[1] + suffix, chain[2]), "nat" if nat else "", hook, priority, 0, False)


def first_chains(router: RouterFacts) -> str:
    """Return the native chains to create before iptables.rules is loaded, without rules, in the form of nft.

    Those are the chains that are listed before a chain of iptables with the same place. All others are created with
    their rules, in the order of nft.rules.
    """
    chains = base_chains(router)
    of_iptables = {one.place: one.line for one in chains if not one.native and one.line}
    return "".join(
        f"table {one.chain[0]} {one.chain[1]} {{\nchain {one.chain[2]} {{\n{one.head}\n}}\n}}\n"
        for one in chains
        if one.native and one.line < of_iptables.get(one.place, 0)
    )


@dataclass(frozen=True)
class Ties:
    """The tables of one router whose NAT rules depend on an order that the facts do not show."""

    numbers: Mapping[tuple[bool, tuple[str, str]], int] = field(default_factory=dict)
    """(whether it changes the source, table) -> the branch in which only this table's rules are asked."""
    without: Mapping[tuple[bool, tuple[str, str]], tuple[int, ...]] = field(default_factory=dict)
    """(the same, table) -> the branches in which this table's rules are not asked."""
    names: Mapping[tuple[bool, tuple[str, str]], str] = field(default_factory=dict)
    """(the same, table) -> what its branch depends on, for reasons."""
    bases: tuple[BaseChain, ...] = ()
    """The chains of type nat of the tables concerned."""

    def replace(self, firewall: SavedFirewall, found: dict[tuple[Chain, int], Uncertain], suffix: str = "") -> Replace:
        """Return a function that adds the tests of branches to one rule, and adds the rules with a branch to `found`.

        `suffix` is that of the names of the tables in `bases`.
        """
        ways = _ways(firewall, self.bases, suffix)
        once: dict[int, Uncertain] = {}

        def replace(rule: SavedRule, line: str, take: Take) -> tuple[str, Kind | None, tuple[int, ...]]:
            table = (rule.family, rule.table + suffix)
            hidden, strings = hide(line, STRINGS, "\0")
            keys = [(way, table) for way in sorted(ways.get(rule.key, ()))]
            is_iptables = hidden.lstrip().startswith(("-A ", "["))
            decides = _TARGET.search(hidden) if is_iptables else _decides(rule, line)
            if not decides or not any(key in self.numbers or key in self.without for key in keys):
                return line, None, ()
            numbers = [number for key in keys for number in self.without.get(key, ())]
            if is_iptables:
                tests = "".join(f" {iptables_test(number, negated=True)}" for number in numbers)
                hidden = _TARGET.sub(lambda target: tests + target[0], hidden)
                line = show(hidden, strings, "\0")
            else:
                tests = "".join(f"{nft_test(number, negated=True)} " for number in numbers)
                indent = len(line) - len(line.lstrip())
                line = line[:indent] + tests + line[indent:]
            for key in keys:
                if key in self.numbers:
                    number = self.numbers[key]
                    one = Uncertain(Kind.ORDER, rule, (number,), Tie(self.names[key], of_source=key[0]))
                    found[rule.key, rule.number] = once.setdefault(number, one)
            return line, None, ()

        return replace


def _decides(rule: SavedRule, line: str) -> bool:
    """Whether a rule of nft ends the search of NAT rules. A rule that does not begin its line is left as it is."""
    return (
        bool(_STATEMENT.search(STRINGS.sub("", rule.bare).split(" comment ")[0].strip()))
        and line.lstrip()[:3] == (rule.text[:3])
    )


def _ways(firewall: SavedFirewall, bases: Iterable[BaseChain], suffix: str) -> dict[Chain, set[bool]]:
    """Return chain -> whether NAT in it changes the source, the destination or both, from the hooks that reach it."""
    jumps: dict[Chain, set[str]] = {}
    for rule in firewall.rules:
        jumps.setdefault(rule.key, set()).update(rule.jumps)
    ways: dict[Chain, set[bool]] = {}
    for base in bases:
        family, table, name = base.chain
        if not table.endswith(suffix):
            continue
        waiting = [(family, table.removesuffix(suffix), name)]
        waiting += [chain for chain in firewall.map_jumps if chain[:2] == (family, table)]
        while waiting:
            chain = waiting.pop()
            if base.of_source not in ways.setdefault(chain, set()):
                ways[chain].add(base.of_source)
                waiting += [(*chain[:2], jump) for jump in jumps.get(chain, ())]
    return ways


def ties(chains: Iterable[BaseChain]) -> Ties:
    """Return what depends on the order of chains of type nat. `chains` are all `base_chains` of a router."""
    nat = [one for one in chains if one.kind == "nat"]
    numbers: dict[tuple[bool, tuple[str, str]], int] = {}
    without: dict[tuple[bool, tuple[str, str]], tuple[int, ...]] = {}
    names: dict[tuple[bool, tuple[str, str]], str] = {}
    for (_, priority), group in groupby(sorted(nat, key=lambda one: one.place), key=lambda one: one.place):
        tied = list(group)  # in the order of registration
        first = tied[-1].table
        for one in tied:
            key = (one.of_source, one.table)
            if one.table == first or len(numbers) >= MOST_TABLES:
                continue
            number = numbers.setdefault(key, BRANCHES - 1 - len(numbers))
            names[key] = (
                f"the order of {_named(one.table)} and {_named(first)}, which have NAT chains with the same hook and "
                "priority (the facts do not show the order)"
            )
            for other in nat:
                if other.hook == one.hook and other.priority >= priority and other.table != one.table:
                    place = (one.of_source, other.table)
                    without[place] = tuple(dict.fromkeys((*without.get(place, ()), number)))
    tables = {table for _, table in (*numbers, *without)}
    return Ties(numbers, without, names, tuple(one for one in nat if one.table in tables))


def _named(table: tuple[str, str]) -> str:
    return f"`table {' '.join(table)}`"
