"""The detailed run: real connections between real hosts through routers it has to itself, and what each rule did to them.

path ─▶ lock ─▶ hosts ─▶ listen ─▶ connect ─▶ collect ─▶ clean
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from netlab.build import LiveNetwork
from netlab.conversation import Conversation, Listeners
from netlab.errors import NetlabError
from netlab.flow import Question
from netlab.follow import Header, Passage, passages, path
from netlab.hosts import HostRegistry
from netlab.itinerary import Itinerary, Leg, plan
from netlab.locks import RouterLocks
from netlab.probe import ICMP, PROTOCOLS
from netlab.topology import Port
from netlab.trace import TraceLost
from netlab.walk import Taken, Walker

ETHERTYPE_IPV4 = b"\x08\x00"
SERVICE_TIMEOUT_S = 2.0
"""For a service whose packets vanish without any rule having stopped them; what the trace shows needs no waiting."""
RUN_TIMEOUT_S = 20.0
TICK_S = 0.001
MAX_SERVICES = 50
PHASES = {"path": 10, "lock": 20, "hosts": 30, "listen": 40, "connect": 50, "collect": 90, "clean": 95}
"""Phase -> percent done when it begins."""

Progress = Callable[[str, int, str], None]


@dataclass
class Exchange:
    """One service under way: its leg, its client, and the ways its packets took so far."""

    leg: Leg
    talk: Conversation
    request: list[Passage] = field(default_factory=list)
    reply: list[Passage] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether nothing more can come of it: it ended, or a router has stopped its request or reply."""
        return (
            self.talk.outcome is not None
            or any(not passage.passed for passage in (*self.request[-1:], *self.reply[-1:]))
            or (bool(self.request) and not self.leg.reachable)
        )


class DetailedRun:
    """One detailed run on one live network; `report` is what answer_detailed needs afterwards."""

    def __init__(
        self, network: LiveNetwork, walker: Walker, hosts: HostRegistry, locks: RouterLocks, progress: Progress
    ) -> None:
        self._network = network
        self._walker = walker
        self._hosts = hosts
        self._locks = locks
        self._progress = progress
        self._found: list[Passage] = []
        self._listeners = Listeners()
        self._talks: list[Conversation] = []
        self.timing_ms: dict[str, float] = {}

    async def run(self, question: Question, run_id: str) -> tuple[Itinerary, list[Exchange]]:
        """Carry the run out and leave the network as it was, whatever happens; may be cancelled at any await."""
        began = time.perf_counter()
        self._enter("path", "following the routes both ways")
        itinerary = await self._plan(question)
        exchanges: list[Exchange] = []
        if itinerary.entry.unknown:
            return itinerary, exchanges
        routers = sorted(itinerary.routers)
        self._enter("lock", f"taking {len(routers)} routers: {', '.join(routers)}")
        await self._locks.take(routers, run_id)
        self.timing_ms["waited"] = round((time.perf_counter() - began) * 1e3, 3)
        try:
            exchanges = await self._hold(question, run_id, itinerary, routers)
        finally:
            self._clean(run_id, routers)
            self.timing_ms["total"] = round((time.perf_counter() - began) * 1e3, 3)
        return itinerary, exchanges

    async def _plan(self, question: Question) -> Itinerary:
        """The itinerary; waits while another detailed run has a router of it."""
        while True:
            try:
                return plan(self._network.topology, self._walker, question)
            except Taken:
                await self._locks.released()

    async def _hold(self, question: Question, run_id: str, itinerary: Itinerary, routers: list[str]) -> list[Exchange]:
        """What happens while the routers are taken."""
        await asyncio.sleep(0)
        for name in routers:
            self._network.routers[name].trace.drop()
            self._network.routers[name].sets.put("open", ETHERTYPE_IPV4)
        self._enter("hosts", f"placing {question.source} and its destinations")
        source = self._hosts.acquire(question.source, run_id, itinerary.source_place)
        places = {leg.address: leg.place for leg in itinerary.legs if leg.reachable}
        for address, place in places.items():
            await asyncio.sleep(0)
            self._hosts.acquire(address, run_id, place)
        self._enter("listen", f"opening {len(itinerary.legs)} listeners")
        await asyncio.sleep(0)
        for leg in itinerary.legs:
            if leg.reachable and leg.port is not None:
                host = self._hosts.acquire(leg.address, run_id, leg.place)
                self._listeners.open(host, leg.flow.service[1], leg.port)
        self._enter("connect", f"{len(itinerary.legs)} connections from {question.source}")
        await asyncio.sleep(0)
        started = time.perf_counter()
        exchanges: list[Exchange] = []
        for leg in itinerary.legs:
            port, protocol = leg.flow.service
            identifier = question.source_port if protocol != "icmp" else (question.source_port + len(exchanges)) % 65536
            talk = Conversation(protocol, port, identifier)
            self._talks.append(talk)
            exchanges.append(Exchange(leg, talk))
            talk.begin(source, question.source, question.destination)
            self._read(routers)  # packets cross while they are sent, so the trace never piles up
        await self._until_settled(question, itinerary, exchanges, routers)
        self.timing_ms["connections"] = round((time.perf_counter() - started) * 1e3, 3)
        self._enter("collect", "putting the packets' ways together")
        return exchanges

    async def _until_settled(
        self, question: Question, itinerary: Itinerary, exchanges: list[Exchange], routers: list[str]
    ) -> None:
        deadline = time.monotonic() + min(RUN_TIMEOUT_S, SERVICE_TIMEOUT_S)
        while True:
            self._listeners.poll()
            for exchange in exchanges:
                exchange.talk.poll()
            self._walker.settle()
            self._read(routers)
            for exchange in exchanges:
                self._trace(question, itinerary, exchange)
            if all(exchange.settled for exchange in exchanges) or time.monotonic() > deadline:
                break
            await asyncio.sleep(TICK_S)
        for exchange in exchanges:
            exchange.talk.poll()  # the refusal that a REJECT sent may have come in with the trace
            exchange.talk.give_up()

    def _read(self, routers: list[str]) -> None:
        for name in routers:
            router = self._network.routers[name]
            try:
                events = router.trace.read()
            except TraceLost:
                raise NetlabError(
                    f"{name}: the kernel had more to tell than could be read; ask fewer services"
                ) from None
            if events:
                self._found += passages(name, router.names, events, router.book)

    def _trace(self, question: Question, itinerary: Itinerary, exchange: Exchange) -> None:
        """Put the service's passages end to end, both ways."""
        topology = self._network.topology
        talk = exchange.talk
        number = PROTOCOLS[talk.protocol]
        dport = 8 if number == ICMP else talk.port
        start = Header(number, question.source.packed, question.destination.packed, talk.source_port, dport)
        exchange.request = path(topology, self._found, start, itinerary.entry.port)
        last = exchange.request[-1].after if exchange.request else start
        if exchange.request and not exchange.request[-1].passed:
            return
        place = exchange.leg.place
        own = Port(exchange.request[-1].router, "") if exchange.request and exchange.request[-1].received else None
        exchange.reply = path(topology, self._found, last.answer(), own or (place.router if place else None))

    def _clean(self, run_id: str, routers: list[str]) -> None:
        """Everything back: no await in here, so nothing can come between."""
        self._enter("clean", "putting the routers back")
        for talk in self._talks:
            talk.close()
        self._listeners.close()
        self._hosts.release_all(run_id)
        for name in routers:
            router = self._network.routers[name]
            router.sets.flush(["open"])
            router.sets.forget_connections()
            router.neighbours.forget()
            router.trace.drop()
        self._walker.forget()
        self._locks.give_back(run_id)

    def _enter(self, phase: str, message: str) -> None:
        self._progress(phase, PHASES[phase], message)


def endpoint(address: bytes, port: int, protocol: int) -> str:
    """`10.1.10.20:443`, or the address alone for icmp."""
    return str(IPv4Address(address)) + ("" if protocol == ICMP else f":{port}")


def changed(passage: Passage) -> dict[str, Any] | None:
    """The NAT a router did, before → after; None when it did none."""
    if not passage.natted:
        return None
    spelled = [
        f"{endpoint(h.source, h.sport, h.protocol)} → {endpoint(h.destination, h.dport, h.protocol)}"
        for h in (passage.before, passage.after)
    ]
    return {"before": spelled[0], "after": spelled[1]}
