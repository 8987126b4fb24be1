"""Texts and CSS classes of every box of a path picture, and the lines of text below the picture. No geometry. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.answers.matrix import MARKS
from app.answers.paths import Leg, ServicePath, Stop, ending
from app.answers.rule_text import router_address
from netlab.results.document import NO, UNKNOWN, YES

KIND = {YES: "pp-yes", NO: "pp-no", UNKNOWN: "pp-unknown"}


@dataclass(frozen=True)
class Note:
    """Text below a box, with a maximum number of lines. `whole` is its tooltip."""

    text: str
    whole: str
    class_: str
    lines: int
    href: str = ""


@dataclass(frozen=True)
class Node:
    """A box of the picture: a host at either end, or a router."""

    name: str
    state: str
    """The line below the name, such as `✓ passes`, `✕ drops` or `source`."""
    class_: str
    host: bool
    title: str
    in_iface: str = ""
    out_iface: str = ""
    notes: tuple[Note, ...] = ()
    dim: bool = False
    """Whether the packet was blocked before it reached this node."""
    ends: str = ""
    """NO or UNKNOWN if the packet ends in this router, otherwise empty. It is drawn as a bar behind the router."""
    lost: str = ""
    """NO or UNKNOWN if the packet ends on the link before this host; otherwise empty."""
    href: str = ""


@dataclass(frozen=True)
class RouterAction:
    """What one router did with the packet, and by which rule, as a line of text below the picture."""

    direction: str
    router: str
    href: str
    does: str
    """What it did, such as `drops`, `would block` or `passes`."""
    result: str
    text: str
    """The rule, such as `policy DROP of FORWARD`, or the reason if no rule is named."""
    line: str
    """File and line, such as `iptables.rules:4`; empty if the facts do not show it."""
    line_href: str


def router_actions(path: ServicePath) -> list[RouterAction]:
    """Return the actions of every router of every leg, in the packet's order."""
    return [
        RouterAction(
            direction,
            stop.router,
            router_address(stop.router),
            _does(stop),
            stop.result,
            stop.rule.without_place if stop.rule else _without_rule(path, stop, leg.reason if n == leg.end else ""),
            stop.rule.line if stop.rule else "",
            stop.rule.href if stop.rule else "",
        )
        for direction, leg in path.legs
        for n, stop in enumerate(leg.stops)
    ]


def _without_rule(path: ServicePath, stop: Stop, reason: str) -> str:
    if stop.not_probed:
        return "found by the quick check within this run, without its rule; run a quick test to see the rule"
    if stop.result == YES and path.both_ways:
        return "no rule: nothing filters here"
    return reason


def nodes(path: ServicePath, leg: Leg) -> list[Node]:
    """Return the boxes of one leg in the direction of the packet."""
    back = leg is path.reply
    start, far = (path.destination, path.source) if back else (path.source, path.destination)
    role = "answers" if back else "source"
    first = Node(start, role, "pp-plain", True, f"{start}, {'which answers' if back else 'the source'}")
    between = [_router(stop, n == leg.end, leg.reason) for n, stop in enumerate(leg.stops)]
    return [first, *between, _far_host(far, leg, back)]


def _router(stop: Stop, end: bool, reason: str) -> Node:
    does = _does(stop)
    notes = []
    if stop.nat:
        notes.append(Note(f"NAT {stop.nat}", stop.nat_whole, "pp-nat", 3))
    if stop.result != YES and stop.rule:
        notes.append(Note(stop.rule.short, stop.rule.whole, "pp-rule", 4))
        if stop.rule.line:  # only this text is a link, so that the Tab key stops here only once
            notes.append(Note(stop.rule.line, stop.rule.whole, "pp-where", 1, stop.rule.href))
    elif end and reason:
        notes.append(Note(reason, reason, "pp-rule", 4))
    return Node(
        stop.router,
        f"{MARKS[stop.result]} {does}",
        KIND[stop.result],
        False,
        f"{stop.router} {does}" + (f": {stop.rule.whole}" if stop.rule else ""),
        stop.in_iface,
        stop.out_iface,
        tuple(notes),
        stop.after_end,
        stop.result if end else "",
        href=router_address(stop.router),
    )


def _does(stop: Stop) -> str:
    """Return what a router does, such as `passes`, `drops`, `stops it` or `unknown`.

    For a router after the end of the path it is `would pass` or `would block`.
    """
    if stop.result == YES:
        return "would pass" if stop.after_end else "passes"
    if stop.result == UNKNOWN:
        return "unknown"
    if stop.after_end:
        return "would block"
    return stop.rule.does if stop.rule else "stops it"


def _far_host(name: str, leg: Leg, back: bool) -> Node:
    words = {YES: "answered", NO: "no answer", UNKNOWN: "unknown"} if back else {}
    words = words or {YES: "reached", NO: "not reached", UNKNOWN: "unknown"}
    state = f"{MARKS[leg.result]} {words[leg.result]}"
    lost = leg.result if leg.result != YES and leg.end is None else ""
    notes = (Note(leg.reason, leg.reason, "pp-rule", 4),) if lost and leg.reason else ()
    cut_off = leg.result != YES
    kind = KIND[leg.result] if lost or not cut_off else "pp-plain"
    return Node(name, state, kind, True, f"{name}: {words[leg.result]}", notes=notes, dim=cut_off, lost=lost)


def in_words(path: ServicePath) -> str:
    """Return the picture as text for screen readers: both legs, router by router."""
    parts = [f"{path.service} from {path.source} to {path.destination}: {path.result}, {ending(path)}."]
    for direction, leg in path.legs:
        stops = [_stop_in_words(stop) for stop in leg.stops] or ["no router on the way"]
        parts.append(
            f"{direction.capitalize()}: {'; '.join(stops)}; {_far_host('', leg, leg is path.reply).state[2:]}."
        )
    return " ".join(parts)


def _stop_in_words(stop: Stop) -> str:
    ways = [f"{word} {name}" for word, name in (("in", stop.in_iface), ("out", stop.out_iface)) if name]
    called = f"{stop.router} ({', '.join(ways)})" if ways else stop.router
    rule = f", {stop.rule.named}" if stop.rule and stop.result != YES else ""
    return f"{called} {_does(stop)}{rule}" + (f", {stop.nat_whole}" if stop.nat_whole else "")
