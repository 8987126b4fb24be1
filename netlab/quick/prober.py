"""Moves flows through the routers of one live network, all flows by one hop at a time.

In each round, every flow's probe is sent into its next router, on the interface through which it would enter. Then each
router is read once. The kernel's sets show whether the router accepted the probe and where it would forward it. If a
router blocks the packet, the flow continues as if the packet had been accepted, so that all blocking routers are found.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address

from netlab.errors import NetlinkError
from netlab.facts.netconf import settings_of
from netlab.kernel.routes import Route
from netlab.live.build import LiveNetwork
from netlab.packets.probe import COOKIE_FIRST, COOKIE_LAST, Packet, age, in_branch, ip_packet
from netlab.quick import observe
from netlab.quick.direct_reply import hairpin, unowned_source
from netlab.quick.flow import Flow, Step
from netlab.quick.inject import UNROUTED, Injector, own_hop
from netlab.quick.observe import NOTHING, Observation, Stage
from netlab.quick.routes_used import RoutesUsed
from netlab.results.document import NO, UNKNOWN, YES, Verdict
from netlab.topology import far_ends
from netlab.topology.next_stop import Delivered, NextStop, Nowhere, Onward, Outside, Unclear, next_stop
from netlab.topology.segments import IfaceRef

FENCE_S = 1.0
"""Maximum time to wait until the kernel has processed its backlog. A probe that is still missing is sent once more."""
FLUSH_AT = 800
"""Number of probes into one router after which its sets are emptied even within a batch.

A round adds at most 32 x 100 elements, and a set can have 4,096.
"""
_BACKLOG = slice(99, 107)
"""Column 12 of softnet_stat, the length of a CPU's backlog. Every column has eight hexadecimal digits."""
# Looking up a member of an Enum takes longer than comparing it, and each service is compared at each router.
_PASSED = (Stage.LEFT, Stage.RECEIVED)
_ON_ITS_WAY = (Stage.LEFT, Stage.FORWARDED)
_AT_ITS_DESTINATION = (Stage.RECEIVED, Stage.ADDRESSED)


class RouterLocked(Exception):
    """A flow has reached a router that a detailed run has locked."""

    def __init__(self, router: str) -> None:
        super().__init__(router)
        self.router = router


def never_locked(router: str) -> None:
    """Return None for every router: none is locked. For a network that only this walker uses."""


class Prober:
    """Sends probes, reads the routers and follows the flows. Not thread-safe."""

    def __init__(self, network: LiveNetwork, holder: Callable[[str], str | None] = never_locked) -> None:
        """`holder` returns the run that has locked a router, or None."""
        self.injector = Injector(network)
        self._network = network
        self._holder = holder
        self._topology = network.topology
        self._with_peers = frozenset(router.name for router in network.facts.routers if router.peers)
        self._with_memory = frozenset(name for name, router in network.routers.items() if router.memory)
        self._cookie = COOKIE_FIRST
        self._sent: dict[str, int] = {}
        self._softnet = os.open("/proc/net/softnet_stat", os.O_RDONLY | os.O_CLOEXEC)
        self.routes_used = RoutesUsed(network)
        self._after = lru_cache(maxsize=65536)(self._after_uncached)

    def close(self) -> None:
        """Close the files that the prober itself has opened."""
        os.close(self._softnet)

    def probe(self, flows: Iterable[Flow]) -> None:
        """Follow every flow to its end. Raises RouterLocked."""
        active = [flow for flow in flows if not flow.ended]
        while active:
            self._round(active)
            active = [flow for flow in active if not flow.ended]

    def advance(self, flows: Iterable[Flow]) -> None:
        """Move each flow by one router. Raises RouterLocked."""
        waiting = list(flows)
        while waiting:
            self._round(waiting)
            waiting = [flow for flow in waiting if flow.retried]

    def forget(self, at_least: int = 1) -> None:
        """Empty the sets of each router that got at least this many probes since its sets were last emptied."""
        for name in [name for name, count in self._sent.items() if count >= at_least]:
            observe.forget(self._network.routers[name])
            del self._sent[name]

    def _round(self, active: list[Flow]) -> None:
        """Send every flow's probe into its next router, then read each of those routers once."""
        waiting: dict[str, dict[bytes, Flow]] = {}
        for name in {flow.router for flow in active}:
            if self._holder(name):
                raise RouterLocked(name)
        for flow in active:
            waiting.setdefault(flow.router, {})[self._send(flow)] = flow
            if flow.router in self._with_memory:
                self.restore(flow.router)
        self.settle()
        self.routes_used.forget()
        for name, flows in waiting.items():
            router = self._network.routers[name]
            seen = observe.finished(router)
            missing = flows.keys() - seen.keys()
            if missing:
                seen |= observe.stopped(router, missing)
                seen |= observe.late(router)  # a probe that came through while the other sets were read was not blocked
            for cookie, flow in flows.items():
                sight = seen[cookie]
                if sight is NOTHING and not flow.retried:
                    flow.retried = True  # stays active and is sent once more in the next round
                else:
                    self._advance(flow, sight)
                    flow.retried = False
        self.forget(FLUSH_AT)

    def _send(self, flow: Flow) -> bytes:
        """Send the flow's probe into its router. Return its cookie as it appears in the sets."""
        name = flow.router
        if not flow.frame_body or flow.retried or name in flow.visited or flow.branch[1]:
            self._cookie = self._cookie + 1 if self._cookie < COOKIE_LAST else COOKIE_FIRST
            router, branch = flow.branch
            cookie = in_branch(self._cookie, branch if name == router else 0)
            flow.cookie = cookie.to_bytes(4, "big")
            flow.frame_body = bytearray(ip_packet(flow.packet, cookie, flow.dscp, flow.ttl))
        elif flow.steps and flow.steps[-1].in_iface:
            age(flow.frame_body)
        self._sent[name] = self._sent.get(name, 0) + 1
        try:
            self.injector.send(name, flow.in_iface, flow.frame_body)
        except OSError as bad:
            flow.notes.append(f"{name}: the probe could not be sent: {bad.strerror}")
        return flow.cookie

    def restore(self, router: str) -> None:
        """Make the rules of `router` forget the packet just sent. Does nothing if they remember nothing."""
        memory = self._network.routers[router].memory
        if memory:
            self.settle()
            memory.restore()

    def settle(self) -> None:
        """Wait until no CPU has packets in its backlog (column 12 of softnet_stat)."""
        deadline = time.monotonic() + FENCE_S
        while time.monotonic() < deadline:
            lines = os.pread(self._softnet, 65536, 0).splitlines()
            if all(int(line[_BACKLOG], 16) == 0 for line in lines):
                return
            time.sleep(0)

    def _advance(self, flow: Flow, sight: Observation) -> None:
        """Record what the router did with the probe, and move the flow to where the router would forward it."""
        reach = sight.reach
        passed = reach in _PASSED
        result: Verdict = YES if passed else UNKNOWN if sight is NOTHING else NO
        step = Step(flow.router, flow.in_iface, "", result)
        if result == NO and reach is not Stage.ROUTABLE:
            step.stopped = (flow.packet, flow.ttl)
        step.unseen = sight.reach in (Stage.NOTHING, Stage.ENTERED)
        flow.steps.append(step)
        flow.visited.add(flow.router)
        sent = flow.packet
        flow.change(sight.packet(flow.packet))
        if reach in _ON_ITS_WAY:
            router = self._network.routers[flow.router]
            step.out_iface = router.names[sight.oif]
            self._go(flow, step, sight.next_hop if flow.in_iface else own_hop(router, sent, flow.packet, sight), sent)
        elif reach in _AT_ITS_DESTINATION:
            flow.delivered = passed
            destination = IPv4Address(flow.packet.destination)
            reason = self._topology.not_a_host(destination)  # the kernel takes a broadcast address as its own
            if reason:
                self._lost(flow, step, Nowhere(reason, no_host=True), sent)
            else:
                flow.end(f"{destination} is {flow.router}'s own address; {flow.router}'s INPUT chain decides")
        else:
            self._go_as_routed(flow, step, sight)

    def _go_as_routed(self, flow: Flow, step: Step, sight: Observation) -> None:
        """Follow the routing tables, with the packet's mark if known, because the packet did not show its route."""
        router = self._network.routers[flow.router]
        try:
            route = self._route(flow, sight.mark)
        except NetlinkError as bad:
            # Without a route, a router itself sends no packet, so nothing is seen.
            step.result = UNKNOWN if flow.in_iface and step.result == UNKNOWN else NO
            ends = IPv4Address(flow.packet.source), IPv4Address(flow.packet.destination)
            why = self.unrouted(IfaceRef(flow.router, flow.in_iface), *ends, bad.errno)
            flow.end(f"{flow.router}: {why}")
            return
        if route.local:
            flow.end(f"{IPv4Address(flow.packet.destination)} is {flow.router}'s own address; dropped before INPUT")
            return
        step.out_iface = router.names[route.oif]
        if sight.reach is Stage.ROUTABLE:
            what = f"forward from {flow.in_iface}" if flow.in_iface else "send"
            flow.end(f"{flow.router}: the kernel refused to {what} to {step.out_iface}")
            return
        what = f"{flow.router} dropped {_spell(flow)} before routing it"
        if sight is NOTHING:
            what = f"{_spell(flow)} was never seen on {flow.router}; an ingress hook may have dropped it"
        beyond = (
            "the rest of the path follows the routing tables,"
            " without any mark or DNAT that the packet might have got there"
        )
        flow.assumptions.append(f"{what}; {beyond}")
        if route.next_hop is not None:
            self._go(flow, step, route.next_hop.packed, flow.packet)

    def unrouted(self, port: IfaceRef, source: IPv4Address, destination: IPv4Address, error: int) -> str:
        """Return why a router does not route a packet that came in on `port`. `error` is the errno of the lookup.

        The reason is a setting of the interface, or the route.
        """
        why = f"{UNROUTED.get(error, os.strerror(error))} to {destination}"
        settings = settings_of(self._topology.routers[port.router].netconf, port.interface)
        if settings is None:
            return why
        place = f"({port.router}/netconf.json:{settings.line})"
        if error == errno.EHOSTUNREACH and not settings.forwarding:
            return f"{port.interface} does not forward packets {place}"
        filtered = error in (errno.EXDEV, errno.EINVAL) and settings.rp_filter != "off"
        if filtered and self.routes_used.to(port.router, destination):  # otherwise it is a blackhole route
            return f"the {settings.rp_filter} rp_filter of {port.interface} {place} drops packets from {source}"
        return why

    def _route(self, flow: Flow, mark: int) -> Route:
        router, packet = self._network.routers[flow.router], flow.packet
        ports = struct.unpack("!HH", packet.ports) if packet.protocol != 1 else None
        iif = router.ports[flow.in_iface].index if flow.in_iface else 0
        return router.routes.get(
            IPv4Address(packet.destination),
            IPv4Address(packet.source),
            iif=iif,
            mark=mark,
            protocol=packet.protocol,
            ports=ports,
        )

    def _go(self, flow: Flow, step: Step, next_hop: bytes, sent: Packet) -> None:
        if not flow.in_iface and step.out_iface == "lo":
            own = self._topology.owned_by(IPv4Address(flow.packet.destination))
            if any(port.router == step.router for port in own):
                flow.assumptions.append(
                    f"{step.router}: between a router's own addresses, quick tests check only OUTPUT; use a detailed test"
                )
                flow.end(f"source and destination are both {step.router} itself: its INPUT was not tested")
                return
        stop = self._after(step.router, step.out_iface, next_hop, flow.packet.destination)
        if isinstance(stop, Onward):
            if stop.note:
                flow.assumptions.append(stop.note)
            refused = self._refusal(flow, step, stop.port) if stop.port.router in self._with_peers else ""
            if refused:
                self._lost(flow, step, Nowhere(refused), sent)
            else:
                flow.enter(stop.port)
        elif isinstance(stop, Delivered):
            flow.delivered = True
            flow.exit = (IfaceRef(step.router, step.out_iface), IPv4Address(next_hop))
            flow.bypass = hairpin(self._topology, flow)
            if flow.bypass:
                flow.notes.append(f"the reply was not tested, but a connection would fail: {flow.bypass}")
            elif unowned := unowned_source(self._topology, flow):
                flow.notes.append(f"the reply was not tested: {unowned}")
            flow.end()
        elif isinstance(stop, Unclear):
            flow.end(f"{step.router}: {stop.reason}")
        elif isinstance(stop, Outside):
            flow.end(stop.reason + self._route_used(flow, step, sent))
        else:
            self._lost(flow, step, stop, sent)

    def _refusal(self, flow: Flow, step: Step, port: IfaceRef) -> str:
        """Return why the far end of a tunnel drops the packet, or "" if it accepts it."""
        sender, source = IfaceRef(step.router, step.out_iface), IPv4Address(flow.packet.source)
        return far_ends.refusal(self._topology, port, sender, source)

    def _lost(self, flow: Flow, step: Step, stop: Nowhere, sent: Packet) -> None:
        """End the flow, because its packet is lost at `stop`, and name the route.

        `sent` is the packet as it entered the router.
        """
        step.result = NO if step.result == YES else step.result
        flow.delivered, flow.impossible = False, stop.no_host
        flow.end(f"{step.router}: {stop.reason}" + ("" if stop.no_host else self._route_used(flow, step, sent)))

    def _route_used(self, flow: Flow, step: Step, sent: Packet) -> str:
        """Return ` (route default via 192.0.2.1 dev wan, r1/routes.json:3)`; "" if the route is not in the facts."""
        route = self.routes_used.find(step.router, step.in_iface, sent, flow.cookie)
        place = self.routes_used.spelled(step.router, route) if route else ""
        return f" ({place})" if place else ""

    def _after_uncached(self, router: str, out_iface: str, next_hop: bytes, destination: bytes) -> NextStop:
        if out_iface == "lo":
            return Nowhere("the route leads back into the router itself")
        out = IfaceRef(router, out_iface)
        return next_stop(self._topology, out, IPv4Address(next_hop), IPv4Address(destination))


def _spell(flow: Flow) -> str:
    port, protocol = flow.service
    return protocol if port is None else f"{port}/{protocol}"
