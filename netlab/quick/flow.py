"""The request of a quick run, and the path of each of its services from router to router. Pure.

Question ──▶ one Flow per service ──▶ one Step per router into which it was sent ──▶ answer.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from netlab.errors import NetlabError
from netlab.packets.probe import PROTOCOLS, TTL, Packet
from netlab.results.document import NO, UNKNOWN, YES, Verdict
from netlab.rules.decisions import RuleDecision
from netlab.topology.segments import IfaceRef

MAX_HOPS = 64
LOOP = "routing loop "
MAX_SERVICES = 100
FIRST_EPHEMERAL = 49152


class BadQuestion(NetlabError):
    """The request is not valid; the message names the field."""


@dataclass(frozen=True)
class Question:
    """The request of one quick run. `services` has (port, protocol); the port is None for icmp."""

    source: IPv4Address
    destination: IPv4Address
    services: tuple[tuple[int | None, str], ...]
    source_port: int
    dscp: int
    rules: bool = True
    """Whether to find the rule behind each NO."""

    @classmethod
    def checked(
        cls,
        source: str,
        destination: str,
        services: Sequence[tuple[int | None, str]],
        source_port: int | None,
        dscp: int,
        rules: bool = True,
    ) -> Question:
        """Return the question with these values. Raises BadQuestion if one is not valid."""
        from_address, to_address = _address("source", source), _address("destination", destination)
        if not 1 <= len(services) <= MAX_SERVICES:
            raise BadQuestion(f"services: {len(services)} given; 1 to {MAX_SERVICES} are allowed")
        for port, protocol in services:
            if protocol not in PROTOCOLS:
                raise BadQuestion(f"services: protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
            if (port is None) != (protocol == "icmp") or not (port is None or _is_port(port)):
                raise BadQuestion(f"services: port {port!r} is not valid for {protocol}")
        if source_port is not None and not _is_port(source_port):
            raise BadQuestion(f"source_port: {source_port!r} is not in the range 1-65535")
        own_port = source_port or _free_port(services, dscp)
        return cls(from_address, to_address, tuple(services), own_port, dscp, rules)


def _address(field: str, value: str) -> IPv4Address:
    try:
        return IPv4Address(value)
    except ValueError:
        raise BadQuestion(f"{field}: {value!r} is not a valid IPv4 address") from None


def _is_port(value: int) -> bool:
    return 1 <= value <= 65535


def _free_port(services: Sequence[tuple[int | None, str]], dscp: int) -> int:
    """Return an ephemeral source port other than the requested ports. It is the same for every run in this lane."""
    asked = {port for port, _ in services}
    return next(port for port in range(FIRST_EPHEMERAL + dscp, 65536) if port not in asked)


@dataclass(slots=True)
class Step:
    """The test of one service at one router: its interfaces ("" if none or unknown) and its result."""

    router: str
    in_iface: str
    out_iface: str
    result: Verdict
    stopped: tuple[Packet, int] | None = None
    """(packet, its TTL) that a rule may have blocked; None if the packet passed or had no route."""
    unseen: bool = False
    """Whether the packet was not seen after prerouting, so that its DNAT is not known."""
    rule: RuleDecision | None = None
    """The rule or policy that blocked the packet, if the request asked to find it."""

    @property
    def by_rule(self) -> bool:
        """Whether a rule was found or can have caused the NO."""
        return self.rule is not None or self.stopped is not None


@dataclass(frozen=True)
class Choice:
    """One choice that the facts do not determine, and the option that a branch assumes."""

    question: str
    """What is chosen, as a noun phrase: `the next hop of r1 to 10.0.2.0/24 (r1/routes.json:3)`."""
    option: str
    """The assumed option, such as `10.9.0.2 on eth1`."""
    remedy: str = ""
    """What the user can do if the options have different answers, or ""."""


@dataclass(slots=True)
class Flow:
    """One service under test: the packet, where it enters the next router, and how its path ended."""

    service: tuple[int | None, str]
    packet: Packet
    dscp: int
    router: str = ""
    in_iface: str = ""
    """Interface through which the packet enters `router`; "" if the router itself sends it."""
    cookie: bytes = b""
    frame_body: bytearray = field(default_factory=bytearray)
    steps: list[Step] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    """Routers that the packet has visited."""
    seen: list[tuple[str, str, Packet]] = field(default_factory=list)
    ended: bool = False
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    """Caveats that do not affect the result."""
    assumptions: list[str] = field(default_factory=list)
    """Caveats that could change the result."""
    branch: tuple[str, int] = ("", 0)
    """(router, branch to test there; netlab/rules/loaded_rules.py). All other routers are tested in branch 0."""
    settled: frozenset[str] = frozenset()
    """Places of rules that count or decide by chance, but do not matter: every outcome gives the same result."""
    unsure: str = ""
    """Why the result is UNKNOWN although every router was tested; "" if it is not UNKNOWN for such a reason."""
    bypass: str = ""
    """Why no connection is possible although the packet is delivered: the reply would bypass the router with the NAT.
    """
    unsure_connection: str = ""
    """Why it is uncertain whether a connection is possible although the packet is delivered; "" if it is certain."""
    retried: bool = False
    exit: tuple[IfaceRef, IPv4Address] | None = None
    """(interface through which the packet left the last router, next hop).

    Set when the packet was delivered to a segment or left the network.
    """

    paths: Sequence[Branch] = ()
    """All possible paths, if the facts allow several; empty if there is only one."""
    undecided: bool = False
    """Whether the facts allow several paths or outcomes with different results."""

    def copy(self) -> Flow:
        """Return a copy that can be continued independently. Its next probe gets a new cookie."""
        return replace(
            self,
            frame_body=bytearray(),
            steps=list(self.steps),
            visited=set(self.visited),
            seen=list(self.seen),
            notes=list(self.notes),
            assumptions=list(self.assumptions),
            paths=(),
        )

    @property
    def ttl(self) -> int:
        """The TTL after the routers passed so far. A router that sends the packet itself does not decrement it."""
        # A router originates packets only at the start of a path.
        made_here = bool(self.steps) and not self.steps[0].in_iface
        return TTL - len(self.steps) + made_here

    def end(self, reason: str = "") -> None:
        """End the flow: there are no more routers to test."""
        self.ended = True
        self.reason = reason

    def enter(self, port: IfaceRef) -> None:
        """Enter the next router, or end the flow if it is in a loop.

        It is not a loop if the same packet comes in on another interface, because policy routing may then send it
        another way. The path of a loop is cut where a router first gets a packet again that it has already forwarded.
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
        """Continue with the packet as the router sent it (after NAT)."""
        if packet is not self.packet:
            self.packet = packet
            self.frame_body = bytearray()

    def ends_at(self, step: Step) -> bool:
        """Whether the packet ends in the router of this step, which is one of `steps`."""
        return step is self.steps[-1] and not step.out_iface

    @property
    def of_several_paths(self) -> bool:
        """Whether the facts allow several paths with different results. `reason` lists them."""
        return self.undecided and not self.unsure

    @property
    def looped(self) -> bool:
        """Whether the flow ended in a routing loop."""
        return self.reason.startswith(LOOP)

    @property
    def blocked_by(self) -> list[str]:
        """The routers that blocked the packet, in order."""
        return list(dict.fromkeys(step.router for step in self.steps if step.result == NO))

    @property
    def path(self) -> list[str]:
        """The names of the routers that the flow entered, in order."""
        return [step.router for step in self.steps]

    @property
    def result(self) -> Verdict:
        """The result: NO, UNKNOWN or YES.

        It is UNKNOWN if possible paths have different results. Otherwise it is NO if a router blocked the packet, or
        the packet cannot arrive, and UNKNOWN if a router could not be tested.
        """
        if self.undecided:
            return UNKNOWN
        results = {step.result for step in self.steps}
        if NO in results or self.looped or self.impossible:
            return NO
        return UNKNOWN if UNKNOWN in results or (self.reason and not self.delivered) else YES

    impossible: bool = False
    """Whether no host can exist at the source or the destination."""
    delivered: bool = False
    """Whether the packet reached its destination or left the network."""


@dataclass(frozen=True)
class Branch:
    """One possible path of a service: the choice assumed at each fork, in order, and the flow with its result."""

    choices: tuple[Choice, ...]
    flow: Flow
