"""The forward and return path of each service: the routers in order, where the path ends, and why. Pure.

    result ──▶ service_paths(result) ──▶ ServicePath(request, reply): Leg: Stop, Stop …, end
                                    ──▶ path_groups(result, paths) ──▶ services that share one picture

The matrix, the pictures, the sentences and the tables are all built from these paths. The paths are derived once for
each result, so that the displays never contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.answers.rule_text import RuleText, rule_text
from netlab.results.document import (
    NO,
    REPLY,
    REQUEST,
    UNKNOWN,
    YES,
    Cause,
    DetailedResult,
    DetailedServiceResult,
    Hop,
    Nat,
    Result,
    RouterResult,
    ServiceResult,
    Side,
    Verdict,
)
from netlab.results.services import fold, service_name


@dataclass(frozen=True)
class Stop:
    """One router on the path. An interface is "" if the packet starts or ends in the router."""

    router: str
    in_iface: str
    out_iface: str
    result: Verdict
    rule: RuleText | None
    """The deciding rule. Pictures show it if the result is not YES."""
    nat: str
    """What the router translated, in short, such as `10.1.10.20 → 203.0.113.2`; empty if nothing."""
    nat_whole: str
    after_end: bool
    """Whether the packet was blocked before this router. A quick run also tests the routers after the blocking one."""
    not_probed: bool = False
    """Whether a detailed run only names this router as one that would also block the packet.

    Its rule was not traced.
    """

    @property
    def through(self) -> str:
        """The interfaces, such as `eth0 → eth1` or `eth0 → stopped here`; `further on` if they are unknown."""
        if self.not_probed:
            return "further on"
        ended = {YES: "itself", NO: "stopped here"}.get(self.result, "ends here")
        return f"{self.in_iface or 'itself'} → {self.out_iface or ended}"


@dataclass(frozen=True)
class Leg:
    """One direction of a path. `result` is YES if the packet reaches the far host."""

    stops: tuple[Stop, ...]
    result: Verdict
    reason: str
    """Why the packet does not arrive, if no rule is named."""
    end: int | None
    """Index of the router in which the packet ends.

    It is None if the packet arrives, or ends between the last router and the host.
    """
    cause: Cause | None
    """Why the packet ends, or None if it arrives."""

    @property
    def passed(self) -> list[str]:
        """The routers that the packet passed, or on which it was tested, in order."""
        return [stop.router for stop in self.stops if not stop.not_probed]

    @property
    def also(self) -> list[str]:
        """The routers after the blocking one that would also block the packet."""
        return list(dict.fromkeys(stop.router for stop in self.stops if stop.after_end and stop.result == NO))


@dataclass(frozen=True)
class ServicePath:
    """One service from source to destination. `reply` is None if there is no reply to show."""

    service: str
    source: str
    destination: str
    result: Verdict
    request: Leg
    reply: Leg | None
    both_ways: bool
    """Whether the return path was also tested. A quick run does not test it."""

    @property
    def legs(self) -> list[tuple[Side, Leg]]:
        """The directions with their legs: `request` and, if there is one, `reply`."""
        legs: list[tuple[Side, Leg]] = [(REQUEST, self.request)]
        return [*legs, (REPLY, self.reply)] if self.reply else legs

    @property
    def stopped(self) -> tuple[Side, Leg] | None:
        """The direction that fails, or None if every tested direction arrives."""
        return next(((direction, leg) for direction, leg in self.legs if leg.result != YES), None)


@dataclass(frozen=True)
class Group:
    """Services with the same picture."""

    indices: tuple[int, ...]
    """Indices in result.services. The picture is drawn for the first one."""
    services: str
    """Names of the services, such as `22/tcp, 8000-8003/tcp`."""
    result: Verdict
    caption: str
    """Text of the group, such as `22/tcp, icmp: stopped by dc-fw`."""


def service_path(result: Result, index: int) -> ServicePath:
    """Return the path of result.services[index]. Raises IndexError if the index is out of range."""
    service = result.services[index]
    reply = None
    if isinstance(service, DetailedServiceResult):
        forward = [_hop(hop) for hop in service.hops if hop.direction == REQUEST]
        request = _leg([*forward, *_further_on(service)], service, REQUEST)
        back = [_hop(hop) for hop in service.hops if hop.direction == REPLY]
        if back or request.result == YES:
            reply = _leg(back, service, REPLY)
    else:
        request = _leg(_probed(result.routers, service_name(service)), service, REQUEST)
    both_ways = isinstance(result, DetailedResult)
    return ServicePath(
        service_name(service), result.source, result.destination, service.result, request, reply, both_ways
    )


def service_paths(result: Result) -> tuple[ServicePath, ...]:
    """Return the paths of all services, in the order of the document."""
    return tuple(service_path(result, index) for index in range(len(result.services)))


def _further_on(service: DetailedServiceResult) -> list[Stop]:
    """Return the routers that would also block the request, after the one that blocks it.

    The quick test before the connection found them.
    """
    if service.result != NO or service.blocked != REQUEST:
        return []
    named = [name for name in service.also_blocked_by if name not in service.path]
    return [Stop(name, "", "", NO, None, "", "", after_end=True, not_probed=True) for name in named]


def _hop(hop: Hop) -> Stop:
    changes, whole = _nat(hop.nat) if hop.nat else ("", "")
    return Stop(
        hop.router, hop.in_iface or "", hop.out_iface or "", hop.result, rule_text(hop.rule), changes, whole, False
    )


def _probed(routers: Sequence[RouterResult], name: str) -> list[Stop]:
    """Return the routers of a quick run that got a probe for this service, in hop order."""
    stops = []
    ended = False
    for router in sorted(routers, key=lambda router: router.hop):
        for cell in router.services:
            if service_name(cell) == name:
                interfaces = router.in_iface or "", router.out_iface or ""
                stops.append(Stop(router.name, *interfaces, cell.result, rule_text(cell.rule), "", "", ended))
                ended = ended or cell.result != YES
    return stops


def _leg(stops: list[Stop], service: ServiceResult, side: Side) -> Leg:
    """Build the Leg for one direction, ending where the result says the packet stopped.

    If the router there shows YES, set it to NO: its rules accepted the packet, but it may have no route for it.
    """
    ended = service.ended
    if ended is None or (side == REQUEST and ended.direction == REPLY):
        return Leg(tuple(stops), YES, "", None, None)
    reason = service.reason or ""
    end = None
    if ended.direction != side:  # replies that were sent although the request did not arrive
        end = next((n for n, stop in enumerate(stops) if stop.result != YES), None)
    elif ended.hop is not None:
        end = ended.hop - 1
        if stops[end].result == YES:
            stops[end] = replace(stops[end], result=NO, rule=None)
    elif side == REPLY:
        reason = reason or "no reply arrived"
    result = service.result if end is None else stops[end].result
    return Leg(tuple(stops), result, reason, end, ended.cause)


def _nat(nat: Nat) -> tuple[str, str]:
    """Return what was translated, in short and in full."""
    whole = f"NAT {nat.before} becomes {nat.after}"
    return ", ".join(nat.changes) or whole.removeprefix("NAT "), whole


def path_groups(result: Result, paths: Sequence[ServicePath]) -> list[Group]:
    """Group the services that have the same picture, in document order.

    The pictures are the same if the routers, interfaces, outcome, NAT and blocking rules are the same.
    """
    by_look: dict[ServicePath, list[int]] = {}
    for index, one in enumerate(paths):
        by_look.setdefault(_look(one), []).append(index)
    groups = []
    for look, indices in by_look.items():
        names = fold(result.services[index] for index in indices)
        groups.append(Group(tuple(indices), names, look.result, f"{names}: {ending(look)}"))
    return groups


def _look(path: ServicePath) -> ServicePath:
    """Return the path without what its picture does not show: the service, accepting rules, and ports of NAT."""

    def bare(leg: Leg) -> Leg:
        shown = (replace(stop, nat_whole="", rule=stop.rule if stop.result != YES else None) for stop in leg.stops)
        return replace(leg, stops=tuple(shown))

    return replace(path, service="", request=bare(path.request), reply=path.reply and bare(path.reply))


def ending(path: ServicePath) -> str:
    """Return the end of a path in a few words, such as `blocked by dc-fw`, `the reply is blocked by edge` or `unknown`.

    If everything arrives, it is `request arrives` for a quick run, which does not test more, and `works in both
    directions` for a detailed run.
    """
    if path.stopped is None:
        works = "works in both directions" if path.both_ways else "request arrives"
        return {YES: works, NO: "fails", UNKNOWN: "unknown"}[path.result]
    side, leg = path.stopped
    if leg.end is not None and leg.result == NO:
        return f"{'the reply is ' if side == REPLY else ''}blocked by {leg.stops[leg.end].router}"
    reason = f": {leg.reason}" if leg.reason else ""
    if leg.result == UNKNOWN:
        return f"unknown{reason}"
    return f"{'the reply does not arrive' if side == REPLY else 'does not arrive'}{reason}"
