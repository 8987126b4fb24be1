"""Estimates when a run starts, by simulating the queue with the durations of recent runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from statistics import median

from dscp.lanes import LANES
from ledger.runs.run import Mode, Run, State

QUICK_SLOTS = len(LANES)
FIRST_GUESS_MS = {Mode.QUICK: 150.0, Mode.DETAILED: 1000.0}
"""Assumed durations until the first run of a mode has ended."""
OVERHEAD_MS = 20.0
"""Time between the end of one run and the start of the next in the same slot."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Typical durations of runs by mode, in ms, computed from the most recent ones."""

    quick_ms: float
    detailed_ms: float

    def of(self, mode: Mode) -> float:
        """Return the duration of one run of this mode, in ms."""
        return self.quick_ms if mode is Mode.QUICK else self.detailed_ms


def pace(ended: Iterable[Run]) -> Pace:
    """Return the median durations of the finished runs."""
    took: dict[Mode, list[float]] = {mode: [] for mode in Mode}
    for run in ended:
        if run.state is State.DONE and run.started_ms:
            took[run.mode].append(max(1.0, run.finished_ms - run.started_ms))
    quick, detailed = (median(took[mode]) if took[mode] else FIRST_GUESS_MS[mode] for mode in Mode)
    return Pace(quick, detailed)


def starts_in_ms(
    running: Iterable[Run], ahead: Iterable[Mode] | None, pace: Pace, now_ms: int, mode: Mode
) -> float | None:
    """Return the time in ms until a run of `mode` starts behind runs of the modes `ahead`.

    Returns None if `ahead` is None.
    """
    if ahead is None:
        return None
    quick_ends: list[float] = []
    alone_until = 0.0
    for run in running:
        left = max(OVERHEAD_MS, pace.of(run.mode) - (now_ms - run.started_ms if run.started_ms else 0))
        if run.mode is Mode.DETAILED:
            alone_until = left
        else:
            heappush(quick_ends, left)
    for before in ahead:
        starts = _start(before, quick_ends, alone_until)
        if before is Mode.DETAILED:
            alone_until = starts + pace.detailed_ms + OVERHEAD_MS
            quick_ends = []
        else:
            if len(quick_ends) >= QUICK_SLOTS:
                heappop(quick_ends)
            heappush(quick_ends, starts + pace.quick_ms + OVERHEAD_MS)
    return _start(mode, quick_ends, alone_until)


def _start(mode: Mode, quick_ends: list[float], alone_until: float) -> float:
    if mode is Mode.DETAILED:
        return max([alone_until, *quick_ends])
    full = len(quick_ends) >= QUICK_SLOTS
    return max(alone_until, quick_ends[0] if full else 0.0)


def cost_words(mode: Mode, starts: float | None, pace: Pace) -> str:
    """Return the expected time of a run in a few words, as the form shows it."""
    takes = f"takes {about(pace.of(mode))}"
    beside = "Runs in parallel" if mode is Mode.QUICK else "Runs alone"
    if starts is None:
        return f"{beside}, long queue; {takes}."
    if starts < 250:
        return f"{beside}, starts now; {takes}."
    return f"{beside}, starts in {about(starts)}; {takes}."


def cannot_say(reason: str) -> str:
    """Return the text that replaces the expected time while no run of the mode can start, with the reason."""
    return f"It cannot start now, and the start time is unknown: {reason}."


def about(ms: float) -> str:
    """Format a rounded duration, for example as `about 4 s`."""
    if ms < 950:
        return "less than a second"
    if ms < 90_000:
        return f"about {ms / 1000:.0f} s"
    if ms < 5_400_000:
        return f"about {ms / 60_000:.0f} min"
    return f"about {ms / 3_600_000:.0f} h"
