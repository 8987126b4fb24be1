"""Rules by handle: from what the kernel calls a rule to the line of the router's facts it came from.

The kernel lists a chain's rules in order, each with a handle; the facts list the same chain's rules in the same order, since
they were loaded from there. Putting the two beside each other gives every handle its number, text, file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netlab.facts.reader import RouterFacts
from netlab.rules.native_tables import loadable

Chain = tuple[str, str, str]
"""(family, table, chain)."""

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
"""By number, NF_INET_*."""

_CHAIN_OPENS = re.compile(r"^\s*chain\s+(\S+)\s*\{")
_TABLE_OPENS = re.compile(r"^\s*table\s+(?:(ip6|inet|arp|bridge|netdev|ip)\s+)?(\S+)\s*\{")
_NOT_A_RULE = re.compile(r"^(type\s+\w+\s+hook\b|policy\b|flags\b|comment\b|#)")


@dataclass(frozen=True)
class SavedRule:
    """One rule, or a chain's policy, as the router's own tools print it; `number` from 1 within its chain, 0: policy."""

    family: str
    number: int
    text: str
    file: str
    line: int


class Rulebook:
    """All rules and policies of one router.

    A trace names table, chain and handle, and the family of the packet, not of the table; where both an `ip` and an
    `inet` table have a chain of that name with that handle, the `ip` one is taken.
    """

    def __init__(
        self, router: RouterFacts, handles: Iterable[tuple[str, str, str, int]], hooks: Mapping[Chain, int]
    ) -> None:
        """`handles`: (family, table, chain, handle) of every rule, in the kernel's order; `hooks`: base chain -> hook."""
        self._hooks = {key[1:]: HOOKS[hook] for key, hook in hooks.items() if hook < len(HOOKS)}
        written, self._policies = _iptables(router), dict[tuple[str, str], SavedRule]()
        for chain, rules in _nft(router).items():
            written.setdefault(chain, []).extend(rules)
        listed: dict[Chain, list[int]] = {}
        for family, table, name, handle in handles:
            listed.setdefault((family, table, name), []).append(handle)
        self._rules: dict[tuple[str, str, int], SavedRule] = {}
        for (family, table, name), rules in sorted(written.items(), reverse=True):  # "ip" overwrites "inet"
            bodies = [rule for rule in rules if rule.number]
            for rule in rules:
                if not rule.number:
                    self._policies[(table, name)] = rule
            numbers = listed.get((family, table, name), [])
            if len(bodies) == len(numbers):
                self._rules |= {(table, name, h): rule for h, rule in zip(numbers, bodies, strict=True)}

    def rule(self, table: str, chain: str, handle: int) -> SavedRule | None:
        """The rule with this handle; None when facts and kernel do not list the same rules in its chain."""
        return self._rules.get((table, chain, handle))

    def hook(self, table: str, chain: str) -> str:
        """The hook a base chain is at: prerouting, input, forward, output or postrouting; "" for a user chain."""
        return self._hooks.get((table, chain), "")

    def policy(self, table: str, chain: str) -> SavedRule | None:
        """Where a base chain's policy is written; None when it is nowhere (the chain is there by default)."""
        return self._policies.get((table, chain))


def _iptables(router: RouterFacts) -> dict[Chain, list[SavedRule]]:
    found: dict[Chain, list[SavedRule]] = {}
    table, file = "", router.file("iptables.rules")
    for line, text in enumerate(router.iptables.splitlines(), start=1):
        text = text.strip()
        if text.startswith("*"):
            table = text[1:]
        elif text.startswith(":") or re.match(r"(-P|--policy) ", text):
            words = text.removeprefix(":").split()
            words = words[1:] if words[0] in ("-P", "--policy") else words
            if len(words) > 1 and words[1] != "-":
                found.setdefault(("ip", table, words[0]), []).append(SavedRule("ip", 0, text, file, line))
        elif match := re.match(r"(-A|--append) (\S+)", text):
            rules = found.setdefault(("ip", table, match[2]), [])
            rules.append(SavedRule("ip", 1 + sum(1 for rule in rules if rule.number), text, file, line))
    return found


def _nft(router: RouterFacts) -> dict[Chain, list[SavedRule]]:
    found: dict[Chain, list[SavedRule]] = {}
    file = router.file("nft.rules")
    key: Chain | None = None
    family = table = ""
    depth, pending, began = 0, "", 0
    for line, raw in enumerate(loadable(router)[0].splitlines(), start=1):  # without nft's copy of iptables' tables
        text = raw.strip()
        opens = _bare(text).count("{") - _bare(text).count("}")
        if depth == 0 and (match := _TABLE_OPENS.match(text)):
            family, table = match[1] or "ip", match[2]
        elif depth == 1 and (match := _CHAIN_OPENS.match(text)):
            key = (family, table, match[1])
        elif depth >= 2 and key and text and depth + opens >= 2:
            # A rule ends where its braces do: nft breaks long sets over several lines.
            began = began or line
            pending = f"{pending} {text}".strip()
            if depth + opens == 2:
                rules = found.setdefault(key, [])
                number = 1 + sum(1 for rule in rules if rule.number)
                if "policy " in pending and _NOT_A_RULE.match(pending):
                    rules.append(SavedRule(family, 0, pending, file, began))
                elif not _NOT_A_RULE.match(pending):
                    rules.append(SavedRule(family, number, pending, file, began))
                pending, began = "", 0
        depth += opens
        if depth <= 1:
            key, pending, began = None, "", 0
    return found


def _bare(text: str) -> str:
    return re.sub(r'"[^"]*"', '""', text).split("#", 1)[0]
