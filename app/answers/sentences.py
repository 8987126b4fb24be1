"""A result in plain sentences, worst first. The page, the command line, the API and tickets use the same text. Pure.

    result ──▶ service_paths ──▶ Sentence(result, parts): text, or text that links to a router or a rule

The YES of a quick run always says that only the forward path was tested, so that the text stays correct when copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from app.answers.paths import Leg, ServicePath, Stop, service_paths
from app.answers.rule_text import router_address
from netlab.results.document import (
    NO,
    REPLY,
    REQUEST,
    UNKNOWN,
    WORST_FIRST,
    YES,
    Cause,
    DetailedServiceResult,
    Outcome,
    Result,
    ServiceResult,
    Side,
    Verdict,
)
from netlab.results.services import fold

FORWARD_ONLY = "return path not tested"
Part = tuple[str, str]
"""Text, and the page to which it links ("": no link)."""
Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement about some services."""

    result: Verdict
    parts: Parts

    @property
    def text(self) -> str:
        """The whole sentence."""
        return "".join(words for words, _ in self.parts)


def sentences(result: Result, paths: Sequence[ServicePath] | None = None) -> list[Sentence]:
    """Return one sentence for all services with the same answer. Pass `paths` if they are already known."""
    paths = service_paths(result) if paths is None else paths
    endings = [tuple(_ending(service, path)) for service, path in zip(result.services, paths, strict=True)]
    return _grouped(result, endings)


def _grouped(result: Result, endings: Sequence[Parts]) -> list[Sentence]:
    groups: dict[tuple[Verdict, Parts], list[ServiceResult]] = {}
    for service, ending in zip(result.services, endings, strict=True):
        groups.setdefault((service.result, ending), []).append(service)
    made = [_sentence(result, verdict, ending, services) for (verdict, ending), services in groups.items()]
    return sorted(made, key=lambda sentence: WORST_FIRST.index(sentence.result))


def published(result: Result, paths: Sequence[ServicePath] | None = None) -> Result:
    """Return the result with its sentences filled in: all of them, and the one for each service.

    `paths` is as in `sentences`.
    """
    paths = service_paths(result) if paths is None else paths
    endings = [tuple(_ending(service, path)) for service, path in zip(result.services, paths, strict=True)]
    services = tuple(
        msgspec.structs.replace(service, sentence=_sentence(result, service.result, ending, [service]).text)
        for service, ending in zip(result.services, endings, strict=True)
    )
    texts = tuple(sentence.text for sentence in _grouped(result, endings))
    return msgspec.structs.replace(result, services=services, sentences=texts)


def summary(result: Result) -> str:
    """Return an addition to the verdict, such as `1 of 3 blocked`, or `forward path` for a quick run's YES.

    Often empty.
    """
    results: list[str] = [service.result for service in result.services]
    if result.verdict == YES:
        return "" if _detailed(result) else "forward path"
    counts = [
        f"{results.count(verdict)} of {len(results)} {words}"
        for verdict, words in ((NO, "blocked"), (UNKNOWN, "unknown"))
        if 0 < results.count(verdict) < len(results)
    ]
    return ", ".join(counts)


def blocked_services(result: Result) -> str:
    """Return the blocked services in the form's syntax. A detailed run would explain these."""
    return fold(service for service in result.services if service.result == NO)


def _detailed(result: Result) -> bool:
    return any(isinstance(service, DetailedServiceResult) for service in result.services)


def _sentence(result: Result, verdict: Verdict, ending: Parts, services: Sequence[ServiceResult]) -> Sentence:
    start = f"{fold(services)} from {result.source} to {result.destination} "
    return Sentence(verdict, ((start, ""), *_numbered(ending, len(services)), (f"{_latency(services)}.", "")))


def _numbered(ending: Parts, count: int) -> Parts:
    """Return the ending with its verb in singular or plural."""
    (words, href), *more = ending
    for one, several in (("is", "are"), ("works", "work"), ("fails", "fail"), ("has", "have")) if count > 1 else ():
        words = re.sub(rf"^{one}\b", several, words)
    return ((words, href), *more)


def _ending(service: ServiceResult, path: ServicePath) -> Iterable[Part]:
    """Yield the rest of the sentence after services and addresses. The first word is a verb."""
    if path.stopped is None and path.result == YES:
        yield from _allowed(path)
        return
    side, leg = path.stopped or (REQUEST, path.request)
    if path.result == UNKNOWN:
        yield f"has an unknown result: {_why_unknown(service, leg)}", ""
    elif leg.end is None or leg.result != NO or leg.cause is Cause.LOOP:
        yield f"fails: {_lost(service, side, leg)}", ""
    elif side == REPLY:
        stop = leg.stops[leg.end]
        verb = "rejected" if stop.rule and stop.rule.verdict == "REJECT" else "dropped" if stop.rule else "stopped"
        yield f"fails: the request arrives, but the reply is {verb} by ", ""
        yield from _by(stop, leg.reason)
    else:
        yield from _blocked(path, leg)


def _allowed(path: ServicePath) -> Iterable[Part]:
    routers = [part for stop in path.request.stops for part in ((", ", ""), (stop.router, router_address(stop.router)))]
    if path.both_ways:
        yield (
            "works in both directions via " if routers else "works in both directions (there is no router in between)",
            "",
        )
        yield from routers[1:]
        return
    yield "is allowed on the forward path via " if routers else "is allowed: there is no router in between", ""
    yield from routers[1:]
    yield f" ({FORWARD_ONLY})", ""


def _blocked(path: ServicePath, leg: Leg) -> Iterable[Part]:
    """Yield who blocks the service.

    For a quick run, these are all routers that it found. For a detailed run, it is the first one, and then those
    further along the path.
    """
    stops = [stop for stop in leg.stops if stop.result == NO]
    probed = [stop for stop in stops if not stop.not_probed]
    rejected = probed[0].rule is not None and probed[0].rule.verdict == "REJECT"
    yield f"is {'rejected' if rejected else 'blocked'} by ", ""
    for n, stop in enumerate(probed):
        if n:
            yield ", and by ", ""
        yield from _by(stop, leg.reason if n == 0 else "")
    for n, stop in enumerate(stops[len(probed) :]):
        yield ", " if n else "; ", ""
        yield stop.router, router_address(stop.router)
    if path.both_ways and len(stops) > len(probed):
        yield ", further along the path, would also block it", ""


def _by(stop: Stop, reason: str) -> Iterable[Part]:
    """Yield the router and its rule, such as `dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:4)`."""
    yield stop.router, router_address(stop.router)
    if stop.rule is None:
        yield f": {reason.removeprefix(f'{stop.router}: ')}" if reason else "", ""
        return
    yield f", {stop.rule.without_place}", ""
    if stop.rule.where:
        yield " (", ""
        yield stop.rule.where, stop.rule.href
        yield ")", ""


def _lost(service: ServiceResult, side: Side, leg: Leg) -> str:
    reason = leg.reason or service.reason or ""
    if side == REPLY:
        return f"the reply does not arrive: {reason}" if reason else "the reply does not arrive"
    return reason or "it does not arrive"


def _why_unknown(service: ServiceResult, leg: Leg) -> str:
    if service.reason:
        return service.reason
    if isinstance(service, DetailedServiceResult):
        if service.refused_by:
            return f"{service.refused_by} refuses the connection, but no router stopped a packet"
        if service.outcome not in (None, Outcome.CONNECTED):
            return "no reply arrived, but no router stopped a packet"
    return leg.reason or "no reason was found"


def _latency(services: Iterable[ServiceResult]) -> str:
    """Return the latency, such as `, in 0.5 ms` or `, in 0.4 to 0.5 ms`; empty without a connection."""
    latencies = [
        service.latency_ms
        for service in services
        if isinstance(service, DetailedServiceResult) and service.result == YES and service.latency_ms
    ]
    if not latencies:
        return ""
    least, most = f"{min(latencies):.1f}", f"{max(latencies):.1f}"
    return f", in {least} ms" if least == most else f", in {least} to {most} ms"
