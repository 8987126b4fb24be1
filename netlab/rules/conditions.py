"""Determines whether a rule can match a packet at all, by interfaces, addresses, protocol and ports. Pure.

Only conditions that are parsed with certainty count. A rule with a condition that is not recognised may match.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True)
class Ends:
    """Addresses and destination port (0: none) of a packet at one point of its path."""

    source: IPv4Address
    destination: IPv4Address
    port: int


@dataclass(frozen=True)
class Traffic:
    """The traffic of a run through one router.

    `ends` has all addresses and ports that the packet may have had there, before and after NAT. It is empty if they are
    unknown.
    """

    protocol: str
    in_iface: str
    """Interface on which the packet arrived; "" if the router itself sent it."""
    out_iface: str
    """Interface by which the packet left; "" if it did not leave."""
    to_itself: bool
    ends: frozenset[Ends] = frozenset()

    def passes(self, hook: str) -> bool:
        """Whether this traffic can reach a chain on this hook ("input", "forward", …)."""
        if hook == "output":
            return not self.in_iface
        if hook == "prerouting":
            return bool(self.in_iface)
        if hook == "input":
            return self.to_itself
        if hook == "any":
            return True
        return not self.to_itself and (hook != "forward" or bool(self.in_iface))


Condition = Callable[[Traffic], bool]

_WORD = r'(! )?(?<=\s){} "?([^\s"]+)"?'
_IPTABLES_PROTOCOL = re.compile(r"(! )?(?<=\s)-p (tcp|udp|icmp)\b")
_IPTABLES_INWARD, _IPTABLES_OUTWARD = (re.compile(_WORD.format(way)) for way in ("-i", "-o"))
_IPTABLES_SOURCE, _IPTABLES_DESTINATION = (re.compile(_WORD.format(end)) for end in ("-s", "-d"))
_IPTABLES_PORTS = re.compile(r"(! )?--(?:dport|dports|destination-port) ([\d:,]+)(?=\s|$)")
_NFT_PROTOCOL = re.compile(
    r"(?<!with )(?<!, )(?<!{ )(?<!: )(?<!jump )(?<!goto )(?<![@.\"-])"
    r"\b(?:meta l4proto |ip protocol )?(?P<not>!= )?\b(tcp|udp|icmp)(?=\s|$)"
)
_NFT_INWARD, _NFT_OUTWARD = (re.compile(rf'\b{way}(?:name)? (!= )?"([^"]+)"(?! \.)') for way in ("iif", "oif"))
_NFT_PORTS = re.compile(r"\b(?:tcp|udp|th) dport (!= )?(?:\{ )?([\d, -]+?)(?: \})?(?=\s+[a-z@]|$)")
_NFT_SOURCE, _NFT_DESTINATION = (
    re.compile(rf"\bip {end} (!= )?([\d./]+)(?=\s|$)(?! \.)") for end in ("saddr", "daddr")
)


def of_iptables(rule: str) -> Condition:
    """Parse the conditions of one `-A …` line."""
    protocol = _IPTABLES_PROTOCOL.search(rule)
    parts = [
        _protocol(protocol[2], bool(protocol[1])) if protocol else None,
        _interface(_IPTABLES_INWARD.search(rule), in_iface=True),
        _interface(_IPTABLES_OUTWARD.search(rule), in_iface=False),
        _address(_IPTABLES_SOURCE.search(rule), lambda ends: ends.source),
        _address(_IPTABLES_DESTINATION.search(rule), lambda ends: ends.destination),
        _ports(_IPTABLES_PORTS.search(rule), ":"),
    ]
    return _all(parts)


def of_nft(rule: str) -> Condition:
    """Parse the conditions of one rule in `nft list ruleset` text."""
    protocol = _NFT_PROTOCOL.search(rule)
    parts = [
        _protocol(protocol[2], bool(protocol["not"])) if protocol else None,
        _interface(_NFT_INWARD.search(rule), in_iface=True),
        _interface(_NFT_OUTWARD.search(rule), in_iface=False),
        _address(_NFT_SOURCE.search(rule), lambda ends: ends.source),
        _address(_NFT_DESTINATION.search(rule), lambda ends: ends.destination),
        _ports(_NFT_PORTS.search(rule), "-"),
    ]
    return _all(parts)


def _all(parts: list[Condition | None]) -> Condition:
    conditions = [part for part in parts if part]
    return lambda traffic: all(part(traffic) for part in conditions)


def _protocol(name: str, negated: bool) -> Condition:
    return lambda traffic: (traffic.protocol == name) != negated


def _interface(match: re.Match[str] | None, *, in_iface: bool) -> Condition | None:
    if not match:
        return None
    negated, pattern = bool(match[1]), re.sub(r"[+*]$", "*", match[2].replace("[", "[[]"))

    def meets(traffic: Traffic) -> bool:
        name = traffic.in_iface if in_iface else traffic.out_iface
        if not name:
            # A packet from the router itself has no input interface. A packet that did not leave may have been about to.
            return negated or (not in_iface and not traffic.to_itself)
        return fnmatchcase(name, pattern) != negated

    return meets


def _address(match: re.Match[str] | None, which: Callable[[Ends], IPv4Address]) -> Condition | None:
    if not match:
        return None
    try:
        network = IPv4Network(match[2], strict=False)
    except ValueError:
        return None
    negated = bool(match[1])
    return lambda traffic: not traffic.ends or any((which(ends) in network) != negated for ends in traffic.ends)


def _ports(match: re.Match[str] | None, dash: str) -> Condition | None:
    if not match:
        return None
    ranges = []
    for part in match[2].replace(" ", "").split(","):
        first, _, last = part.partition(dash)
        ranges.append(range(int(first or 0), int(last or first or 65535) + 1))
    negated = bool(match[1])
    return lambda traffic: (
        not traffic.ends or any(any(ends.port in ports for ports in ranges) != negated for ends in traffic.ends)
    )
