"""Follows real packets through the routers, from the kernel's trace. Pure.

Every packet that opens, answers or refuses a connection is traced from a router's first hook to its last. Its passage
through one router is a Passage. Passages are joined into a path: each one begins with the header with which the
previous one ended. A path therefore includes NAT, since the header that leaves a router shows the router's changes. It
also includes the deciding rules in each router.
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
from netlab.topology.segments import IfaceRef
from netlab.topology.topology import Topology

LOOPBACK = "lo"
_STARTS, _LEAVES, _RECEIVES = {"watch", "enter"}, "leave", "receive"
"""Chains of netlab/live/bench.nft with a packet's first event in a router, and with its last event if it passed.

Tracing starts in `watch`. The first event is in `enter` only if the packet is traced already when it comes in, because
the router sent it to itself.
"""


class Header(NamedTuple):
    """The fields that identify a packet of a service: addresses and ports. For icmp, the ports are identifier and type."""

    protocol: int
    source: bytes
    destination: bytes
    sport: int
    dport: int

    @classmethod
    def read(cls, network: bytes, transport: bytes) -> Header:
        """Read the fields from the headers of a trace event."""
        first, second, third = struct.unpack_from("!HHH", transport)
        if network[9] == ICMP:
            return cls(ICMP, network[12:16], network[16:20], third, first >> 8)
        return cls(network[9], network[12:16], network[16:20], first, second)

    def answer(self) -> Header:
        """Return the header of the reply: source and destination are swapped, and the ICMP type is 0 (echo reply)."""
        if self.protocol == ICMP:
            return Header(ICMP, self.destination, self.source, self.sport, 0)
        return Header(self.protocol, self.destination, self.source, self.dport, self.sport)


@dataclass(frozen=True)
class Passage:
    """One packet's passage through one router, which may end in the router."""

    router: str
    in_iface: str
    out_iface: str
    """Interface by which the packet left; "" if it ended in the router, as its destination or because it was blocked.
    """
    before: Header
    after: Header
    passed: bool
    received: bool
    mark: int
    """Mark of the packet, if it did not pass."""
    packet: bytes
    """Headers of the packet where it was stopped; b"" if it passed."""
    sender: bytes
    """Source MAC address; b"" for a packet that the router itself sent."""
    rules: tuple[RuleDecision, ...]

    @cached_property
    def decided(self) -> RuleDecision | None:
        """The decision that accepted or blocked the packet; None if nothing filters here or routing stopped it."""
        return deciding(list(self.rules))

    @property
    def halted(self) -> bool:
        """Whether a rule or policy blocked the packet. False if it passed, or if routing stopped it."""
        return self.decided is not None and self.decided.stops

    @property
    def natted(self) -> bool:
        """Whether the router changed addresses or ports."""
        return self.passed and self.before != self.after


def passages(router: str, names: dict[int, str], events: Iterable[Event], book: Rulebook) -> list[Passage]:
    """Group one router's trace events into passages.

    The kernel reuses trace ids, so a passage begins with each event in the bench's first chain.
    """
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
"""Incoming header -> passages of packets with this header, in the order of their capture."""


def path(
    topology: Topology, macs: Mapping[IfaceRef, bytes], index: Index, start: Header, entry: IfaceRef | None
) -> list[Passage]:
    """Return the passages of the packet with header `start`, in order.

    `entry` is the port through which the packet enters the first router. If it is None, the path begins with the first
    passage captured with this header. The passages of a repeated packet (an unanswered SYN) are the same: the first one
    counts, unless a rule blocked a later one. A loop is cut off where a router first gets a packet again that it has
    already forwarded.
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
    """Cut a path with a loop before the first router that gets the same packet a second time.

    Only a path that repeats a whole passage has a loop. In other paths a router may get the same packet twice, on
    different interfaces.
    """
    seen = [(passage.router, passage.before) for passage in taken]
    return taken[: next((n for n in range(len(seen)) if seen[n] in seen[:n]), len(seen))]
