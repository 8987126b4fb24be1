"""Arranges the cells of an impact for readers: worst first, and similar cells together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.answers.impact.document import CHANGED, SAME, CellChange, Class, Impact
from app.answers.impact.judgement import Judgement
from app.answers.impact.words import LOCK_OUT, TITLES, fold_sources, sentence
from app.formatting import spans
from netlab.results.services import fold

LINES_SHOWN = 4
"""Maximum number of ranges of lines that an item names."""


@dataclass(frozen=True, slots=True)
class Item:
    """Cells that differ only in their source and their service: each of the sources has each of the services."""

    cells: tuple[CellChange, ...]
    unexpected: bool

    @property
    def first(self) -> CellChange:
        """The first of the cells; the others have the same answers."""
        return self.cells[0]

    @property
    def lines(self) -> str:
        """The lines of the questions in short form, such as `1-4, 6 and 20 more`."""
        ranges = spans(sorted({cell.line for cell in self.cells})).split(", ")
        more = f" and {len(ranges) - LINES_SHOWN} more" if len(ranges) > LINES_SHOWN else ""
        return ", ".join(ranges[:LINES_SHOWN]) + more

    @property
    def where(self) -> str:
        """The lines with their noun, such as `line 3` or `lines 1-4, 6`."""
        return f"line{'' if self.lines.isdigit() else 's'} {self.lines}"

    @property
    def sources(self) -> str:
        """The sources in short form."""
        return fold_sources(self.cells)

    @property
    def services(self) -> str:
        """The services in short form."""
        return fold([cell for cell in self.cells if cell.line == self.first.line])

    @property
    def sentence(self) -> str:
        """What changed, in one sentence."""
        return sentence(self.cells)


@dataclass(frozen=True, slots=True)
class Section:
    """The cells of one class. Those of management flows that may be locked out are a section, too."""

    kind: Class | None
    """None for possible lock-outs, whose cells are also in the section of their class."""
    cells: tuple[CellChange, ...]
    items: tuple[Item, ...]

    @property
    def title(self) -> str:
        """The heading, such as `lost (3 cells)`."""
        title = TITLES[self.kind] if self.kind else LOCK_OUT
        return f"{title} ({len(self.cells)} cell{'' if len(self.cells) == 1 else 's'})"


def sections(impact: Impact, judgement: Judgement | None = None) -> Iterator[Section]:
    """Yield the sections that are not empty: possible lock-outs, then the classes, worst first."""
    unexpected = {(cell.line, cell.service) for cell in judgement.unexpected} if judgement else set()
    listed: list[tuple[Class | None, tuple[CellChange, ...]]] = [(None, impact.lock_outs)]
    listed += [(kind, tuple(cell for cell in impact.cells if cell.kind == kind)) for kind in CHANGED]
    for kind, cells in [*listed, (SAME, impact.noted)]:
        if cells:
            yield Section(kind, cells, tuple(_items(cells, unexpected)))


def _items(cells: tuple[CellChange, ...], unexpected: set[tuple[int, str]]) -> Iterator[Item]:
    groups: dict[tuple[object, ...], list[CellChange]] = {}
    for cell in cells:
        key = (cell.line, cell.kind, cell.before, cell.after, (cell.line, cell.service) in unexpected)
        groups.setdefault(key, []).append(cell)
    alike: dict[tuple[object, ...], list[CellChange]] = {}
    for (_, *rest), members in groups.items():
        first = members[0]
        services = tuple(cell.service for cell in members)
        alike.setdefault((*rest, first.destination, first.source_port, services), []).extend(members)
    for (*_, marked, _, _, _), members in alike.items():
        yield Item(tuple(members), bool(marked))
