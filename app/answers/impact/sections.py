"""Arranges the cells of an impact for readers: worst first, and similar cells of one question together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.answers.impact.document import CHANGED, SAME, CellChange, Class, Impact
from app.answers.impact.judgement import Judgement
from app.answers.impact.words import LOCK_OUT, TITLES, sentence
from netlab.results.services import fold


@dataclass(frozen=True, slots=True)
class Item:
    """Cells of one question that differ only in their service."""

    cells: tuple[CellChange, ...]
    unexpected: bool

    @property
    def first(self) -> CellChange:
        """The first of the cells; the others have the same answers."""
        return self.cells[0]

    @property
    def services(self) -> str:
        """The services in short form."""
        return fold(self.cells)

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
    for (*_, marked), members in groups.items():
        yield Item(tuple(members), bool(marked))
