"""Tables of medians, as every benchmark prints them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is left-aligned, the others right-aligned."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    lines = [title]
    for row in [columns, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells))
    return "\n".join(lines)


def ms(seconds: Sequence[float]) -> tuple[str, str]:
    """Median and 90th percentile in milliseconds."""
    ninety = quantiles(seconds, n=10)[-1] if len(seconds) > 1 else seconds[0]
    return f"{median(seconds) * 1e3:.2f}", f"{ninety * 1e3:.2f}"


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> str:
    """Median over median of the reference."""
    return f"{median(seconds) / median(reference):.2f}x"
