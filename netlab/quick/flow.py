"""The request of a quick run, and the path of each of its services from router to router. Pure.

Question ──▶ one Flow per service ──▶ one Step per router into which it was sent ──▶ answer.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from netlab.errors import NetlabError
from netlab.packets.probe import PROTOCOLS, TTL, Packet
from netlab.results.document import NO, UNKNOWN, YES, Verdict
from netlab.rules.decisions import RuleDecision
from netlab.topology.segments import IfaceRef

if TYPE_CHECKING:
    from netlab.quick.branches import Branch

MAX_HOPS = 64
LOOP = "routing loop "
MAX_SERVICES = 100
FIRST_EPHEMERAL = 49152


class BadQuestion(NetlabError):
    """The request is not valid; the message names the field."""


@dataclass(frozen=True)
class Question:
    """The request of one quick run; `services` are (port or None, protocol)."""

    source: IPv4Address
    destination: IPv4Address
    services: tuple[tuple[int | None, str], ...]
    source_port: int
    dscp: int
    rules: bool = True
    """Whether to find the rule behind each NO."""

    @classmethod
    def read(cls, request: dict[str, Any], dscp: int) -> Question:
        """Parse a request's JSON; raises BadQuestion."""
        try:
            source, destination = _address(request["source"]), _address(request["destination"])
            services = tuple((s["port"], s["protocol"]) for s in request["services"])
            given = request.get("source_port")
        except (KeyError, TypeError, ValueError) as bad:
            raise BadQuestion(f"not a valid request: {type(bad).__name__}: {bad}") from None
        if not 1 <= len(services) <= MAX_SERVICES:
            raise BadQuestion(f"services: {len(services)} of them; 1 to {MAX_SERVICES} can be asked at once")
        for port, protocol in services:
            if not isinstance(protocol, str) or protocol not in PROTOCOLS:
                raise BadQuestion(f"services: protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
            if (port is None) != (protocol == "icmp") or not (port is None or _is_port(port)):
                raise BadQuestion(f"services: port {port!r} does not fit {protocol}")
        if given is not None and not _is_port(given):
            raise BadQuestion(f"source_port: {given!r} is not 1 to 65535")
        return cls(
            source, destination, services, given or _free_port(services, dscp), dscp, request.get("rules") is not False
        )


def _address(value: object) -> IPv4Address:
    if not isinstance(value, str):  # IPv4Address would also accept a number
        raise TypeError(f"{value!r} is not an IPv4 address")
    return IPv4Address(value)


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _free_port(services: tuple[tuple[int | None, str], ...], dscp: int) -> int:
    """An ephemeral source port outside the requested ports, the same for every run in this lane."""
    asked = {port for port, _ in services}
    return next(port for port in range(FIRST_EPHEMERAL + dscp, 65536) if port not in asked)


@dataclass(slots=True)
class Step:
    """The test of one service at one router: in and out interface ("" unknown or none) and the result."""

    router: str
    in_iface: str
    out_iface: str
    result: Verdict
    stopped: tuple[Packet, int] | None = None
    """The packet that a rule may have blocked, and its TTL; None when it passed or had no route."""
    rule: RuleDecision | None = None
    """The rule or policy that blocked it, if that was requested."""


@dataclass(slots=True)
class Flow:
    """One service under test: where its packet enters next (`at`), or how it ended."""

    service: tuple[int | None, str]
    packet: Packet
    dscp: int
    router: str = ""
    in_iface: str = ""
    """Interface through which it enters `router`; "" when the router itself sends it."""
    cookie: bytes = b""
    frame_body: bytearray = field(default_factory=bytearray)
    steps: list[Step] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    """Routers that it has visited."""
    seen: list[tuple[str, str, Packet]] = field(default_factory=list)
    ended: bool = False
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    """Caveats that do not change the answer."""
    assumptions: list[str] = field(default_factory=list)
    """Caveats on which the answer depends."""
    branches: Mapping[str, int] = field(default_factory=dict)
    """Router -> the branch in which it is asked (netlab/rules/chance.py); 0 where nothing is said."""
    settled: set[str] = field(default_factory=set)
    """Places of rules that count or decide by chance, and whose every outcome gives this answer."""
    unsure: str = ""
    """Why the answer is UNKNOWN although every router was tested; "" when it is not for such a reason."""
    bypass: str = ""
    """Why a delivered packet makes no connection: the reply would not pass the router that has to undo the NAT."""
    unsure_connection: str = ""
    """Why it is unknown whether a connection comes about although the packet arrives; "" when it is known."""
    retried: bool = False
    exit: tuple[IfaceRef, IPv4Address] | None = None
    """Interface through which it left the last router, and the next hop, once delivered to a segment or out of the
    network.
    """

    paths: list[Branch] = field(default_factory=list)
    """All its possible paths, where the facts leave open which one it takes; empty when it has only one."""
    undecided: bool = False
    """The facts leave open which way it takes, and not every way has the same answer."""

    def copy(self) -> Flow:
        """The same service at the same place, to be continued on its own; its next probe has a new cookie."""
        return replace(
            self,
            frame_body=bytearray(),
            steps=list(self.steps),
            visited=set(self.visited),
            seen=list(self.seen),
            notes=list(self.notes),
            assumptions=list(self.assumptions),
            settled=set(self.settled),
            paths=[],
        )

    @property
    def ttl(self) -> int:
        """The TTL left after the routers so far; the router that sent the packet does not decrement it."""
        made_here = (
            bool(self.steps) and not self.steps[0].in_iface
        )  # a router originates packets only at the start of a path
        return TTL - len(self.steps) + made_here

    def end(self, reason: str = "") -> None:
        """End the flow: no router is left to test."""
        self.ended = True
        self.reason = reason

    def enter(self, port: IfaceRef) -> None:
        """Enter the next router; ends the flow on a loop.

        The same packet coming in on another interface is not yet a loop: policy routing may send it another way. In a
        loop, the path is cut where a router first gets a packet again that it had already forwarded.
        """
        place = (port.router, port.interface, self.packet)
        if place in self.seen or len(self.seen) >= MAX_HOPS:
            passed = [(router, packet) for router, _, packet in [*self.seen, place]]
            again = next(n for n in range(len(passed)) if passed[n] in passed[:n] or n == MAX_HOPS)
            start = passed.index(passed[again]) if passed[again] in passed[:again] else 0
            del self.steps[again:]
            self.end(LOOP + " → ".join(router for router, _ in passed[start : again + 1]))
            return
        self.seen.append(place)
        self.router, self.in_iface = port.router, port.interface

    def change(self, packet: Packet) -> None:
        """Continue with the packet as the router sent it (after its NAT)."""
        if packet is not self.packet:
            self.packet = packet
            self.frame_body = bytearray()

    @property
    def of_several_paths(self) -> bool:
        """Whether the facts leave several paths open, and their answers differ: `reason` names them."""
        return self.undecided and not self.unsure

    @property
    def looped(self) -> bool:
        """Whether it ended in a loop."""
        return self.reason.startswith(LOOP)

    @property
    def blocked_by(self) -> list[str]:
        """Every router that blocked the packet, in order."""
        return list(dict.fromkeys(step.router for step in self.steps if step.result == NO))

    @property
    def path(self) -> list[str]:
        """Names of the routers, in order."""
        return [step.router for step in self.steps]

    @property
    def result(self) -> Verdict:
        """NO if any router blocked the packet or it did not arrive, UNKNOWN if a router could not be tested, else YES."""
        results = {step.result for step in self.steps}
        if self.undecided:
            return UNKNOWN
        if NO in results or self.looped or self.impossible:
            return NO
        return UNKNOWN if UNKNOWN in results or (self.reason and not self.delivered) else YES

    impossible: bool = False
    """No host can be at one of its ends."""
    delivered: bool = False
    """It reached its destination, or left the network."""
