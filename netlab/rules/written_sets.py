"""Finds the sets and lists that packets change through the rules of a router. Pure.

nft(8): `add`, `update` and `delete @set`, `meter`. iptables-extensions(8): `-j SET`, `-m recent`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from netlab.facts.reader import RouterFacts
from netlab.rules.native_tables import native_firewall
from netlab.rules.saved_firewall import read_iptables

_STATEMENT = re.compile(r"\b(add|update|delete) @(\S+) \{|\bmeter (\S+) ")
_SET_TARGET = re.compile(r" -j SET .*?--(add|del|map)-set (\S+)")
_RECENT = re.compile(r" -m recent\b(?:(?! -[mjg] ).)*")
_NAME = re.compile(r" --name (\S+)")


@dataclass(frozen=True)
class WrittenSets:
    """The sets and lists that packets can change in one router."""

    sets: frozenset[tuple[str, str, str]]
    """(family, table, name) of nft sets, maps and meters."""
    only_grow: bool
    """Whether rules only add elements to the nft sets. If so, a set with the same number of elements is unchanged."""
    ipsets: frozenset[str]
    recent: frozenset[str]
    """Names of the lists of `-m recent`."""

    def __bool__(self) -> bool:
        return bool(self.sets or self.ipsets or self.recent)


def written_sets(router: RouterFacts, lacking: Collection[str] = ()) -> WrittenSets:
    """Find the sets and lists that the rules of `router` write to, without the `lacking` ipsets."""
    sets, verbs = set[tuple[str, str, str]](), set[str]()
    for rule in native_firewall(router).rules if "@" in router.nft or "meter" in router.nft else ():
        for verb, name, meter in _STATEMENT.findall(rule.bare):
            sets.add((rule.family, rule.table, name or meter))
            verbs.add(verb or "update")
            if verb == "update" and " : " in rule.bare:
                verbs.add("delete")  # the value of an element of a map changes, not the number of elements
    ipsets, recent = set[str](), set[str]()
    saved = read_iptables(router.iptables).rules if re.search(r"-j SET|-m recent", router.iptables) else ()
    for rule in saved:
        ipsets |= {name for _, name in _SET_TARGET.findall(rule.bare) if name not in lacking}
        for match in _RECENT.findall(rule.bare):
            name = _NAME.search(match)
            recent.add(name[1] if name else "DEFAULT")
    return WrittenSets(frozenset(sets), "delete" not in verbs, frozenset(ipsets), frozenset(recent))
