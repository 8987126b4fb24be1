"""Maps the kernel's rule handles to the lines of the router's facts.

The kernel lists a chain's rules in order, each with a handle; the facts list the same rules in the same order, since
they were loaded from there. Side by side, they give every handle its number, text, file and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netlab.facts.reader import RouterFacts
from netlab.rules.native_tables import native_firewall
from netlab.rules.saved_firewall import HOOKS, Chain, SavedRule, read_iptables


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
        """The rule with this handle; None when facts and kernel do not list the same rules in its chain."""
        return self._rules.get((table, chain, handle))

    def hook(self, table: str, chain: str) -> str:
        """The hook a base chain is at: prerouting, input, forward, output or postrouting; "" for a user chain."""
        return self._hooks.get((table, chain), "")

    def policy(self, table: str, chain: str) -> SavedRule | None:
        """The place of a base chain's policy; None when it is in no file (a default chain)."""
        return self._policies.get((table, chain))
