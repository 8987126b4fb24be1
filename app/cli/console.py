"""Colours and columns for all commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from netlab.terminal import own

COLOURS = {
    "YES": "green",
    "NO": "red",
    "UNKNOWN": "yellow",
    "running": "cyan",
    "promoted": "cyan",
    "failed": "red",
    "cancelled": "yellow",
}


def style(text: str, **how: Any) -> str:
    """Add a colour or style to `text`, as click.style does.

    The escape sequences are marked as our own (netlab/terminal.py).
    """
    before, after = click.style("|", **how).split("|")
    return f"{own(before)}{text}{own(after)}"


def paint(word: str) -> str:
    """Colour a verdict or state."""
    colour = COLOURS.get(word)
    return style(word, fg=colour) if colour else word


def columns(rows: Iterable[Sequence[str]], *, indent: int = 2, gap: int = 2) -> str:
    """Format rows as aligned columns. Escape sequences do not count as width."""
    table = [list(row) for row in rows]
    if not table:
        return ""
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = (cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True))
        lines.append(" " * indent + (" " * gap).join(cells).rstrip())
    return "\n".join(lines)
