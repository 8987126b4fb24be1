"""Rules whose verdict depends on more than the one packet that was asked about. Pure.

A quick run is true for the first packet of a new connection, now. What counts packets, remembers senders or looks at things
a probe cannot have is named with router and rule, so that nobody takes a YES for more than it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from netlab.facts import NetworkFacts, RouterFacts

_IPTABLES = [
    (r"-m (limit|hashlimit)\b", "depends on how much traffic came before"),
    (r"-m recent\b", "depends on who was seen before, and may remember the probe"),
    (r"-m (connlimit|connbytes|quota)\b", "depends on other connections' traffic"),
    (r"-m statistic\b", "is decided by chance or by turn"),
    (r"-m mac\b", "looks at the sender's MAC address, which a probe does not have"),
    (r"-m time\b", "depends on the time of day"),
    (r"-m string\b", "looks at payload, which a probe does not have"),
    (r"-j (DSCP|TOS)\b", "re-marks the packet: routers after it were asked with the mark taken off"),
    (r"-j (SET|NFQUEUE|SYNPROXY|TEE)\b", "hands the packet to something the bench cannot keep apart"),
]
_NFT = [
    (r"\blimit (rate|name)\b", "depends on how much traffic came before"),
    (r"\b(quota|ct count|meter)\b", "depends on other connections' traffic"),
    (r"\bnumgen\b", "is decided by chance or by turn"),
    (r"\bether saddr\b", "looks at the sender's MAC address, which a probe does not have"),
    (r"\bmeta (hour|time|day)\b", "depends on the time of day"),
    (r"\bip dscp set\b", "re-marks the packet: routers after it were asked with the mark taken off"),
    (r"\b(queue|synproxy|dup to)\b", "hands the packet to something the bench cannot keep apart"),
    (r"\b(add|update) @", "remembers the probe in a set"),
]
_OBSERVING = re.compile(r"-j (LOG|NFLOG|ULOG)\b")
_PROTOCOL = re.compile(r"(! )?-p (tcp|udp|icmp)\b")
_CHAIN = re.compile(r"^-A (\S+)")


@dataclass(frozen=True)
class Caveat:
    """One rule, where it stands, and why its verdict is not the whole truth."""

    text: str
    chain: str
    protocol: str
    """The only protocol it is about, or ""."""


class Caveats:
    """Every such rule of a network, by router; asked for the routers a run met."""

    def __init__(self, facts: NetworkFacts) -> None:
        self._found = {router.name: tuple(_find(router)) for router in facts.routers}

    def about(self, router: str, protocol: str, from_itself: bool, to_itself: bool) -> Iterator[str]:
        """Caveats of `router` that can touch a packet of this protocol which it forwards, sends or receives."""
        for caveat in self._found[router]:
            if caveat.protocol and caveat.protocol != protocol:
                continue
            if (caveat.chain == "INPUT" and not to_itself) or (caveat.chain == "OUTPUT" and not from_itself):
                continue
            if caveat.chain == "FORWARD" and (to_itself or from_itself):
                continue
            yield caveat.text


def _find(router: RouterFacts) -> Iterator[Caveat]:
    for number, line in enumerate(router.iptables.splitlines(), start=1):
        rule = re.sub(r'"[^"]*"', '""', line)
        chain = _CHAIN.match(rule)
        if not chain or _OBSERVING.search(rule):
            continue
        for pattern, why in _IPTABLES:
            if re.search(pattern, rule):
                protocol = _PROTOCOL.search(rule)
                only = protocol[2] if protocol and not protocol[1] else ""
                yield Caveat(_say(router, chain[1], line, "iptables.rules", number, why), chain[1], only)
                break
    for number, line in enumerate(router.nft.splitlines(), start=1):
        rule = re.sub(r'"[^"]*"', '""', line)
        for pattern, why in _NFT:
            if re.search(pattern, rule) and not re.search(r"\blog\b(?!.*\b(drop|reject|accept|jump|goto)\b)", rule):
                yield Caveat(_say(router, "", line, "nft.rules", number, why), "", "")
                break


def _say(router: RouterFacts, chain: str, rule: str, file: str, number: int, why: str) -> str:
    named = f"{router.name} {chain}".strip()
    return f"{named}: `{rule.strip()}` ({router.file(file)}:{number}) {why}"
