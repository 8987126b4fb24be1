"""Formats run ids, times and numbers as plain text, for terminals and pages. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

ARROW = " → "
SHORT_ID = 8


def short(run_id: str) -> str:
    """Return the first characters of a run's id, which every command and address accepts."""
    return run_id[:SHORT_ID]


def ago(then_ms: int, now_ms: int | None = None) -> str:
    """Format a time in the past, for example as `12 s ago`. The text is empty for 0, which means never."""
    if not then_ms:
        return ""
    seconds = max(0, (now_ms if now_ms is not None else int(time.time() * 1000)) - then_ms) / 1000
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def duration(ms: float) -> str:
    """Format a duration, for example as `14 ms`, `2.3 s`, `4 min` or `2.0 h`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    if ms < 3_600_000:
        return f"{ms / 60_000:.0f} min"
    return f"{ms / 3_600_000:.1f} h"


def spans(numbers: Sequence[int]) -> str:
    """Format numbers as ranges, for example as `32-40, 43`."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(g[0]) if len(g) == 1 else f"{g[0]}-{g[-1]}" for g in groups)


def runs_of(count: int, kind: str = "run") -> str:
    """Format a number of runs, for example as `1 waiting run` or `2,000 runs`."""
    return f"{count:,} {kind}{'' if count == 1 else 's'}"


def questions_of(count: int, source: str, destination: str) -> str:
    """Format the questions of a bulk run by their number and the first: `200 questions: 10.1.10.20 → 10.3.20.8 …`."""
    if count == 1:
        return f"1 question: {source}{ARROW}{destination}"
    return f"{count:,} questions: {source}{ARROW}{destination} …"
