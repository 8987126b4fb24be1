"""The small words and shapes every command prints: colours, columns, ages, run ids."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import click

COLOURS = {
    "YES": "green",
    "NO": "red",
    "UNKNOWN": "yellow",
    "running": "cyan",
    "promoted": "cyan",
    "failed": "red",
    "cancelled": "yellow",
}
SHORT_ID = 8


def paint(word: str) -> str:
    """A verdict or state in its colour."""
    colour = COLOURS.get(word)
    return click.style(word, fg=colour) if colour else word


def columns(rows: Iterable[Sequence[str]], *, indent: int = 2, gap: int = 2) -> str:
    """Rows as aligned columns; escape sequences take no room."""
    table = [list(row) for row in rows]
    if not table:
        return ""
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = (cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True))
        lines.append(" " * indent + (" " * gap).join(cells).rstrip())
    return "\n".join(lines)


def short(run_id: str) -> str:
    """The start of a run's id, which every command accepts."""
    return run_id[:SHORT_ID]


def ago(then_ms: int, now_ms: int | None = None) -> str:
    """`12 s ago`; empty for 0, which stands for never."""
    if not then_ms:
        return ""
    seconds = max(0, (now_ms if now_ms is not None else int(time.time() * 1000)) - then_ms) / 1000
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
