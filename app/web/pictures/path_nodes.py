"""What stands in and beneath every box of a path picture, and beneath the picture: words and classes, no geometry. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.answers.matrix import MARKS
from app.web.answers.rule_text import router_address
from app.web.answers.ways import NO, UNKNOWN, YES, Lane, Stop, Way, ending

KIND = {YES: "pp-yes", NO: "pp-no", UNKNOWN: "pp-unknown"}


@dataclass(frozen=True)
class Note:
    """Words beneath a box, on so many lines at most; `whole` is what a pointer over them tells."""

    said: str
    whole: str
    class_: str
    lines: int
    href: str = ""


@dataclass(frozen=True)
class Node:
    """A box of the picture: a host at either end, or a router."""

    name: str
    state: str
    """The line below the name: `✓ passes`, `✕ drops`, `source`."""
    class_: str
    host: bool
    title: str
    inward: str = ""
    outward: str = ""
    notes: tuple[Note, ...] = ()
    dim: bool = False
    """Whether the packet was stopped before it."""
    ends: str = ""
    """NO or UNKNOWN where the packet ends in this router, drawn as a bar behind it."""
    lost: str = ""
    """NO or UNKNOWN where it ends on the link before this host."""
    href: str = ""


@dataclass(frozen=True)
class Told:
    """What one router did with the packet and by which rule, as a line of text beneath the picture."""

    direction: str
    router: str
    href: str
    does: str
    """`drops`, `would stop it`, `passes`."""
    result: str
    said: str
    """`policy DROP of FORWARD`, or why where no rule says it."""
    line: str
    """`iptables.rules:4`; empty when facts do not show it."""
    line_href: str


def told(way: Way) -> list[Told]:
    """Every router of every lane, in the packet's order."""
    return [
        Told(
            direction,
            stop.router,
            router_address(stop.router),
            _does(stop),
            stop.result,
            stop.rule.said if stop.rule else _unsaid(way, stop, lane.reason if n == lane.end else ""),
            stop.rule.line if stop.rule else "",
            stop.rule.href if stop.rule else "",
        )
        for direction, lane in way.lanes
        for n, stop in enumerate(lane.stops)
    ]


def _unsaid(way: Way, stop: Stop, reason: str) -> str:
    if stop.hearsay:
        return "as the quick walk before the connection found; a quick run names its rule"
    if stop.result == YES and way.both_ways:
        return "no rule: nothing filters here"
    return reason


def nodes(way: Way, lane: Lane) -> list[Node]:
    """The boxes of one lane in the direction of the packet."""
    back = lane is way.reply
    start, far = (way.destination, way.source) if back else (way.source, way.destination)
    said = "answers" if back else "source"
    first = Node(start, said, "pp-plain", True, f"{start}, {'which answers' if back else 'the source'}")
    between = [_router(stop, n == lane.end, lane.reason) for n, stop in enumerate(lane.stops)]
    return [first, *between, _far_host(far, lane, back)]


def _router(stop: Stop, end: bool, reason: str) -> Node:
    does = _does(stop)
    notes = []
    if stop.nat:
        notes.append(Note(f"NAT {stop.nat}", stop.nat_whole, "pp-nat", 3))
    if stop.result != YES and stop.rule:
        notes.append(Note(stop.rule.short, stop.rule.whole, "pp-rule", 4))
        if stop.rule.line:  # which leads to it; the words above would only be the same stop for the keyboard again
            notes.append(Note(stop.rule.line, stop.rule.whole, "pp-where", 1, stop.rule.href))
    elif end and reason:
        notes.append(Note(reason, reason, "pp-rule", 4))
    return Node(
        stop.router,
        f"{MARKS[stop.result]} {does}",
        KIND[stop.result],
        False,
        f"{stop.router} {does}" + (f": {stop.rule.whole}" if stop.rule else ""),
        stop.inward,
        stop.outward,
        tuple(notes),
        stop.after_end,
        stop.result if end else "",
        href=router_address(stop.router),
    )


def _does(stop: Stop) -> str:
    """`passes`, `drops`, `no way on`, `unknown`; behind the end of the way, `would …`."""
    if stop.result == YES:
        return "would pass" if stop.after_end else "passes"
    if stop.result == UNKNOWN:
        return "unknown"
    if stop.after_end:
        return "would stop it"
    return stop.rule.does if stop.rule else "stops it"


def _far_host(name: str, lane: Lane, back: bool) -> Node:
    words = {YES: "answered", NO: "no answer", UNKNOWN: "unknown"} if back else {}
    words = words or {YES: "reached", NO: "not reached", UNKNOWN: "unknown"}
    state = f"{MARKS[lane.result]} {words[lane.result]}"
    lost = lane.result if lane.result != YES and lane.end is None else ""
    notes = (Note(lane.reason, lane.reason, "pp-rule", 4),) if lost and lane.reason else ()
    cut_off = lane.result != YES
    kind = KIND[lane.result] if lost or not cut_off else "pp-plain"
    return Node(name, state, kind, True, f"{name}: {words[lane.result]}", notes=notes, dim=cut_off, lost=lost)


def in_words(way: Way) -> str:
    """The picture for those who do not see it: both lanes, router by router."""
    parts = [f"{way.service} from {way.source} to {way.destination}: {way.result}, {ending(way)}."]
    for direction, lane in way.lanes:
        stops = [_stop_in_words(stop) for stop in lane.stops] or ["no router on the way"]
        parts.append(
            f"{direction.capitalize()}: {'; '.join(stops)}; {_far_host('', lane, lane is way.reply).state[2:]}."
        )
    return " ".join(parts)


def _stop_in_words(stop: Stop) -> str:
    ways = [f"{word} {name}" for word, name in (("in", stop.inward), ("out", stop.outward)) if name]
    called = f"{stop.router} ({', '.join(ways)})" if ways else stop.router
    rule = f", {stop.rule.named}" if stop.rule and stop.result != YES else ""
    return f"{called} {_does(stop)}{rule}" + (f", {stop.nat_whole}" if stop.nat_whole else "")
