"""Maps the kernel's rule handles to the lines of the router's facts.

The kernel lists the rules of each chain in order, each with a handle. The facts list the same rules in the same order,
because the kernel's rules were loaded from them. The two lists together give number, text, file and line for each
handle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from netlab.facts.reader import RouterFacts
from netlab.rules.native_tables import native_firewall
from netlab.rules.saved_firewall import HOOKS, Chain, SavedRule, read_iptables

LONG_CHAIN = 1000
"""The handles of a chain with more rules are listed at once, so that no test has to wait for them."""


class Rulebook:
    """All rules and policies of one router. Not thread-safe.

    The handles of a short chain are listed when they are first needed: to list those of all chains takes the kernel
    seconds if there are tens of thousands of rules, and few of them ever decide about a packet.

    A trace event has table, chain and handle, but its family is that of the packet, not that of the table. If an `ip`
    table and an `inet` table both have a chain of that name with that handle, the rule of the `ip` table is used.
    """

    def __init__(
        self,
        router: RouterFacts,
        handles: Callable[[Chain], Sequence[int]],
        hooks: Mapping[Chain, int],
        lacking_targets: Collection[SavedRule] = (),
    ) -> None:
        """`handles` returns the handles of a chain's rules, in the kernel's order.

        `hooks`: base chain -> number of its hook. `lacking_targets` are the rules whose target this machine lacks.
        """
        self._handles = handles
        self.lacking_targets = frozenset(lacking_targets)
        """The rules whose target this machine lacks. They stop the packet on the bench only."""
        self._hooks = {key[1:]: HOOKS[hook] for key, hook in hooks.items() if hook < len(HOOKS)}
        self._policies: dict[tuple[str, str], SavedRule] = {}
        self._saved: dict[tuple[str, str], list[tuple[Chain, list[SavedRule]]]] = {}
        self._rules: dict[tuple[str, str], dict[int, SavedRule]] = {}
        for firewall in (native_firewall(router), read_iptables(router.iptables, router.file(router.iptables_file))):
            for (_, table, name), policy in sorted(firewall.policies.items(), reverse=True):  # "ip" overwrites "inet"
                self._policies[table, name] = policy
            for chain, rules in sorted(firewall.chains().items(), reverse=True):
                self._saved.setdefault(chain[1:], []).append((chain, rules))
        for place, chains in self._saved.items():
            if any(len(rules) > LONG_CHAIN for _, rules in chains):
                self._listed(place)

    def rule(self, table: str, chain: str, handle: int) -> SavedRule | None:
        """Return the rule with this handle.

        The result is None if the facts and the kernel have different numbers of rules in its chain.
        """
        return self._listed((table, chain)).get(handle)

    def _listed(self, place: tuple[str, str]) -> dict[int, SavedRule]:
        """Return handle -> rule for the chains with this (table, name)."""
        if place not in self._rules:
            self._rules[place] = {}
            for chain, rules in self._saved.get(place, ()):
                numbers = self._handles(chain)
                if len(rules) == len(numbers):
                    self._rules[place].update(zip(numbers, rules, strict=True))
        return self._rules[place]

    def hook(self, table: str, chain: str) -> str:
        """Return the hook of a base chain (prerouting, input, forward, output or postrouting); "" for a user chain."""
        return self._hooks.get((table, chain), "")

    def policy(self, table: str, chain: str) -> SavedRule | None:
        """Return the policy of a base chain with its place in the facts, or None if no file has it (a default chain)."""
        return self._policies.get((table, chain))
