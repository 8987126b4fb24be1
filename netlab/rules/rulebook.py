"""Maps the kernel's rule handles to the lines of the router's facts.

The kernel lists the rules of each chain in order, each with a handle. The facts list the same rules in the same order,
because the kernel's rules were loaded from them. The two lists together give number, text, file and line for each
handle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netlab.facts.reader import RouterFacts
from netlab.rules.native_tables import native_firewall
from netlab.rules.saved_firewall import HOOKS, Chain, SavedRule, read_iptables


class Rulebook:
    """All rules and policies of one router.

    A trace event has table, chain and handle, but its family is that of the packet, not that of the table. If an `ip`
    table and an `inet` table both have a chain of that name with that handle, the rule of the `ip` table is used.
    """

    def __init__(
        self, router: RouterFacts, handles: Iterable[tuple[str, str, str, int]], hooks: Mapping[Chain, int]
    ) -> None:
        """`handles` is (family, table, chain, handle) of every rule, in the kernel's order.

        `hooks`: base chain -> number of its hook.
        """
        self._hooks = {key[1:]: HOOKS[hook] for key, hook in hooks.items() if hook < len(HOOKS)}
        self._policies: dict[tuple[str, str], SavedRule] = {}
        self._rules: dict[tuple[str, str, int], SavedRule] = {}
        listed: dict[Chain, list[int]] = {}
        for family, table, name, handle in handles:
            listed.setdefault((family, table, name), []).append(handle)
        for firewall in (native_firewall(router), read_iptables(router.iptables, router.file(router.iptables_file))):
            for (_, table, name), policy in sorted(firewall.policies.items(), reverse=True):  # "ip" overwrites "inet"
                self._policies[table, name] = policy
            for (family, table, name), rules in sorted(firewall.chains().items(), reverse=True):
                numbers = listed.get((family, table, name), [])
                if len(rules) == len(numbers):
                    self._rules.update(((table, name, h), rule) for h, rule in zip(numbers, rules, strict=True))

    def rule(self, table: str, chain: str, handle: int) -> SavedRule | None:
        """Return the rule with this handle.

        The result is None if the facts and the kernel have different numbers of rules in its chain.
        """
        return self._rules.get((table, chain, handle))

    def hook(self, table: str, chain: str) -> str:
        """Return the hook of a base chain (prerouting, input, forward, output or postrouting); "" for a user chain."""
        return self._hooks.get((table, chain), "")

    def policy(self, table: str, chain: str) -> SavedRule | None:
        """Return the policy of a base chain with its place in the facts, or None if no file has it (a default chain)."""
        return self._policies.get((table, chain))
