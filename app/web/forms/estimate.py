"""Estimates when a run starts, by simulating the queue with the durations of recent runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from statistics import median
from typing import NamedTuple

from dscp.lanes import LANES
from ledger.bench.hosts import HostState
from ledger.redis.keys import LOCAL
from ledger.runs.run import Mode, Run, State

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


class Capacity(NamedTuple):
    """The number of runs of each mode that one host can test at the same time."""

    quick: int = len(LANES)
    detailed: int = 1


ONE_HOST = {LOCAL: Capacity()}


def capacities(hosts: Iterable[HostState]) -> dict[str, Capacity]:
    """Return {host: its capacity} for the hosts on which runs can start; as for one full host if there are none."""
    found = {
        host.name: Capacity(min(len(LANES), host.workers[Mode.QUICK]), min(1, host.workers[Mode.DETAILED]))
        for host in hosts
        if host.drain is None and host.bench in ("up", "unknown")
    }
    return {host: each for host, each in found.items() if any(each)} or ONE_HOST


@dataclass(slots=True)
class _Bench:
    """The simulated bench of a host: when its quick runs end, and until when a detailed run has it. Times in ms."""

    capacity: Capacity
    quick_ends: list[float] = field(default_factory=list)
    alone_until: float = 0.0

    def start(self, mode: Mode) -> float:
        """Return when a run of this mode would start here."""
        if not (self.capacity.detailed if mode is Mode.DETAILED else self.capacity.quick):
            return inf
        if mode is Mode.DETAILED:
            return max([self.alone_until, *self.quick_ends])
        full = len(self.quick_ends) >= self.capacity.quick
        return max(self.alone_until, self.quick_ends[0] if full else 0.0)

    def take(self, mode: Mode, pace: Pace) -> None:
        """Let a run of this mode start here as soon as it can."""
        starts = self.start(mode)
        if mode is Mode.DETAILED:
            self.alone_until = starts + pace.detailed_ms + OVERHEAD_MS
            self.quick_ends = []
        else:
            if len(self.quick_ends) >= self.capacity.quick:
                heappop(self.quick_ends)
            heappush(self.quick_ends, starts + pace.quick_ms + OVERHEAD_MS)


def starts_in_ms(
    running: Iterable[Run],
    ahead: Iterable[Mode] | None,
    pace: Pace,
    now_ms: int,
    mode: Mode,
    hosts: Mapping[str, Capacity] = ONE_HOST,
) -> float | None:
    """Return the time in ms until a run of `mode` starts behind runs of the modes `ahead`.

    `hosts` has the hosts on which runs can start. Returns None if `ahead` is None, or if none of them tests such runs.
    """
    if ahead is None:
        return None
    benches = {host: _Bench(capacity) for host, capacity in hosts.items()}
    for run in running:
        left = max(OVERHEAD_MS, pace.of(run.mode) - (now_ms - run.started_ms if run.started_ms else 0))
        if bench := benches.get(run.host):
            if run.mode is Mode.DETAILED:
                bench.alone_until = left
            else:
                heappush(bench.quick_ends, left)
    for before in ahead:
        first = _first(benches.values(), before)
        if first.start(before) < inf:
            first.take(before, pace)
    starts = _first(benches.values(), mode).start(mode)
    return starts if starts < inf else None


def _first(benches: Iterable[_Bench], mode: Mode) -> _Bench:
    """Return the bench on which a run of this mode can start first, of several the one with the fewest quick runs."""
    return min(benches, key=lambda bench: (bench.start(mode), len(bench.quick_ends)))


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
