"""An answer in plain sentences, worst first, for a page and for a ticket; quick and detailed in the same words. Pure.

    document ──▶ ways ──▶ Sentence(result, parts): text, or text that leads to a router or a rule

A quick run's YES says that only the way there was looked at, wherever it is copied to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.formatting import fold
from app.web.answers.rule_text import router_address
from app.web.answers.ways import NO, UNKNOWN, YES, Leg, Stop, Way, every_way

WORST_FIRST = (NO, UNKNOWN, YES)
ONE_WAY = "the way there only; replies were not looked at"
Part = tuple[str, str]
"""Words, and the page they lead to or ""."""
Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing to tell a colleague: of these services this is so."""

    result: str
    parts: Parts

    @property
    def text(self) -> str:
        """The whole sentence."""
        return "".join(words for words, _ in self.parts)


def sentences(document: Mapping[str, Any]) -> list[Sentence]:
    """One for all services of which the same is to be said."""
    alike: dict[tuple[str, Parts], list[Mapping[str, Any]]] = {}
    for service, way in zip(document["services"], every_way(document), strict=True):
        alike.setdefault((way.result, tuple(_ending(service, way))), []).append(service)
    said = [
        Sentence(
            result,
            (
                (f"{fold(services)} from {document['source']} to {document['destination']} ", ""),
                *_numbered(ending, len(services)),
                (f"{_took(services)}.", ""),
            ),
        )
        for (result, ending), services in alike.items()
    ]
    return sorted(said, key=lambda sentence: WORST_FIRST.index(sentence.result))


def summary(document: Mapping[str, Any]) -> str:
    """What the verdict alone does not say: `1 of 3 blocked`; `one way` for a quick run's YES; often nothing."""
    results = [service["result"] for service in document["services"]]
    if document["verdict"] == YES:
        return "one way" if document["mode"] == "quick" else ""
    counted = [
        f"{results.count(result)} of {len(results)} {words}"
        for result, words in ((NO, "blocked"), (UNKNOWN, "cannot be told"))
        if 0 < results.count(result) < len(results)
    ]
    return ", ".join(counted)


def no_services(document: Mapping[str, Any]) -> str:
    """The services that were not let through, as the form takes them; what a detailed run would explain."""
    return fold(service for service in document["services"] if service["result"] == NO)


def _numbered(ending: Parts, count: int) -> Parts:
    """The ending with its verb for one service or for many."""
    (words, href), *more = ending
    for one, many in (("is", "are"), ("works", "work"), ("does", "do")) if count > 1 else ():
        words = re.sub(rf"^{one}\b", many, words)
    return ((words, href), *more)


def _ending(service: Mapping[str, Any], way: Way) -> Iterable[Part]:
    """What follows the services and their ends; the first word is a verb."""
    if way.stopped is None and way.result == YES:
        yield from _arrives(service, way)
        return
    direction, leg = way.stopped or ("request", way.request)
    if way.result == UNKNOWN:
        yield f"cannot be told: {_nobody_says(service, leg)}", ""
    elif leg.end is None or leg.result != NO:
        yield f"does not work: {_lost(service, direction, leg)}", ""
    elif direction == "reply":
        stop = leg.stops[leg.end]
        verb = "rejected" if stop.rule and stop.rule.verdict == "REJECT" else "dropped" if stop.rule else "stopped"
        yield f"does not work: the request arrives, the reply is {verb} by ", ""
        yield from _by(stop, leg.reason)
    else:
        yield from _blocked(way, leg)


def _arrives(service: Mapping[str, Any], way: Way) -> Iterable[Part]:
    through = [part for stop in way.request.stops for part in ((", ", ""), (stop.router, router_address(stop.router)))]
    if not way.both_ways:
        yield "can get there: let through by " if through else "can get there: no router is between", ""
        yield from through[1:]
        yield f" ({ONE_WAY})", ""
        return
    yield f"works, there and back: {'connected' if service['protocol'] == 'tcp' else 'answered'}", ""
    yield " through " if through else " on their own segment", ""
    yield from through[1:]


def _blocked(way: Way, leg: Leg) -> Iterable[Part]:
    """By every router a quick run found; by the one that did, and by whom further on, in a detailed one."""
    stops = [stop for stop in leg.stops if stop.result == NO]
    passed = [stop for stop in stops if not stop.not_probed]
    rejected = passed[0].rule is not None and passed[0].rule.verdict == "REJECT"
    yield f"is {'rejected' if rejected else 'blocked'} by ", ""
    for n, stop in enumerate(passed):
        if n:
            yield ", and by ", ""
        yield from _by(stop, leg.reason if n == 0 else "")
    for n, stop in enumerate(stops[len(passed) :]):
        yield ", " if n else "; further on ", ""
        yield stop.router, router_address(stop.router)
    if way.both_ways and len(stops) > len(passed):
        yield " would stop it too", ""


def _by(stop: Stop, reason: str) -> Iterable[Part]:
    """`dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:4)`."""
    yield stop.router, router_address(stop.router)
    if stop.rule is None:
        yield f": {reason}" if reason else "", ""
        return
    yield f", {stop.rule.said}", ""
    if stop.rule.where:
        yield " (", ""
        yield stop.rule.where, stop.rule.href
        yield ")", ""


def _lost(service: Mapping[str, Any], direction: str, leg: Leg) -> str:
    where = "its reply does not come back" if direction == "reply" else "it does not arrive"
    reason = leg.reason or str(service.get("reason") or "")
    return f"{where}: {reason}" if reason else where


def _nobody_says(service: Mapping[str, Any], leg: Leg) -> str:
    if service.get("reason"):
        return str(service["reason"])
    if service.get("refused_by"):
        return f"{service['refused_by']} refuses it, though no router stopped anything"
    if service.get("outcome"):
        return "no answer came, though no router stopped anything"
    return leg.reason or "no reason was found"


def _took(services: Iterable[Mapping[str, Any]]) -> str:
    """` in 0.5 ms`, ` in 0.4 to 0.5 ms`; empty for what was not answered."""
    took = [service["latency_ms"] for service in services if service["result"] == YES and service.get("latency_ms")]
    if not took:
        return ""
    least, most = f"{min(took):.1f}", f"{max(took):.1f}"
    return f" in {least} ms" if least == most else f" in {least} to {most} ms"
