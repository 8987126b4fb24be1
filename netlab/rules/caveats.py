"""Finds rules whose verdict depends on more than the one tested packet. Pure.

A quick run is valid for the first packet of a new connection, now. If a rule counts packets, remembers senders or
matches something that a probe cannot have, a caveat names the router and the rule, so that users do not rely on a YES
too much. There is no caveat for a rule that the packet cannot have met: a rule for other interfaces, addresses,
protocols or ports, or one in a chain that no such packet reaches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from ipaddress import IPv4Address
from operator import attrgetter

from netlab.facts.reader import NetworkFacts, RouterFacts
from netlab.rules import ipset_rewrites
from netlab.rules.conditions import Condition, Traffic, of_iptables, of_nft
from netlab.rules.loaded_rules import loaded_rules
from netlab.rules.native_tables import loadable
from netlab.rules.saved_firewall import Chain, SavedFirewall, SavedRule, read_iptables, read_nft
from netlab.rules.uncertain import NOTHING, Lacking, Uncertain

_SEVERAL = r"(?P<first>\d+\.\d+\.\d+\.\d+)-(?!(?P=first)\b)\d"
"""A range of several addresses."""
_BY_HASH = (
    "chooses one of several addresses by a hash of source and destination; tested as Linux 3.7 or later chooses on a"
    " little-endian processor"
)
"""The hash has no seed (find_best_ips_proto in net/netfilter/nf_nat_core.c), but it depends on the order of bytes."""
_IPTABLES = [
    (r"-m (limit|hashlimit|rateest)\b", "depends on earlier traffic"),
    (r"-m recent\b", "depends on earlier senders, whose list is not in the facts"),
    (r"-m (connlimit|connbytes|quota|nfacct)\b", "depends on other connections' traffic"),
    (r"-m (statistic|cpu)\b", "decides at random or in turn"),
    (r"-m mac\b", "looks at the sender's MAC address, which a probe does not have"),
    (r"-m time\b", "depends on the time of day"),
    (r"-m (string|bpf)\b", "looks at payload, which a probe does not have"),
    (r"-m (owner|socket|cgroup)\b", "depends on which process sends or receives"),
    (r"-m physdev\b", "looks at a bridge port, but on the bench the bridge is a single interface"),
    (r"-m devgroup\b", "looks at groups of interfaces, which are not in the facts"),
    (r"-m policy\b", "looks at IPsec, which the bench does not have"),
    (
        r"-m (ttl|osf)\b",
        "depends on the sender's operating system; tested as if sent by Linux, with an initial TTL of 64",
    ),
    (rf"-j [DS]NAT\b.* --to-(destination|source) {_SEVERAL}", _BY_HASH),
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
    (
        r"\b(ip ttl (?!set)|osf )",
        "depends on the sender's operating system; tested as if sent by Linux, with an initial TTL of 64",
    ),
    (rf"\b[ds]nat(?: ip(?: addr \. port)?)? to (?:[^{{]*\{{.*: )?{_SEVERAL}", _BY_HASH),
    (r"\bip dscp set\b", "re-marks the packet: later routers were tested without the mark"),
    (r"\bip ttl set\b", "changes the TTL: later routers were tested with the usual one"),
    (r"\b(queue|synproxy|dup to|tproxy)\b", "passes the packet to a target the bench cannot isolate"),
    (r"\b(add|update) @", "stores the sender in a set, which can affect later packets"),
]
_IPTABLES_OBSERVING = re.compile(r"-j (LOG|NFLOG|ULOG)\b")
_IPTABLES_HOST = re.compile(r"(?<!! )(?<=\s)-d (\d+\.\d+\.\d+\.\d+)/32(?=\s)")
_NFT_HOST = re.compile(r"\bip daddr (\d+\.\d+\.\d+\.\d+)(?=\s|$)(?! \.)")
"""Patterns for a rule that requires a single destination address."""
_NFT_OBSERVING = re.compile(r"\blog\b(?!.*\b(drop|reject|accept|jump|goto)\b)")


class CaveatRule:
    """One rule that has a caveat, has an uncertain match, or jumps to other chains."""

    def __init__(
        self,
        number: int,
        rule: SavedRule,
        read: Callable[[str], Condition],
        jumps: tuple[Chain, ...],
        caveat: str,
        uncertain: tuple[Uncertain, ...],
    ) -> None:
        """`number` is the rule's position in the facts, `read` parses the conditions of a rule's text.

        `caveat` is "" for a rule without a caveat. `uncertain` is empty for a rule without an uncertain match.
        """
        self.rule, self._read = rule, read
        self.number, self.jumps, self.caveat, self.uncertain = number, jumps, caveat, uncertain

    @cached_property
    def condition(self) -> Condition:
        """Whether the rule can match given traffic. It is parsed only when needed, since most rules never are."""
        return self._read(self.rule.bare)


class Caveats:
    """The rules with caveats in a whole network, by router."""

    def __init__(self, facts: NetworkFacts, lacking: Mapping[str, Lacking] | None = None) -> None:
        """`lacking`: router -> the rules that this machine cannot evaluate."""
        lacking = lacking or {}
        self._firewalls = {
            router.name: _Firewall(router, lacking.get(router.name, NOTHING)) for router in facts.routers
        }
        self.routers = frozenset(name for name, firewall in self._firewalls.items() if firewall.has_caveats)
        """The routers with a rule that `about` can yield."""
        self.uncertain_routers = frozenset(name for name, firewall in self._firewalls.items() if firewall.uncertain)
        """The routers with a rule that `uncertain` can yield."""
        self._incomplete = {router.name: tuple(map(str, router.warnings)) for router in facts.routers}
        self._without_netconf = frozenset(router.name for router in facts.routers if router.netconf is None)
        self.may = lru_cache(maxsize=4096)(self._may)
        self.may_be_uncertain = lru_cache(maxsize=4096)(self._may_be_uncertain)

    def _may(self, router: str, protocol: str, in_iface: str, out_iface: str, to_itself: bool) -> bool:
        """Whether any caveat of `router` can apply to such traffic, whatever its addresses. For most routers none can."""
        traffic = Traffic(protocol, in_iface, out_iface, to_itself)
        return any(rule.caveat for rule in self._firewalls[router].walk(traffic))

    def _may_be_uncertain(self, router: str, protocol: str, in_iface: str, out_iface: str, to_itself: bool) -> bool:
        """Return whether such traffic can match a rule that counts or decides by chance, whatever its addresses."""
        firewall = self._firewalls[router]
        traffic = Traffic(protocol, in_iface, out_iface, to_itself)
        return bool(firewall.uncertain) and any(rule.uncertain for rule in firewall.walk(traffic))

    def incomplete(self, router: str) -> tuple[str, ...]:
        """Return what is probably missing from the facts of `router`.

        Every result for a path through it depends on that.
        """
        return self._incomplete[router]

    def forwarding(self, routers: Iterable[str]) -> tuple[str, ...]:
        """Return the caveat for the routers that forward packets although their facts do not say that they do."""
        names = ", ".join(sorted({name for name in routers if name in self._without_netconf}))
        return (f"forwarding is assumed to be on and rp_filter off, without netconf.json: {names}",) if names else ()

    def about(self, router: str, traffic: Traffic, settled: Collection[str] = ()) -> Iterator[str]:
        """Yield the caveats of `router` for the rules that this traffic may have met.

        `settled` has the places of rules that need no caveat, because the result is the same for each of their
        outcomes.
        """
        for rule in self._firewalls[router].met(traffic):
            if rule.caveat and rule.rule.place not in settled:
                yield rule.caveat

    def uncertain(self, router: str, traffic: Traffic) -> Iterator[Uncertain]:
        """Yield the rules with an uncertain match that this traffic may have met in `router`.

        Such a match counts, decides by chance, or cannot be evaluated on this machine.
        """
        firewall = self._firewalls[router]
        if firewall.uncertain:
            once: dict[int, Uncertain] = {}
            for rule in firewall.met(traffic):
                once.update({id(uncertain): uncertain for uncertain in rule.uncertain})
            yield from once.values()


class _ChainRules:
    """The relevant rules of one chain. Rules for a single destination address are indexed by that address."""

    def __init__(self) -> None:
        self._others: list[CaveatRule] = []
        self._to: dict[IPv4Address, list[CaveatRule]] = {}

    def add(self, rule: CaveatRule, destination: str | None) -> None:
        if destination is None:
            self._others.append(rule)
        else:
            self._to.setdefault(IPv4Address(destination), []).append(rule)

    def that_may_match(self, traffic: Traffic) -> Iterator[CaveatRule]:
        yield from self._others
        if not traffic.ends:
            for rules in self._to.values():
                yield from rules
        elif self._to:
            for destination in {ends.destination for ends in traffic.ends}:
                yield from self._to.get(destination, ())


class _Firewall:
    """The rules of one router that have a caveat or an uncertain match, or jump to another chain."""

    def __init__(self, router: RouterFacts, lacking: Lacking) -> None:
        iptables = read_iptables(router.iptables, router.file(router.iptables_file))
        native = loadable(router)
        tables = read_nft(native.shown, router.file("nft.rules"))
        self._hooks = iptables.hooks | tables.hooks
        self._hooks |= {chain: "prerouting" for chain, hook in tables.hooks.items() if hook == "ingress"}
        # Any rule of the table may use an element of a named map.
        self._hooks |= dict.fromkeys(tables.map_jumps - self._hooks.keys(), "any")
        self._chains: dict[Chain, _ChainRules] = {}
        self._count = 0
        self.has_caveats = False
        loaded = loaded_rules(router, lacking)
        self.uncertain = {
            place: tuple(one[place] for one in (loaded.rules, loaded.orders) if place in one)
            for place in {*loaded.rules, *loaded.orders}
        }
        ages = {f"--match-set {name}": why for name, why in ipset_rewrites.for_this_machine(router.ipset).ages.items()}
        self._add(router, iptables, of_iptables, _Patterns(_IPTABLES, _IPTABLES_OBSERVING, ages), _IPTABLES_HOST)
        ages = {f"@{name}": why for name, why in native.ages.items()}
        self._add(router, tables, _of_native, _Patterns(_NFT, _NFT_OBSERVING, ages), _NFT_HOST)

    def _add(
        self,
        router: RouterFacts,
        firewall: SavedFirewall,
        condition: Callable[[str], Condition],
        patterns: _Patterns,
        host: re.Pattern[str],
    ) -> None:
        chains = {rule.key for rule in firewall.rules} | firewall.declared
        self._count += len(firewall.rules)
        for number, rule in enumerate(firewall.rules, start=self._count - len(firewall.rules)):
            jumps = tuple(key for name in rule.jumps if (key := (rule.family, rule.table, name)) in chains)
            why, uncertain = patterns.why(rule), self.uncertain.get((rule.key, rule.number), ())
            if not (why or jumps or uncertain):
                continue
            self.has_caveats = self.has_caveats or bool(why)
            caveat = why and f"{router.name} {rule.chain}: `{rule.text}` ({rule.file}:{rule.line}) {why}"
            destination = host.search(rule.bare)
            self._chains.setdefault(rule.key, _ChainRules()).add(
                CaveatRule(number, rule, condition, jumps, caveat, uncertain), destination[1] if destination else None
            )

    def met(self, traffic: Traffic) -> list[CaveatRule]:
        """Return the rules that this traffic may have met, in the order of the facts."""
        return sorted(self.walk(traffic), key=attrgetter("number"))

    def walk(self, traffic: Traffic) -> Iterator[CaveatRule]:
        """Yield the rules that this traffic may have met.

        The search starts at the chains on hooks that the traffic passes, and follows the jumps of rules that can match
        at once: in a large firewall, the first rule with a caveat is then found after few others.
        """
        first = [chain for chain, hook in self._hooks.items() if chain in self._chains and traffic.passes(hook)]
        seen, entered = set(first), [self._chains[chain].that_may_match(traffic) for chain in first]
        while entered:
            rule = next(entered[-1], None)
            if rule is None:
                entered.pop()
            elif rule.condition(traffic):
                yield rule
                reached = [jump for jump in rule.jumps if jump in self._chains and jump not in seen]
                seen.update(reached)
                entered += [self._chains[chain].that_may_match(traffic) for chain in reached]


class _Patterns:
    """Recognises rules of one kind (iptables or nft) whose verdict depends on more than the packet."""

    def __init__(self, patterns: list[tuple[str, str]], observing: re.Pattern[str], ages: Mapping[str, str]) -> None:
        """`ages`: text by which a rule refers to a set -> the reason why the set's expiry matters."""
        self._patterns, self._observing, self._ages = patterns, observing, ages
        self._any = re.compile("|".join([*(pattern for pattern, _ in patterns), *map(re.escape, ages)]))

    def why(self, rule: SavedRule) -> str:
        """Return why the rule's verdict depends on more than the packet; "" if it does not."""
        if not self._any.search(rule.text):
            return ""
        text = rule.bare
        if self._observing.search(text):
            return ""
        caveat = next((why for pattern, why in self._patterns if re.search(pattern, text)), "")
        return caveat or next((why for name, why in self._ages.items() if re.search(rf"{re.escape(name)}\b", text)), "")


def _of_native(rule: str) -> Condition:
    """Parse the conditions of a native rule.

    A rule with a verdict map may always match: the map has conditions of its own.
    """
    return _always if " vmap " in rule else of_nft(rule)


def _always(traffic: Traffic) -> bool:
    return True
