"""The way of one service, there and back, as pictures draw it: stops in order, where it ends and why. Pure.

result document ──▶ way(document, index) ──▶ Way(request, reply): Lane: Stop, Stop …, end
                ──▶ path_groups(document) ──▶ services whose ways look the same, one picture for each group

Matrix, pictures, sentences and tables are all made of ways, so that none of them contradicts another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.formatting import fold, service_name
from app.web.answers.rule_text import RuleText, rule_text

YES, NO, UNKNOWN = "YES", "NO", "UNKNOWN"


@dataclass(frozen=True)
class Stop:
    """One router; inward or outward is "" where the packet begins or ends in the router."""

    router: str
    in_iface: str
    out_iface: str
    result: str
    rule: RuleText | None
    """What decided; pictures show it where the result is not YES."""
    nat: str
    """What the router changed, in few words: `10.1.10.20 → 203.0.113.2`; empty when nothing."""
    nat_whole: str
    after_end: bool
    """Whether the packet had been stopped before; a quick run asks the routers further on all the same."""
    not_probed: bool = False
    """Whether a detailed run only names it as one that would stop the packet too: by which way and rule, it did not ask."""

    @property
    def through(self) -> str:
        """`eth0 → eth1`, `eth0 → stopped here`, `eth0 → itself`, `further on` where no more is known."""
        if self.not_probed:
            return "further on"
        ended = {YES: "itself", NO: "stopped here"}.get(self.result, "ends here")
        return f"{self.in_iface or 'itself'} → {self.out_iface or ended}"


@dataclass(frozen=True)
class Leg:
    """One direction; `result` is YES where the packet reaches the far host."""

    stops: tuple[Stop, ...]
    result: str
    reason: str
    """Why it does not arrive, where no rule says it."""

    @property
    def passed(self) -> list[str]:
        """The routers it went through, or was asked of, in order."""
        return [stop.router for stop in self.stops if not stop.not_probed]

    @property
    def also(self) -> list[str]:
        """Routers further on that would stop it too."""
        return list(dict.fromkeys(stop.router for stop in self.stops if stop.after_end and stop.result == NO))

    @property
    def end(self) -> int | None:
        """Index of the router that ends it; None when it arrives, or gets lost between the last router and the host."""
        return next((n for n, stop in enumerate(self.stops) if stop.result != YES and not stop.after_end), None)


@dataclass(frozen=True)
class Way:
    """One service from source to destination; `reply` is None where there is none to show."""

    service: str
    source: str
    destination: str
    result: str
    request: Leg
    reply: Leg | None
    both_ways: bool
    """Whether it was asked of the reply too; a quick run does not."""

    @property
    def legs(self) -> list[tuple[str, Leg]]:
        """`request` and, where there is one, `reply`."""
        return [("request", self.request), *([("reply", self.reply)] if self.reply else [])]

    @property
    def stopped(self) -> tuple[str, Leg] | None:
        """The direction that does not arrive; None when all that was looked at does."""
        return next(((direction, leg) for direction, leg in self.legs if leg.result != YES), None)


@dataclass(frozen=True)
class Group:
    """Services whose pictures are the same."""

    indices: tuple[int, ...]
    """Of document["services"]; the first is the one to draw."""
    services: str
    """`22/tcp, 8000-8003/tcp`."""
    result: str
    caption: str
    """`22/tcp, icmp: stopped by dc-fw`."""


def way(document: Mapping[str, Any], index: int) -> Way:
    """The way of document["services"][index]; IndexError where there is no such service."""
    service = document["services"][index]
    hops = service.get("hops") or []
    detailed = document["mode"] == "detailed"
    if detailed:
        there = [_hop(hop) for hop in hops if hop["direction"] == "request"]
        there += _further_on(service)
    else:
        there = _asked(document["routers"], service_name(service))
    request = _leg(there, service, "request")
    reply = None
    back = [_hop(hop) for hop in hops if hop["direction"] == "reply"]
    if back or (detailed and request.result == YES):
        reply = _leg(back, service, "reply")
    ends = document["source"], document["destination"]
    return Way(service_name(service), *ends, service["result"], request, reply, detailed)


def every_way(document: Mapping[str, Any]) -> list[Way]:
    """The ways of all services, in the document's order."""
    return [way(document, index) for index in range(len(document["services"]))]


def _further_on(service: Mapping[str, Any]) -> list[Stop]:
    """Routers behind the one that stops the request, which the quick walk before the connection found to say no as well."""
    if service["result"] != NO or service.get("blocked") != "request":
        return []
    named = [name for name in service.get("also_blocked_by") or [] if name not in service["path"]]
    return [Stop(name, "", "", NO, None, "", "", after_end=True, not_probed=True) for name in named]


def _hop(hop: Mapping[str, Any]) -> Stop:
    few, whole = _nat(hop["nat"]) if hop["nat"] else ("", "")
    rule = rule_text(hop["rule"])
    return Stop(hop["router"], hop["in"] or "", hop["out"] or "", hop["result"], rule, few, whole, False)


def _asked(routers: Sequence[Mapping[str, Any]], name: str) -> list[Stop]:
    """The routers of a quick run that were asked about this service, in hop order."""
    stops = []
    ended = False
    for router in sorted(routers, key=lambda router: int(router["hop"])):
        for cell in router["services"]:
            if service_name(cell) == name:
                rule = rule_text(cell.get("rule"))
                ways = router["in"] or "", router["out"] or ""
                stops.append(Stop(router["name"], *ways, cell["result"], rule, "", "", ended))
                ended = ended or cell["result"] != YES
    return stops


def _leg(stops: list[Stop], service: Mapping[str, Any], direction: str) -> Leg:
    """The lane with its end: a document says YES of a router whose rules let through what then finds no way on."""
    reason = str(service.get("reason") or "")
    blocked = service.get("blocked")
    passed = [stop for stop in stops if not stop.not_probed]
    if blocked == direction and passed and all(stop.result == YES for stop in passed):
        if passed[-1].router in service["blocked_by"]:
            passed[-1] = replace(passed[-1], result=NO, rule=None)
            stops[: len(passed)] = passed
        return Leg(tuple(stops), NO, reason)
    if any(stop.result != YES for stop in stops):
        return Leg(tuple(stops), next(stop.result for stop in stops if stop.result != YES), reason)
    if service["result"] == YES or (direction == "request" and (blocked == "reply" or _answered(service))):
        return Leg(tuple(stops), YES, "")
    return Leg(tuple(stops), service["result"], reason or ("no answer came" if direction == "reply" else ""))


def _answered(service: Mapping[str, Any]) -> bool:
    """Whether the request got to the far host though the service does not work: it refused, or a reply set out."""
    sent_back = any(hop["direction"] == "reply" for hop in service.get("hops") or [])
    return sent_back or service.get("outcome") == "REFUSED"


def _nat(nat: Mapping[str, str]) -> tuple[str, str]:
    """The half or halves that changed, without ports that did not; and all of it."""
    changes = []
    for before, after in zip(nat["before"].split(" → "), nat["after"].split(" → "), strict=True):
        if before != after:
            (was, port), (now, new) = _end(before), _end(after)
            changes.append(f"{was} → {now}" if port == new else f"{before} → {after}")
    return ", ".join(changes), f"NAT {nat['before']} becomes {nat['after']}"


def _end(text: str) -> tuple[str, str]:
    address, _, port = text.partition(":")
    return address, port


def path_groups(document: Mapping[str, Any]) -> list[Group]:
    """Services by what their pictures show, in the order of the document: routers, interfaces, outcome, NAT, what stops."""
    found: dict[Way, list[int]] = {}
    for index, one in enumerate(every_way(document)):
        found.setdefault(_look(one), []).append(index)
    groups = []
    for look, indices in found.items():
        names = fold(document["services"][index] for index in indices)
        groups.append(Group(tuple(indices), names, look.result, f"{names}: {ending(look)}"))
    return groups


def _look(found: Way) -> Way:
    """The way without what its picture does not show: the service, the rules that let through, ports of NAT."""

    def bare(leg: Leg) -> Leg:
        shown = (replace(stop, nat_whole="", rule=stop.rule if stop.result != YES else None) for stop in leg.stops)
        return replace(leg, stops=tuple(shown))

    return replace(found, service="", request=bare(found.request), reply=found.reply and bare(found.reply))


def ending(found: Way) -> str:
    """How it ends in a few words: `stopped by dc-fw`, `the reply is stopped by edge`, `cannot be told`.

    `request arrives` of a quick run, which looks no further; `works, there and back` of a detailed one.
    """
    if found.stopped is None:
        whole = "works, there and back" if found.both_ways else "request arrives"
        return {YES: whole, NO: "does not work", UNKNOWN: "cannot be told"}[found.result]
    direction, leg = found.stopped
    what = "the reply is " if direction == "reply" else ""
    if leg.end is not None and leg.result == NO:
        return f"{what}stopped by {leg.stops[leg.end].router}"
    why = f": {leg.reason}" if leg.reason else ""
    if leg.result == UNKNOWN:
        return f"cannot be told{why}"
    return f"does not {'come back' if what else 'arrive'}{why}"
