"""Determines where and why a service failed: on the way to the far host, or on the way of its reply. Pure.

The bench stores this End as a field of each service. `older` computes it for documents written without the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from netlab.results.document import (
    NO,
    REPLY,
    REQUEST,
    UNKNOWN,
    YES,
    Cause,
    DetailedServiceResult,
    End,
    Hop,
    Outcome,
    Side,
    Verdict,
)


class Probe(NamedTuple):
    """One router of a quick run. `by_rule` is True if a rule was found or can have caused the NO."""

    router: str
    result: Verdict
    by_rule: bool


class Probed(Protocol):
    """What `quick_end` reads of a router: the fields of Probe."""

    @property
    def router(self) -> str:
        """Name of the router."""

    @property
    def result(self) -> Verdict:
        """Its result for the service."""

    @property
    def by_rule(self) -> bool:
        """Whether a rule was found or can have caused the NO."""


def quick_end(result: Verdict, probes: Iterable[Probed], *, looped: bool, impossible: bool) -> End | None:
    """Return the End of one service of a quick run, or None if it works. `probes` are its routers in path order."""
    if result == YES:
        return None
    lost = Cause.LOOP if looped else Cause.NO_HOST if impossible else Cause.ROUTE
    for hop, probe in enumerate(probes, start=1):
        if probe.result != YES:
            cause = Cause.UNKNOWN if probe.result == UNKNOWN else Cause.RULE if probe.by_rule else lost
            return End(REQUEST, probe.router, hop, Cause.LOOP if looped and not probe.by_rule else cause)
    return End(REQUEST, None, None, lost if looped or impossible or result == NO else Cause.UNKNOWN)


def detailed_end(service: DetailedServiceResult, *, looped: bool, impossible: bool) -> End | None:
    """Return the End of one service of a detailed run, or None if it works. All other fields of `service` are set."""
    if service.result == YES:
        return None
    lost = Cause.LOOP if looped else Cause.NO_HOST if impossible else Cause.ROUTE
    for side in (REQUEST, REPLY):
        if end := _end_on(side, [hop for hop in service.hops if hop.direction == side], service, lost):
            return end
    raise AssertionError("the loop ends on the reply at the latest")


def _end_on(side: Side, hops: Sequence[Hop], service: DetailedServiceResult, lost: Cause) -> End | None:
    """Return the End on this side, or None if the request arrived, so that the reply side must be checked."""
    for number, hop in enumerate(hops, start=1):
        if hop.result != YES:
            stops = hop.rule is not None and hop.rule.verdict != "ACCEPT"
            cause = Cause.RULE if stops else Cause.NO_HOST if lost is Cause.NO_HOST else Cause.ROUTE
            return End(side, hop.router, number, cause)
    if service.blocked == side and hops:
        if hops[-1].router in service.blocked_by:  # its rules accept the packet, but it has no route
            return End(side, hops[-1].router, len(hops), lost)
        return End(side, None, None, lost)
    if side == REQUEST and (service.blocked == REPLY or _arrived(service)):
        return None
    if service.result == NO:
        return End(side, None, None, Cause.NO_REPLY if service.blocked == REPLY else lost)
    if service.refused_by:
        return End(side, None, None, Cause.REFUSED)
    return End(side, None, None, Cause.NO_REPLY if service.outcome else Cause.UNKNOWN)


def _arrived(service: DetailedServiceResult) -> bool:
    """Whether the request of a failed service reached the far host: the host refused it or sent a reply."""
    return service.outcome is Outcome.REFUSED or any(hop.direction == REPLY for hop in service.hops)
