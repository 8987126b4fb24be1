"""Finds the rule behind each NO of a quick run: sends the blocked probe into the same router again and traces it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from netlab.kernel.trace import TraceLost
from netlab.live.build import LiveNetwork
from netlab.packets.probe import COOKIE_FIRST, COOKIE_LAST, TRACED, ip_packet
from netlab.quick.flow import Flow, Step
from netlab.quick.inject import Injector
from netlab.rules.decisions import RuleDecision, decisions
from netlab.rules.trace_events import BENCH_TABLE, Event

CHUNK = 16
"""Number of probes traced at the same time in one router.

Each causes about fifteen events, and all of them must fit into the smallest trace socket.
"""


class Explainer:
    """Finds deciding rules in one live network. Not thread-safe."""

    def __init__(
        self, network: LiveNetwork, injector: Injector, settle: Callable[[], None], restore: Callable[[str], None]
    ) -> None:
        """`settle` waits until the kernel has processed all packets.

        `restore` makes the rules of a router forget the packet just sent.
        """
        self._network = network
        self._injector = injector
        self._settle = settle
        self._restore = restore
        self._cookie = COOKIE_FIRST

    def explain(self, flows: Iterable[Flow]) -> None:
        """Set the rule or policy of each step that a rule blocked. After a routing decision `rule` remains None."""
        stopped: dict[str, list[tuple[Flow, Step]]] = defaultdict(list)
        once = {id(step): (flow, step) for flow in flows for step in flow.steps}  # branches share their first steps
        for flow, step in once.values():
            if step.stopped is not None and step.rule is None:
                stopped[step.router].append((flow, step))
        for router, steps in stopped.items():
            for at in range(0, len(steps), CHUNK):
                self._chunk(router, steps[at : at + CHUNK])

    def _chunk(self, name: str, steps: list[tuple[Flow, Step]]) -> None:
        router = self._network.routers[name]
        router.trace.drop()
        asked: dict[bytes, Step] = {}
        for flow, step in steps:
            assert step.stopped is not None
            packet, ttl = step.stopped
            self._cookie = self._cookie + 1 if self._cookie < COOKIE_LAST else COOKIE_FIRST
            cookie = self._cookie | TRACED
            asked[cookie.to_bytes(4, "big")] = step
            try:
                self._injector.send(name, step.in_iface, ip_packet(packet, cookie, flow.dscp, ttl))
            except OSError as bad:
                flow.notes.append(f"{name}: the rule could not be traced: {bad.strerror}")
            self._restore(name)
        self._settle()
        try:
            traces = _by_cookie(router.trace.read(besides=BENCH_TABLE))
        except TraceLost:
            if len(steps) == 1:
                steps[0][0].notes.append(
                    f"{name}: the rule is unknown: the kernel sent more trace events than could be read"
                )
                return
            half = len(steps) // 2
            self._chunk(name, steps[:half])
            self._chunk(name, steps[half:])
            return
        for key, step in asked.items():
            step.rule = _stopper(decisions(traces.get(key, ()), router.book))


def _by_cookie(events: Iterable[Event]) -> dict[bytes, list[Event]]:
    """Group the events by probe, in order.

    Only an event with headers has the cookie. The events that follow it have the same trace id.
    """
    traces: dict[bytes, list[Event]] = defaultdict(list)
    current: dict[int, bytes] = {}
    for event in events:
        if event.transport:
            current[event.trace] = event.transport[8:12]
        traces[current.get(event.trace, b"")].append(event)
    return traces


def _stopper(made: list[RuleDecision]) -> RuleDecision | None:
    return next((decision for decision in made if decision.stops), None)
