"""Follows real packets through the routers, from the kernel's trace. Pure.

Every packet that opens, answers or refuses a connection is traced from a router's first hook to its last. Its way
through one router is a Passage. Joined end to end, where each passage begins with the header with which the last one
ended, passages form a path. This includes NAT, since the header that leaves a router shows the router's changes, and
the deciding rule in each router.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from netlab.packets.probe import ICMP
from netlab.rules.decisions import RuleDecision, deciding, decisions
from netlab.rules.rulebook import Rulebook
from netlab.rules.trace_events import BENCH_TABLE, Event
from netlab.topology.segments import IfaceRef, Topology

LOOPBACK = "lo"
_STARTS, _LEAVES, _RECEIVES = {"watch", "enter"}, "leave", "receive"
"""Chains of netlab/bench.nft: the first event of a packet in a router, and the last if it passed.

`enter` shows only what is traced when it comes in: what a router sends to itself.
"""


class Header(NamedTuple):
    """What identifies a packet of a service: addresses and ports; for icmp, identifier and type."""

    protocol: int
    source: bytes
    destination: bytes
    sport: int
    dport: int

    @classmethod
    def read(cls, network: bytes, transport: bytes) -> Header:
        """From the headers of a trace event."""
        first, second, third = struct.unpack_from("!HHH", transport)
        if network[9] == ICMP:
            return cls(ICMP, network[12:16], network[16:20], third, first >> 8)
        return cls(network[9], network[12:16], network[16:20], first, second)

    def answer(self) -> Header:
        """The header of the answer: source and destination swapped; an echo request is answered by type 0."""
        if self.protocol == ICMP:
            return Header(ICMP, self.destination, self.source, self.sport, 0)
        return Header(self.protocol, self.destination, self.source, self.dport, self.sport)


@dataclass(frozen=True)
class Passage:
    """The way of one packet through one router."""

    router: str
    in_iface: str
    out_iface: str
    """"" when the packet ended in the router: its destination, or blocked."""
    before: Header
    after: Header
    passed: bool
    received: bool
    mark: int
    """Mark of a packet that did not pass."""
    packet: bytes
    """Headers of the packet where it ended; b"" when it passed."""
    sender: bytes
    """Source MAC address; b"" for a packet made by the router itself."""
    rules: tuple[RuleDecision, ...]

    @cached_property
    def decided(self) -> RuleDecision | None:
        """The rule that accepted or blocked it; None when nothing filters here, or routing stopped it."""
        return deciding(list(self.rules))

    @property
    def halted(self) -> bool:
        """Whether a rule or policy blocked it; False when it passed, or had no route."""
        return self.decided is not None and self.decided.stops

    @property
    def natted(self) -> bool:
        """Whether the router changed addresses or ports."""
        return self.passed and self.before != self.after


def passages(router: str, names: dict[int, str], events: Iterable[Event], book: Rulebook) -> list[Passage]:
    """Group one router's events into passages. Trace ids repeat; a new packet starts in the bench's first chain."""
    index: list[list[Event]] = []
    current: dict[int, list[Event]] = {}
    for event in events:
        if event.table == BENCH_TABLE and event.chain in _STARTS and event.network:
            current[event.trace] = []
            index.append(current[event.trace])
        if event.trace in current:
            current[event.trace].append(event)
    return [_passage(router, names, steps, book) for steps in index if len(steps[0].transport) >= 6]


def _passage(router: str, names: dict[int, str], events: list[Event], book: Rulebook) -> Passage:
    first = events[0]
    shown = [event for event in events if event.network and len(event.transport) >= 6]
    before, after = (Header.read(event.network, event.transport) for event in (first, shown[-1]))
    end = next((e for e in reversed(events) if e.table == BENCH_TABLE and e.chain in (_LEAVES, _RECEIVES)), None)
    passed, received = end is not None, end is not None and end.chain == _RECEIVES
    out_iface = names.get(end.oif, "") if end and not received else ""
    in_iface = names.get(first.iif, "") if first.iif else ""
    mark, packet = 0, b""
    if not passed:
        mark = max(event.mark for event in events)
        packet = next((e.network + e.transport for e in reversed(events) if e.network), b"")
    rules = tuple(decisions(events, book))
    return Passage(router, in_iface, out_iface, before, after, passed, received, mark, packet, first.sender, rules)


Index = Mapping[Header, list[Passage]]
"""Passages by the header with which they came in, in the order in which they were seen."""


def path(
    topology: Topology, macs: Mapping[IfaceRef, bytes], index: Index, start: Header, entry: IfaceRef | None
) -> list[Passage]:
    """The passages of the packet that starts as `start`, in order, from `entry` (None: the router that sees it first).

    A retransmitted packet (an unanswered SYN) takes the same path; the first one counts, unless a later one of the same
    connection was blocked. A loop ends where a router first gets a packet again that it had already forwarded.
    """
    taken: list[Passage] = []
    header, ports, sender = start, {entry} if entry else None, b""
    while True:
        here = [
            p
            for p in index.get(header, ())
            if (ports is None or IfaceRef(p.router, p.in_iface) in ports) and sender in (b"", p.sender)
        ]
        if not here:
            return taken
        following = next((p for p in here if p.halted), here[0])
        if following in taken:
            return _before_the_loop(taken)
        taken.append(following)
        if not following.passed or following.received:
            return taken
        out = IfaceRef(following.router, following.out_iface)
        segment = topology.segment_of.get(out)
        header, sender = following.after, macs.get(out, b"")
        ports = set(segment.ports) - {out} if segment else set()
        if out.interface == LOOPBACK:
            ports = {out}  # a packet from a router to itself leaves and enters by the same interface


def _before_the_loop(taken: list[Passage]) -> list[Passage]:
    """Cut the path where a loop starts. Without a loop, the same packet may still come in twice by different
    interfaces.
    """
    seen = [(passage.router, passage.before) for passage in taken]
    return taken[: next((n for n in range(len(seen)) if seen[n] in seen[:n]), len(seen))]
