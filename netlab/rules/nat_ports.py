"""Finds NAT rules that choose one of several ports, and the rules on the rest of the path that such a choice affects. Pure.

With `random`, and for a range of destination ports on Linux 5.1 to 6.7, the kernel draws the port by chance. Other
versions take the first one that is free. A test shows one port only. It is valid for all of them if no later rule applies
to some of these ports and not to others. Sources: net/netfilter/nf_nat_core.c, iptables-extensions(8), nft(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from netlab.facts.reader import RouterFacts
from netlab.rules.conditions import Condition, Traffic, of_iptables, of_nft
from netlab.rules.native_tables import loadable, native_firewall
from netlab.rules.saved_firewall import Chain, SavedFirewall, SavedRule, read_iptables

RANDOM_SOURCE_PORTS = range(1024, 65536)
"""The ports from which a source port above 1023 is drawn. Lower ones, which clients rarely use, stay below 1024."""
_MAY_CHOOSE = re.compile(r"\d-\d+|random")
_IPTABLES = re.compile(r" -j (DNAT|REDIRECT|SNAT|MASQUERADE)\b(.*)")
_IPTABLES_RANGE = re.compile(r" --to-(?:(?:destination|source) [\d.-]*:|ports )(\d+)-(\d+)(/\d+)?(?=\s|$)")
_NFT = re.compile(r"(?:^|\s)(dnat|redirect|snat|masquerade)\b(.*)")
_NFT_RANGE = re.compile(r"(?::| \. )(\d+)-(\d+)(?=[\s,}]|$)")
_NAMED_MAP = re.compile(r"\bmap @(\S+)")
_MAPPED_TO = re.compile(r"\s: ([^:,}]+)")
_QUOTED = re.compile(r'"[^"\n]*"')
_RANDOM = re.compile(r"\b(?:fully-)?random\b|--random(?:-fully)?\b")
_PORT_WORD = {
    False: re.compile(r"--(?:dports?|destination-ports?|ports)\b|\bdport\b|--match-set (\S+) \S+,dst\b"),
    True: re.compile(r"--(?:sports?|source-ports?|ports)\b|\bsport\b|--match-set (\S+) \S+,src\b"),
}
_SET_OF_PORTS = re.compile(r"^create (\S+) \S*port", re.MULTILINE)
_LISTED = (
    r"(?:--(?:{end}ports?|{long}-ports?|ports)|\b(?:tcp|udp|th) {end}port)(?: !=)?"
    r" (?:\{{ )?([\d:, -]*\d)(?: \}})?(?=\s+[a-z@-]|$)"
)
_PORTS = {
    of_source: re.compile(_LISTED.format(end=end, long=long))
    for of_source, end, long in ((False, "d", "destination"), (True, "s", "source"))
}
"""Ports that are listed in the rule itself. The ports of a set or a map are not known here."""
_BEFORE_NAT = ("raw", "nat")
"""Tables of iptables whose rules on the destination port a packet passes before DNAT, or that do not filter."""


@dataclass(frozen=True)
class PortChoice:
    """A NAT rule that chooses one of several ports."""

    rule: SavedRule
    ports: range
    of_source: bool
    """Whether it changes the source port; otherwise it changes the destination port."""
    random: bool
    """Whether it also changes a port that is in the range already."""
    condition: Condition

    def changes(self, before: int, after: int) -> bool:
        """Whether this rule may have changed the port, so that it could also have been another one."""
        return after in self.ports and (self.random or before not in self.ports)

    @property
    def shown(self) -> str:
        """The ports, for reasons."""
        return f"{self.ports[0]}-{self.ports[-1]}"


def port_choices(router: RouterFacts) -> tuple[PortChoice, ...]:
    """Return the NAT rules of the router that choose one of several ports."""
    if not any(_MAY_CHOOSE.search(text) for text in (router.iptables, router.iptables_legacy, router.nft)):
        return ()
    mapped_to = _mapped_to(router)
    choices = [
        _choice(rule, condition, mapped_to) for firewall, condition in _firewalls(router) for rule in firewall.rules
    ]
    return tuple(choice for choice in choices if choice)


def _firewalls(router: RouterFacts) -> Iterator[tuple[SavedFirewall, Callable[[str], Condition]]]:
    """Yield each firewall of the router, with the function that reads the conditions of its rules."""
    yield read_iptables(router.iptables, router.file(router.iptables_file)), of_iptables
    yield read_iptables(router.iptables_legacy, router.file("iptables-legacy.rules")), of_iptables
    yield native_firewall(router), of_nft


def _choice(
    rule: SavedRule, condition: Callable[[str], Condition], mapped_to: Mapping[Chain, str]
) -> PortChoice | None:
    native = condition is of_nft
    found = (_NFT if native else _IPTABLES).search(rule.bare)
    if not found:
        return None
    of_source = found[1].lower() in ("snat", "masquerade")
    random = bool(_RANDOM.search(found[2]))
    to = found[2]
    if native and (named := _NAMED_MAP.search(to)):
        to += mapped_to.get((rule.family, rule.table, named[1]), "")
    ranges = (_NFT_RANGE if native else _IPTABLES_RANGE).findall(to)
    if any(base for _, _, *bases in ranges for base in bases):
        return None  # `first-last/base` maps each port to one port
    if ranges:
        ports = range(min(int(one[0]) for one in ranges), max(int(one[1]) for one in ranges) + 1)
    elif random and of_source:
        ports = RANDOM_SOURCE_PORTS
    else:
        return None
    return PortChoice(rule, ports, of_source, random, condition(rule.bare)) if len(ports) > 1 else None


def _mapped_to(router: RouterFacts) -> Mapping[Chain, str]:
    """Return what the elements of each named map of the native tables map to: addresses and ports, with commas."""
    if not _NAMED_MAP.search(router.nft):
        return {}
    text, found = loadable(router).shown, {}
    for block in native_firewall(router).blocks:
        if block.kind == "map":
            elements = _QUOTED.sub('""', text[block.start : block.end]).partition("elements")[2]
            to = "".join(f", {target.strip()}" for target in _MAPPED_TO.findall(elements))
            found[block.family, block.table, block.name] = to
    return found


PortRules = Sequence[tuple[SavedRule, Condition]]
"""Rules with a condition on the port, and their other conditions."""


def affected(router: RouterFacts, rules: PortRules, choice: PortChoice, traffic: Traffic, *, chosen_here: bool) -> str:
    """Return a rule that this traffic may meet and that applies to only some of the ports; "" if there is none.

    `rules` are the `port_rules` of the router. `chosen_here`: the NAT rule is in the same router. Rules that the packet
    passes before its translation do not count.
    """
    for rule, condition in rules:
        if chosen_here and _precedes(rule, router):
            continue
        if _divides(rule, choice) and condition(traffic):
            return f"`{rule.text}` ({rule.place})"
    field = "sport" if choice.of_source else "dport"
    for entry in router.rules or ():
        ports = [entry.data[name] for name in (field, f"{field}_start", f"{field}_end") if name in entry.data]
        if ports and _some(range(int(ports[0]), int(ports[-1]) + 1), choice.ports):
            return f"the policy rule for {field} {'-'.join(map(str, ports))} ({router.file('rules.json')}:{entry.line})"
    return ""


def port_rules(router: RouterFacts, of_source: bool) -> PortRules:
    """Return the rules of the router with a condition on the source port, or on the destination port."""
    return tuple(_with_condition(router, of_source))


def _with_condition(router: RouterFacts, of_source: bool) -> Iterator[tuple[SavedRule, Condition]]:
    sets = set(_SET_OF_PORTS.findall(router.ipset))
    for firewall, condition in _firewalls(router):
        for rule in firewall.rules:
            found = _PORT_WORD[of_source].search(rule.bare)
            if found and (found[1] is None or found[1] in sets):
                # Without the ports: whether they match is the question.
                yield rule, condition(_PORTS[of_source].sub("", rule.bare))


def _precedes(rule: SavedRule, router: RouterFacts) -> bool:
    if rule.file == router.file("nft.rules"):
        return native_firewall(router).hooks.get(rule.key) in ("prerouting", "ingress")
    return rule.table in _BEFORE_NAT or rule.chain == "PREROUTING"


def _divides(rule: SavedRule, choice: PortChoice) -> bool:
    """Whether the rule applies to some of these ports and not to others, or to ports that are not known here."""
    lists = _PORTS[choice.of_source].findall(rule.bare)
    if not lists:
        return True
    return any(
        _some([port for part in listed.replace(" ", "").split(",") for port in _range(part)], choice.ports)
        for listed in lists
    )


def _some(listed: Collection[int], ports: Collection[int]) -> bool:
    """Whether some of the ports are listed, and others are not."""
    return 0 < len(set(listed) & set(ports)) < len(ports)


def _range(text: str) -> range:
    first, _, last = text.replace("-", ":").partition(":")
    return range(int(first or 0), int(last or first or 65535) + 1)
