"""The cells of an impact as CSV: one row for each listed cell. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.answers.impact.document import CellAnswer, CellChange, Impact
from app.answers.rule_text import rule_text
from app.web.forms.spreadsheet import row

SIDE: Final = ("result", "path", "blocked_by", "rule", "file", "file_line", "reason", "depends_on")
COLUMNS: Final = (
    *("class", "line", "source", "source_port", "destination", "service", "management", "lock_out"),
    *(f"{name}_{side}" for side in ("before", "after") for name in SIDE),
    "sentence",
)


def impact_csv(impact: Impact) -> str:
    """Return the changed cells, then the unchanged ones that differ otherwise, as CSV with COLUMNS as the header."""
    return "".join([row(COLUMNS), *(row(_cells(cell)) for cell in (*impact.cells, *impact.noted))])


def _cells(cell: CellChange) -> Iterator[object]:
    yield from (cell.kind, cell.line, cell.source, cell.source_port, cell.destination, cell.service)
    yield from ("yes" if cell.guarded else "no", "yes" if cell.lock_out else "no")
    yield from _side(cell.before)
    yield from _side(cell.after)
    yield cell.sentence


def _side(answer: CellAnswer) -> Iterator[object]:
    rule = rule_text(answer.rule)
    file, _, line = rule.where.rpartition(":") if rule else ("", "", "")
    yield from (answer.result, " ".join(answer.path), " ".join(answer.blocked_by))
    yield from (rule.without_place if rule else None, file, line, answer.reason, "; ".join(answer.depends_on))
