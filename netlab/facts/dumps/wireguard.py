"""The allow list for wireguard.txt, the output of `wg show all allowed-ips`, and the parser of its peers. Pure. wg(8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import NamedTuple

from netlab.facts.dumps.words import interface, refused
from netlab.facts.json_lines import Fault

_KEY = re.compile(r"[A-Za-z0-9+/]{43}=\Z", re.ASCII)
_NETWORK = re.compile(r"[0-9a-fA-F.:]{2,45}/[0-9]{1,3}\Z", re.ASCII)


class Peer(NamedTuple):
    """One peer of a WireGuard interface: its public key, and the networks that are routed to it."""

    interface: str
    key: str
    allowed: tuple[IPv4Network, ...]


def faults(text: str) -> Iterator[Fault]:
    """Yield a fault for every line that `wg show all allowed-ips` never prints."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not _peer(line):
            yield refused(number, line, "is not `INTERFACE KEY NETWORK…` as `wg show all allowed-ips` prints it")


def peers(text: str) -> tuple[Peer, ...]:
    """Return the peers in a text that has no faults."""
    return tuple(peer for peer in map(_peer, text.split("\n")) if peer)


def _peer(line: str) -> Peer | None:
    words = line.split()
    if len(words) < 3 or not interface(words[0]) or not _KEY.match(words[1]):
        return None
    if words[2:] == ["(none)"]:
        return Peer(words[0], words[1], ())
    if not all(map(_NETWORK.match, words[2:])):
        return None
    try:
        return Peer(words[0], words[1], tuple(IPv4Network(word) for word in words[2:] if ":" not in word))
    except ValueError:
        return None
