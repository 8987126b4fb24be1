"""Upgrades result documents of older versions: computes fields that were added later from the other fields. Pure."""

from __future__ import annotations

import re

from msgspec.structs import replace

from netlab.results.document import SCHEMA, DetailedResult, DetailedServiceResult, Hop, Nat, Result, ServiceResult
from netlab.results.ends import Probe, detailed_end, quick_end
from netlab.results.services import service_name

_ASSUMPTION = re.compile(
    r"; asked .+, not |; a rule there depends on more than one packet$"
    r"|quick asks OUTPUT but not INPUT|; the path beyond follows "
)
"""Matches caveats of version 0 that could change the answer, because another router or packet could have been tested.
"""


def upgraded(result: Result) -> Result:
    """Return the result with all fields of the current version."""
    if result.schema >= SCHEMA:
        return result
    depends_on = tuple(caveat for caveat in result.caveats if _ASSUMPTION.search(caveat))
    if isinstance(result, DetailedResult):
        return replace(result, services=tuple(map(_detailed, result.services)), depends_on=depends_on)
    probes: dict[str, list[Probe]] = {}
    for router in sorted(result.routers, key=lambda router: router.hop):
        for cell in router.services:
            probes.setdefault(service_name(cell), []).append(Probe(router.name, cell.result, cell.rule is not None))
    services = tuple(_quick(service, probes.get(service_name(service), [])) for service in result.services)
    return replace(result, services=services, depends_on=depends_on)


def _quick(service: ServiceResult, probes: list[Probe]) -> ServiceResult:
    by_rule = [probe._replace(by_rule=probe.by_rule or not service.reason) for probe in probes]
    looped, reason = _loop(service.reason)
    impossible = "is no host" in (service.reason or "")
    return replace(
        service, reason=reason, ended=quick_end(service.result, by_rule, looped=looped, impossible=impossible)
    )


def _detailed(service: DetailedServiceResult) -> DetailedServiceResult:
    looped, reason = _loop(service.reason)
    service = replace(service, reason=reason, hops=tuple(map(_hop, service.hops)))
    impossible = "is no host" in (service.reason or "")
    return replace(service, ended=detailed_end(service, looped=looped, impossible=impossible))


def _loop(reason: str | None) -> tuple[bool, str | None]:
    """Return (whether a reason of version 0 names a loop, the reason in the current wording)."""
    if not reason or not reason.startswith(("loop: ", "routing loop ")):
        return False, reason
    return True, reason.replace("loop: ", "routing loop ", 1) if reason.startswith("loop: ") else reason


def _hop(hop: Hop) -> Hop:
    return replace(hop, nat=replace(hop.nat, changes=_changes(hop.nat))) if hop.nat else hop


def _changes(nat: Nat) -> tuple[str, ...]:
    """Return the parts that changed, as `before → after`, without ports that are the same. Version 0 had IPv4 only."""
    changes = []
    for before, after in zip(nat.before.split(" → "), nat.after.split(" → "), strict=False):
        if before != after:
            (old, old_port), (new, new_port) = before.partition(":")[::2], after.partition(":")[::2]
            changes.append(f"{old} → {new}" if old_port == new_port else f"{before} → {after}")
    return tuple(changes)
