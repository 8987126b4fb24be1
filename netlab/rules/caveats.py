"""Finds rules whose verdict depends on more than the one tested packet. Pure.

A quick run is valid for the first packet of a new connection, now. A rule that counts packets, remembers senders or
matches things that a probe cannot have is reported with router and rule, so that a YES is not overrated. A rule that
cannot have met the packet is not reported: one for other interfaces, addresses, protocols or ports, or in a chain that
no such packet reaches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.rules.conditions import Condition, Traffic, of_iptables, of_nft
from netlab.rules.native_tables import native_firewall
from netlab.rules.saved_firewall import Chain, SavedRule, read_iptables

_IPTABLES = [
    (r"-m (limit|hashlimit|rateest)\b", "depends on earlier traffic"),
    (r"-m recent\b", "depends on earlier senders, and may remember the probe"),
    (r"-m (connlimit|connbytes|quota|nfacct)\b", "depends on other connections' traffic"),
    (r"-m (statistic|cpu)\b", "decides at random or in turn"),
    (r"-m mac\b", "looks at the sender's MAC address, which a probe does not have"),
    (r"-m time\b", "depends on the time of day"),
    (r"-m (string|bpf)\b", "looks at payload, which a probe does not have"),
    (r"-m (owner|socket|cgroup)\b", "depends on which process sends or receives"),
    (r"-m physdev\b", "looks at the port of a bridge; the bench has the bridge as one interface"),
    (r"-m devgroup\b", "looks at groups of interfaces, which are not in the facts"),
    (r"-m policy\b", "looks at IPsec, which the bench does not have"),
    (r"-m (ttl|osf)\b", "depends on the sender's system; tested as Linux sends, with an initial TTL of 64"),
    (r"-j (DSCP|TOS)\b", "re-marks the packet: later routers were tested without the mark"),
    (r"-j TTL\b", "changes the TTL: later routers were tested with the usual one"),
    (r"-j (SET|NFQUEUE|SYNPROXY|TEE|TPROXY)\b", "passes the packet to a target the bench cannot isolate"),
]
_NFT = [
    (r"\blimit (rate|name)\b", "depends on earlier traffic"),
    (r"\b(quota|ct count|meter)\b", "depends on other connections' traffic"),
    (r"\b(numgen|meta random|meta cpu)\b", "decides at random or in turn"),
    (r"\bether saddr\b", "looks at the sender's MAC address, which a probe does not have"),
    (r"\bmeta (hour|time|day)\b", "depends on the time of day"),
    (r"\b(socket|meta skuid|meta skgid|meta cgroup)\b", "depends on which process sends or receives"),
    (r"\b(iifgroup|oifgroup)\b", "looks at groups of interfaces, which are not in the facts"),
    (r"\b(ipsec|meta ipsec)\b", "looks at IPsec, which the bench does not have"),
    (r"\b(ip ttl (?!set)|osf )", "depends on the sender's system; tested as Linux sends, with an initial TTL of 64"),
    (r"\bip dscp set\b", "re-marks the packet: later routers were tested without the mark"),
    (r"\bip ttl set\b", "changes the TTL: later routers were tested with the usual one"),
    (r"\b(queue|synproxy|dup to|tproxy)\b", "passes the packet to a target the bench cannot isolate"),
    (r"\b(add|update) @", "remembers the probe in a set"),
]
_IPTABLES_OBSERVING = re.compile(r"-j (LOG|NFLOG|ULOG)\b")
_NFT_OBSERVING = re.compile(r"\blog\b(?!.*\b(drop|reject|accept|jump|goto)\b)")


@dataclass(frozen=True)
class CaveatRule:
    """One rule: its chain, its conditions, the chains it jumps to, and a caveat's text or ""."""

    chain: Chain
    condition: Condition
    jumps: frozenset[Chain]
    caveat: str


class Caveats:
    """All such rules of a network, by router; queried for the routers of a run."""

    def __init__(self, facts: NetworkFacts) -> None:
        self._firewalls = {router.name: _Firewall(router) for router in facts.routers}
        self.may = lru_cache(maxsize=4096)(self._may)

    def _may(self, router: str, protocol: str, in_iface: str, out_iface: str, to_itself: bool) -> bool:
        """Whether any caveat can concern such traffic, whatever its addresses; for most routers none can."""
        return any(self._firewalls[router].about(Traffic(protocol, in_iface, out_iface, to_itself)))

    def about(self, router: str, traffic: Traffic) -> Iterator[str]:
        """Caveats of `router` whose rule this traffic may have met."""
        yield from self._firewalls[router].about(traffic)


class _Firewall:
    """The rules of one router that have a caveat, or lead to one."""

    def __init__(self, router: RouterFacts) -> None:
        iptables = read_iptables(router.iptables, router.file("iptables.rules"))
        native = native_firewall(router)
        self._hooks = iptables.hooks | native.hooks
        self._hooks |= {chain: "prerouting" for chain, hook in native.hooks.items() if hook == "ingress"}
        # Any rule of the table may use an element of a named map.
        self._hooks |= dict.fromkeys(native.map_jumps - self._hooks.keys(), "any")
        rules = [
            *(_caveat_rule(router, rule, of_iptables, _IPTABLES, _IPTABLES_OBSERVING) for rule in iptables.rules),
            *(_caveat_rule(router, rule, _of_native, _NFT, _NFT_OBSERVING) for rule in native.rules),
        ]
        self._named = [rule for rule in rules if rule.caveat]
        self._callers: dict[Chain, list[CaveatRule]] = {}
        for rule in rules:
            for chain in rule.jumps:
                self._callers.setdefault(chain, []).append(rule)

    def about(self, traffic: Traffic) -> Iterator[str]:
        for rule in self._named:
            if rule.condition(traffic) and self._comes_to(rule.chain, traffic, set()):
                yield rule.caveat

    def _comes_to(self, chain: Chain, traffic: Traffic, seen: set[Chain]) -> bool:
        """Whether jumps lead from a hook that this traffic passes to the chain, through rules that it can match."""
        if chain in self._hooks:
            return traffic.passes(self._hooks[chain])
        seen.add(chain)
        return any(
            rule.chain not in seen and rule.condition(traffic) and self._comes_to(rule.chain, traffic, seen)
            for rule in self._callers.get(chain, ())
        )


def _caveat_rule(
    router: RouterFacts,
    rule: SavedRule,
    condition: Callable[[str], Condition],
    patterns: list[tuple[str, str]],
    observing: re.Pattern[str],
) -> CaveatRule:
    text = rule.bare
    why = "" if observing.search(text) else next((why for pattern, why in patterns if re.search(pattern, text)), "")
    caveat = why and f"{router.name} {rule.chain}: `{rule.text}` ({rule.file}:{rule.line}) {why}"
    jumps = frozenset((rule.family, rule.table, chain) for chain in rule.jumps)
    return CaveatRule(rule.key, condition(text), jumps, caveat)


def _of_native(rule: str) -> Condition:
    """The conditions of a native rule; a verdict map jumps under its own conditions."""
    return _always if " vmap " in rule else of_nft(rule)


def _always(traffic: Traffic) -> bool:
    return True
