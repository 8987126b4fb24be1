"""Rows of CSV that a spreadsheet takes for texts, never for formulas. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def row(cells: Iterable[object]) -> str:
    """One line with its end; None is an empty cell.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: rules of a router do begin with a
    dash, and what people type may begin with anything.
    """
    out = io.StringIO()
    csv.writer(out).writerow(["" if cell is None else _plain(cell) for cell in cells])
    return out.getvalue()


def _plain(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_BEGINS_A_FORMULA) else cell
