"""Estimates when a run starts, by simulating the queue with the durations of recent runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain
from math import inf
from statistics import median
from typing import NamedTuple

from dscp.lanes import LANES
from ledger.bench.hosts import HostState
from ledger.redis.keys import LOCAL
from ledger.runs.run import Mode, Run, State

FIRST_GUESS_MS = {Mode.QUICK: 150.0, Mode.DETAILED: 1000.0, Mode.BULK: 1000.0}
"""Assumed durations until the first run of a mode has ended."""
OVERHEAD_MS = 20.0
"""Time between the end of one run and the start of the next in the same slot."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Typical durations of runs by mode, in ms, computed from the most recent ones."""

    quick_ms: float
    detailed_ms: float
    bulk_ms: float = FIRST_GUESS_MS[Mode.BULK]

    def of(self, mode: Mode) -> float:
        """Return the duration of one run of this mode, in ms."""
        return {Mode.QUICK: self.quick_ms, Mode.DETAILED: self.detailed_ms, Mode.BULK: self.bulk_ms}[mode]


def pace(ended: Iterable[Run]) -> Pace:
    """Return the median durations of the finished runs."""
    took: dict[Mode, list[float]] = {mode: [] for mode in Mode}
    for run in ended:
        if run.state is State.DONE and run.started_ms:
            took[run.mode].append(max(1.0, run.finished_ms - run.started_ms))
    return Pace(*(median(took[mode]) if took[mode] else FIRST_GUESS_MS[mode] for mode in Mode))


class Capacity(NamedTuple):
    """The number of runs of each mode that one host can test at the same time."""

    quick: int = len(LANES)
    detailed: int = 1
    bulk: int = 2


ONE_HOST = {LOCAL: Capacity()}


def capacities(hosts: Iterable[HostState]) -> dict[str, Capacity]:
    """Return {host: its capacity} for the hosts on which runs can start; as for one full host if there are none."""
    found = {
        host.name: Capacity(
            min(len(LANES), host.workers[Mode.QUICK]), min(1, host.workers[Mode.DETAILED]), host.workers[Mode.BULK]
        )
        for host in hosts
        if host.drain is None and host.bench in ("up", "unknown")
    }
    return {host: each for host, each in found.items() if any(each)} or ONE_HOST


@dataclass(slots=True)
class _Bench:
    """The simulated bench of a host: when its quick and bulk runs end, and until when a detailed run has it.

    Times in ms. Bulk runs do not wait for quick ones here, although both use the 32 lanes: there are only a few of them.
    """

    capacity: Capacity
    ends: dict[Mode, list[float]] = field(default_factory=lambda: {Mode.QUICK: [], Mode.BULK: []})
    alone_until: float = 0.0

    def start(self, mode: Mode) -> float:
        """Return when a run of this mode would start here."""
        if not self._room(mode):
            return inf
        if mode is Mode.DETAILED:
            return max([self.alone_until, *chain(*self.ends.values())])
        ends = self.ends[mode]
        return max(self.alone_until, ends[0] if len(ends) >= self._room(mode) else 0.0)

    def take(self, mode: Mode, pace: Pace) -> None:
        """Let a run of this mode start here as soon as it can."""
        starts = self.start(mode)
        if mode is Mode.DETAILED:
            self.alone_until = starts + pace.detailed_ms + OVERHEAD_MS
            self.ends = {Mode.QUICK: [], Mode.BULK: []}
        else:
            if len(self.ends[mode]) >= self._room(mode):
                heappop(self.ends[mode])
            heappush(self.ends[mode], starts + pace.of(mode) + OVERHEAD_MS)

    def _room(self, mode: Mode) -> int:
        return {Mode.QUICK: self.capacity.quick, Mode.DETAILED: self.capacity.detailed, Mode.BULK: self.capacity.bulk}[
            mode
        ]


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
                heappush(bench.ends[run.mode], left)
    for before in ahead:
        first = _first(benches.values(), before)
        if first.start(before) < inf:
            first.take(before, pace)
    starts = _first(benches.values(), mode).start(mode)
    return starts if starts < inf else None


def _first(benches: Iterable[_Bench], mode: Mode) -> _Bench:
    """Return the bench on which a run of this mode can start first, of several the one with the fewest other runs."""
    return min(benches, key=lambda bench: (bench.start(mode), sum(map(len, bench.ends.values()))))


def cost_words(mode: Mode, starts: float | None, pace: Pace) -> str:
    """Return the expected time of a run in a few words, as the form shows it."""
    takes = f"takes {about(pace.of(mode))}"
    beside = "Runs alone" if mode is Mode.DETAILED else "Runs in parallel"
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
