"""The detailed run: real connections between real hosts through locked routers, and what each rule did to them.

path ─▶ lock ─▶ hosts ─▶ listen ─▶ connect ─▶ collect ─▶ clean
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address
from itertools import count, pairwise
from struct import pack

from netlab.detailed.capture import Capture
from netlab.detailed.connection import ClientConnection, Listeners
from netlab.detailed.follow import Header, Passage, path
from netlab.detailed.plan import DetailedPlan, ServicePlan, plans
from netlab.errors import NetlinkError
from netlab.live.build import LiveNetwork
from netlab.live.hosts import HostConflict, HostRegistry
from netlab.live.router_locks import RouterLocks
from netlab.packets.probe import ICMP, PROTOCOLS, Packet
from netlab.quick.direct_reply import direct_reply, unowned_source
from netlab.quick.flow import Question
from netlab.quick.walk import RouterLocked, Walker
from netlab.results.document import Outcome
from netlab.topology import far_ends
from netlab.topology.next_stop import Delivered, Onward, next_stop
from netlab.topology.segments import IfaceRef

SERVICE_TIMEOUT_S = 2.0
"""Timeout of a service whose packets disappear although no rule blocked them.

If the trace shows where a packet was stopped, the run does not wait.
"""
TICK_S = 0.001
QUIET_TURNS = 10
"""Number of rounds without a pause. A service that has no reply by then has lost a packet."""
REFUSAL_TURNS = 15
"""Number of rounds to wait for the refusal of a stopped packet. The return path of the refusal may be blocked."""
MAX_SERVICES = 50
PHASES = {"path": 10, "lock": 20, "hosts": 30, "listen": 40, "connect": 50, "collect": 90, "clean": 95}
"""Phase -> progress in percent when it starts."""

Progress = Callable[[str, int, str], None]


@dataclass
class Exchange:
    """One service under test: its plan, its client, and the paths of its packets so far."""

    service_plan: ServicePlan
    connection: ClientConnection
    request: list[Passage] = field(default_factory=list)
    reply: list[Passage] = field(default_factory=list)

    refused_by: str = ""
    """The router that sent the refusal that the client received. If its sender is not a router, the sender's address.
    """

    untested: list[str] = field(default_factory=list)
    """Caveats about routers on the return path that can choose among several next hops. Only one of them was tested."""
    dropped_reply: str = ""
    """Why a tunnel drops the reply; "" if it does not. The wire of the bench lets it through."""
    lost_reply: str = ""
    """Why the reply does not arrive although no rule stops it; "" if it arrives or the facts do not show why."""
    bypass: str = ""
    """Why no connection is possible: the reply bypasses the router that would have to undo its NAT; "" if it does not.
    """

    @property
    def stopped(self) -> Passage | None:
        """The passage in which the request, or else the reply, was stopped; None if neither was."""
        return next((p for p in (*self.request[-1:], *self.reply[-1:]) if not p.passed), None)

    @property
    def settled(self) -> bool:
        """Whether the result is final: the test has ended, a router stopped a packet, or no host can reply.

        It is also final if the quick walk found several possible paths with different results, because a connection
        takes only one of them.
        """
        return (
            self.service_plan.flow.of_several_paths
            or self.connection.outcome is not None
            or self.stopped is not None
            or bool(self.dropped_reply)
            or (bool(self.request) and not self.service_plan.reachable)
        )

    @property
    def refusable(self) -> bool:
        """Whether a settled exchange may still receive an ICMP error from the router that stopped the request."""
        if self.connection.outcome is not None or not self.request or self.request[-1].received:
            return False
        stopped = self.stopped
        if stopped is None:
            return not self.service_plan.reachable
        return stopped is self.request[-1] and (not stopped.decided or stopped.decided.verdict in ("ACCEPT", "REJECT"))


class DetailedRun:
    """One detailed run on one live network. The result of `run` is the input of answer_detailed."""

    def __init__(
        self, network: LiveNetwork, walker: Walker, hosts: HostRegistry, locks: RouterLocks, progress: Progress
    ) -> None:
        self._network = network
        self._walker = walker
        self._hosts = hosts
        self._locks = locks
        self._progress = progress
        self._watch = Capture(network, ())
        self._listeners = Listeners()
        self._talks: list[ClientConnection] = []
        self._locked: list[str] = []
        self._percent = 0
        self.timing_ms: dict[str, float] = {}

    async def run(self, question: Question, run_id: str) -> list[tuple[DetailedPlan, list[Exchange]]]:
        """Run the test of each plan and always restore the network. It may be cancelled at any await."""
        began = time.perf_counter()
        self._enter("path", "tracing the paths in both directions")
        detailed_plans = await self._plans(question)
        if not detailed_plans[0].entry.testable:
            return [(detailed_plans[0], [])]
        routers = sorted(frozenset[str]().union(*(one.routers for one in detailed_plans)))
        self._enter("lock", f"locking {len(routers)} routers: {', '.join(routers)}")
        await self._locks.take(routers, run_id)
        self._locked = routers
        self.timing_ms["waited"] = round((time.perf_counter() - began) * 1e3, 3)
        tests: list[tuple[DetailedPlan, list[Exchange]]] = []
        try:
            for detailed_plan in detailed_plans:
                if tests:
                    self._restore_all(run_id)
                tests.append((detailed_plan, await self._hold(question, run_id, detailed_plan, routers)))
            self._enter("collect", "reconstructing the paths")
        finally:
            self._clean(run_id)
            self.timing_ms["total"] = round((time.perf_counter() - began) * 1e3, 3)
        return tests

    async def _plans(self, question: Question) -> list[DetailedPlan]:
        """Make the plans. Waits while another detailed run has locked one of the routers."""
        while True:
            try:
                return plans(self._network.topology, self._walker, question)
            except RouterLocked:
                await self._locks.released()

    async def _hold(
        self, question: Question, run_id: str, detailed_plan: DetailedPlan, routers: list[str]
    ) -> list[Exchange]:
        """Run the test of one plan while the routers are locked."""
        await asyncio.sleep(0)
        self._watch = Capture(self._network, routers)
        self._watch.open(detailed_plan.addresses)
        self._enter("hosts", f"placing {question.source} and its destinations")
        source = self._hosts.acquire(question.source, run_id, detailed_plan.source_place)
        placed: dict[int, ServicePlan] = {}
        # A host has one default route: that of the services whose replies need it.
        for number in sorted(range(len(detailed_plan.legs)), key=lambda n: not detailed_plan.legs[n].choices):
            await asyncio.sleep(0)
            placed[number] = self._placed(detailed_plan.legs[number], run_id)
        detailed_plan = replace(detailed_plan, legs=tuple(placed[number] for number in sorted(placed)))
        self._enter("listen", f"opening {len(detailed_plan.legs)} listeners")
        await asyncio.sleep(0)
        for service_plan in detailed_plan.legs:
            if service_plan.reachable and service_plan.port is not None:
                host = self._hosts.acquire(service_plan.address, run_id, service_plan.place, service_plan.router)
                self._listeners.open(host, service_plan.flow.service[1], service_plan.port)
        self._enter("connect", f"{len(detailed_plan.legs)} connections from {question.source}")
        await asyncio.sleep(0)
        started = time.perf_counter()
        exchanges: list[Exchange] = []
        for service_plan in detailed_plan.legs:
            port, protocol = service_plan.flow.service
            identifier = question.source_port if protocol != "icmp" else (question.source_port + len(exchanges)) % 65536
            connection = ClientConnection(protocol, port, identifier)
            self._talks.append(connection)
            exchanges.append(Exchange(service_plan, connection))
            connection.begin(source, question.source, question.destination)
            self._watch.read()  # packets cross the network while they are sent, so the trace stays short
            await self._forget_between(question, detailed_plan, exchanges[-1])
        await self._until_settled(question, detailed_plan, exchanges)
        self.timing_ms["connections"] = round(
            self.timing_ms.get("connections", 0) + (time.perf_counter() - started) * 1e3, 3
        )
        return exchanges

    def _placed(self, service_plan: ServicePlan, run_id: str) -> ServicePlan:
        """Create the service's destination host and return the plan.

        If no host can have that address, the returned plan is unreachable and has the reason.
        """
        if not service_plan.reachable:
            return service_plan
        try:
            self._hosts.acquire(service_plan.address, run_id, service_plan.place, service_plan.router)
        except HostConflict as conflict:
            service_plan.flow.reason = service_plan.flow.reason or str(conflict)
            return replace(service_plan, place=None, reachable=False)
        return service_plan

    async def _until_settled(self, question: Question, detailed_plan: DetailedPlan, exchanges: list[Exchange]) -> None:
        """Read sockets and traces in rounds, until no exchange can change any more or the time limit is reached.

        A packet crosses the network while it is sent, so one or two rounds are normally enough. Only lost packets need
        more.
        """
        deadline = time.monotonic() + SERVICE_TIMEOUT_S
        refusal_turns = count(1)
        for turn in count():
            self._read_all(exchanges)
            for exchange in exchanges:
                if turn == 0 or exchange.stopped is None:
                    self._trace(question, detailed_plan, exchange)
            settled = all(exchange.settled for exchange in exchanges)
            if settled and not self._refusals_due(exchanges, next(refusal_turns)):
                break
            if not settled and time.monotonic() > deadline:
                break
            if turn == QUIET_TURNS:
                self._trace_silent(exchanges)
            await asyncio.sleep(0 if turn < QUIET_TURNS else TICK_S)
        self._watch.read()  # of a reply that arrived after the last look at the trace
        for exchange in exchanges:
            if exchange.stopped is None:
                self._trace(question, detailed_plan, exchange)
            self._conclude(exchange)

    async def _forget_between(self, question: Question, detailed_plan: DetailedPlan, exchange: Exchange) -> None:
        """Finish this service and restore the rules that remember packets, so that they do not affect the next service.

        Does nothing if no router on the path has such rules.
        """
        routers = [name for name in detailed_plan.routers if self._network.routers[name].memory]
        if not routers:
            return
        for _ in range(QUIET_TURNS):
            self._read_all([exchange])
            self._trace(question, detailed_plan, exchange)
            if exchange.settled:
                break
            await asyncio.sleep(0)
        self._restore(routers)

    def _restore(self, routers: Iterable[str]) -> None:
        for name in routers:
            self._walker.restore(name)

    def _read_all(self, exchanges: list[Exchange]) -> None:
        """Read every socket and every trace once."""
        self._listeners.poll()
        for exchange in exchanges:
            exchange.connection.poll()
        self._walker.settle()
        self._watch.read()
        for exchange in exchanges:
            exchange.connection.poll()  # data that arrived together with the trace

    def _refusals_due(self, exchanges: list[Exchange], turn: int) -> bool:
        """Whether to wait for a refusal that may still arrive.

        Halfway through the wait, the bench itself sends the ICMP errors of the routers, since the kernel may have
        suppressed them.
        """
        refusable = [exchange for exchange in exchanges if exchange.refusable]
        if turn == REFUSAL_TURNS // 2:
            self._refuse(refusable)
        return bool(refusable) and turn <= REFUSAL_TURNS

    def _trace_silent(self, exchanges: list[Exchange]) -> None:
        """Trace all packets of established connections that have become silent, to find what blocks them."""
        silent = [e for e in exchanges if not e.settled and e.connection.opened]
        if silent:
            self._watch.trace_all_packets()
            for exchange in silent:
                exchange.connection.send_probe_byte()

    def _refuse(self, exchanges: list[Exchange]) -> None:
        """Send the ICMP errors that the routers' kernels may have suppressed.

        There is one for each exchange that routing, not a rule, stopped.
        """
        for exchange in exchanges:
            stopped = exchange.stopped
            if stopped and not stopped.halted:
                self._watch.refuse(stopped)

    def _conclude(self, exchange: Exchange) -> None:
        """Record which refusal the client received, and from which router or address.

        A test without an outcome ends as a timeout. Untested next hops on the return path are recorded too.
        """
        connection, stopped = exchange.connection, exchange.stopped
        connection.give_up()
        if exchange.dropped_reply:
            connection.lose_reply()
        if connection.refuser:
            owners = self._network.topology.owned_by(connection.refuser)
            exchange.refused_by = owners[0].router if owners else str(connection.refuser)
        elif connection.outcome in (Outcome.REFUSED, Outcome.UNREACHABLE) and stopped:
            exchange.refused_by = stopped.router
        for passage in exchange.reply:
            # The kernel looks the route up after it has undone SNAT and before it undoes DNAT.
            before, after = passage.before, passage.after
            ports = pack("!HH", before.sport, after.dport)
            packet = Packet(before.protocol, before.source, after.destination, ports)
            if question := self._walker.next_hops.question(passage.router, passage.in_iface, packet):
                exchange.untested.append(f"the reply depends on {question}; only one next hop was tested")

        if connection.outcome is Outcome.TIMEOUT and exchange.reply:
            exchange.lost_reply = self._lost_reply(exchange)
        elif connection.outcome is Outcome.TIMEOUT and exchange.service_plan.reachable:
            exchange.lost_reply = unowned_source(self._network.topology, exchange.service_plan.flow)

    def _lost_reply(self, exchange: Exchange) -> str:
        """Return where the last router on the return path sends the reply, if it cannot reach the source from there."""
        last = exchange.reply[-1]
        if last.halted or last.received:
            return ""
        source, destination = IPv4Address(last.after.source), IPv4Address(last.after.destination)
        try:
            route = self._watch.route(last)
        except NetlinkError as bad:
            why = self._walker.unrouted(IfaceRef(last.router, last.in_iface), source, destination, bad.errno)
            return "" if last.passed else f"{last.router}: {why}"
        out = IfaceRef(last.router, last.out_iface)
        if not last.passed or route.next_hop is None or self._name(last.router, route.oif) != last.out_iface:
            return ""  # the packet took another route, because of a mark
        stop = next_stop(self._network.topology, out, route.next_hop, destination)
        if isinstance(stop, Delivered | Onward):
            return ""
        return f"{last.router} sends the reply to {route.next_hop} on {last.out_iface}: {stop.reason}"

    def _name(self, router: str, oif: int) -> str:
        return self._network.routers[router].names.get(oif, "")

    def _trace(self, question: Question, detailed_plan: DetailedPlan, exchange: Exchange) -> None:
        """Join the service's passages to its forward path and its return path."""
        connection = exchange.connection
        follow = partial(path, self._network.topology, self._watch.macs, self._watch.index)
        number = PROTOCOLS[connection.protocol]
        dport = 8 if number == ICMP else connection.port
        start = Header(number, question.source.packed, question.destination.packed, connection.source_port, dport)
        exchange.request = follow(start, detailed_plan.entry.port)
        last = exchange.request[-1].after if exchange.request else start
        if exchange.request and not exchange.request[-1].passed:
            return
        place = exchange.service_plan.place
        own = IfaceRef(exchange.request[-1].router, "") if exchange.request and exchange.request[-1].received else None
        exchange.reply = follow(last.answer(), own or (place.router if place else None))
        self._drop_in_tunnel(exchange)
        if exchange.request and not exchange.request[-1].received:
            exchange.bypass = self._bypass(exchange)

    def _drop_in_tunnel(self, exchange: Exchange) -> None:
        """End the reply where WireGuard at the far end of a tunnel drops it."""
        topology = self._network.topology
        for number, (passage, following) in enumerate(pairwise(exchange.reply), start=1):
            sender, port = (
                IfaceRef(passage.router, passage.out_iface),
                IfaceRef(following.router, following.in_iface),
            )
            why = far_ends.refusal(topology, port, sender, IPv4Address(passage.after.source))
            if why:
                exchange.reply = exchange.reply[:number]
                exchange.dropped_reply = why
                return

    def _bypass(self, exchange: Exchange) -> str:
        """Return why the reply has the wrong source address or bypasses the router with the NAT; "" if neither is true."""
        topology = self._network.topology
        sent, delivered = exchange.request[0].before, exchange.request[-1].after
        changing = [passage.router for passage in exchange.request if passage.natted]
        if not changing or not exchange.service_plan.reachable:
            return ""
        if not exchange.reply:
            if sent.source != delivered.source:
                return ""
            out = IfaceRef(exchange.request[-1].router, exchange.request[-1].out_iface)
            ends = IPv4Address(delivered.source), IPv4Address(delivered.destination)
            return direct_reply(topology, out, *ends, changing[-1])
        last = exchange.reply[-1]
        passed = {passage.router for passage in exchange.reply}
        missed = next((name for name in reversed(changing) if name not in passed), "")
        if last.received and missed and not topology.owned_by(IPv4Address(sent.source)):
            what = f"the reply ends in {last.router}, whose own address is {IPv4Address(last.after.destination)}"
            return f"{what}: it does not pass {missed}, which would have to undo its NAT"
        segment = topology.segment_of.get(IfaceRef(last.router, last.out_iface))
        if last.received or segment is None or not segment.holds(IPv4Address(sent.source)):
            return ""
        if not last.passed or last.after == sent.answer() or last.after.destination != sent.source:
            return ""
        came = f"the reply arrives from {IPv4Address(last.after.source)}, not from {IPv4Address(sent.destination)}"
        return f"{came}: it does not pass {missed}, which would have to undo its NAT" if missed else ""

    def _clean(self, run_id: str) -> None:
        """Restore everything. There is no await in this function, so no other task can run in between."""
        self._enter("clean", "restoring the routers")
        self._restore_all(run_id)
        self._locks.give_back(run_id)

    def _restore_all(self, run_id: str) -> None:
        """Remove the connections and hosts of one plan, and what the routers learned from them."""
        self._watch.close_gates()  # first, so that the resets that close the connections are neither forwarded nor traced
        for connection in self._talks:
            connection.close()
        self._talks.clear()
        self._listeners.close()
        self._hosts.release_all(run_id)
        self._watch.forget()
        self._walker.forget()
        self._restore(self._locked)

    def _enter(self, phase: str, message: str) -> None:
        """Report a phase, unless it is an earlier one, which begins again with the next plan."""
        if PHASES[phase] < self._percent:
            return
        self._percent = PHASES[phase]
        self._progress(phase, PHASES[phase], message)
