"""Brings result documents of older versions up to date: fields that were added later are computed from the others. Pure."""

from __future__ import annotations

import re

from msgspec.structs import replace

from netlab.results.document import SCHEMA, DetailedResult, DetailedServiceResult, Hop, Nat, Result

_ASSUMPTION = re.compile(
    r"; asked .+, not |; a rule there depends on more than one packet$"
    r"|quick asks OUTPUT but not INPUT|; the path beyond follows "
)
"""Caveats of version 0 that could change the answer: another router, or another packet, could have been tested."""


def upgraded(result: Result) -> Result:
    """The result with all fields of the current version."""
    if result.schema >= SCHEMA:
        return result
    depends_on = tuple(caveat for caveat in result.caveats if _ASSUMPTION.search(caveat))
    if isinstance(result, DetailedResult):
        result = replace(result, services=tuple(map(_service, result.services)))
    return replace(result, depends_on=depends_on)


def _service(service: DetailedServiceResult) -> DetailedServiceResult:
    return replace(service, hops=tuple(map(_hop, service.hops)))


def _hop(hop: Hop) -> Hop:
    return replace(hop, nat=replace(hop.nat, changes=_changes(hop.nat))) if hop.nat else hop


def _changes(nat: Nat) -> tuple[str, ...]:
    """The halves that changed, without ports that did not; version 0 had IPv4 only."""
    changes = []
    for before, after in zip(nat.before.split(" → "), nat.after.split(" → "), strict=False):
        if before != after:
            (old, old_port), (new, new_port) = before.partition(":")[::2], after.partition(":")[::2]
            changes.append(f"{old} → {new}" if old_port == new_port else f"{before} → {after}")
    return tuple(changes)
