"""Chooses some of the cells of an impact: by class, router, address and service. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from app.answers.impact.document import CHANGED, SAME, CellChange, Class, Impact
from app.answers.impact.subnets import contains, read_subnet
from ledger.errors import BadInput
from ledger.runs.services import parse_services
from netlab.results.services import spell

CLASSES: tuple[Class, ...] = (*CHANGED, SAME)
Pair = tuple[int | None, str]
"""(port, protocol)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cells to list. A cell must meet every condition; an empty condition is met by all."""

    kinds: tuple[Class, ...] = ()
    router: str = ""
    """A router on the path, or one that blocks, before or after the change."""
    subnet: str = ""
    """The source or the destination is this address, or in this subnet."""
    services: tuple[Pair, ...] = ()

    @property
    def text(self) -> str:
        """The conditions in words, such as `lost or gained, router dc-fw`; empty if there are none."""
        parts = [
            " or ".join(self.kinds),
            f"router {self.router}" if self.router else "",
            f"from or to {self.subnet}" if self.subnet else "",
            " or ".join(spell(*service) for service in self.services),
        ]
        return ", ".join(filter(None, parts))

    def includes(self, cell: CellChange) -> bool:
        """Return whether the cell meets all conditions."""
        return (
            (not self.kinds or cell.kind in self.kinds)
            and (not self.router or self.router in _routers(cell))
            and (not self.subnet or contains(self.subnet, cell.source) or contains(self.subnet, cell.destination))
            and (not self.services or (cell.port, cell.protocol) in self.services)
        )


def read_selection(kinds: Sequence[str] = (), router: str = "", address: str = "", services: str = "") -> Selection:
    """Read the conditions that a user gives. Raises BadInput, which names the field `kind`, `address` or `services`."""
    for kind in kinds:
        if kind not in CLASSES:
            raise BadInput("kind", kind, f"is not a class: use {', '.join(CLASSES)}")
    try:
        subnet = read_subnet(address) if address else ""
    except ValueError as bad:
        raise BadInput("address", address, str(bad)) from None
    asked = parse_services(services) if services else ()
    return Selection(
        tuple(kind for kind in CLASSES if kind in kinds),
        router,
        subnet,
        tuple((service.port, service.protocol) for service in asked),
    )


def chosen(impact: Impact, selection: Selection) -> Impact:
    """Return the impact with only the cells that meet the conditions. The counts stay those of all cells."""
    if not selection.text:
        return impact
    return replace(
        impact,
        cells=tuple(filter(selection.includes, impact.cells)),
        noted=tuple(filter(selection.includes, impact.noted)),
        filter=selection.text,
    )


def _routers(cell: CellChange) -> Iterable[str]:
    for answer in (cell.before, cell.after):
        yield from answer.path
        yield from answer.blocked_by
