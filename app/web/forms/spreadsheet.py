"""CSV rows that a spreadsheet reads only as text, never as formulas. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def row(cells: Iterable[object]) -> str:
    """Return one CSV line with its line end. None is an empty cell.

    A text that a spreadsheet would read as a formula gets an apostrophe in front. This is necessary because rules of a
    router start with a dash, and user input may start with anything.
    """
    out = io.StringIO()
    csv.writer(out).writerow(["" if cell is None else _plain(cell) for cell in cells])
    return out.getvalue()


def _plain(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_BEGINS_A_FORMULA) else cell
