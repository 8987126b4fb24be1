"""Decides which waiting runs may start now, and why each of the others waits. Pure: no Redis, no clock.

| running \\ arriving | quick or bulk | detailed |
|---|---|---|
| nothing | start | start |
| quick and bulk (n) | start while n < 32 | wait until all of them have ended |
| detailed | wait until it ends | wait until it ends |

Runs are considered in the order of the line (`ledger.runs.fair_order`): first come, first served, except that a user's
runs beyond the first 32 wait behind other users' runs. While quick runs run, younger quick runs may overtake the first
waiting detailed run, but only for a limited time and up to a limited number. After that no more runs start until the
bench is empty, and then the detailed run starts. So every run starts eventually: a run waits for the runs older than
itself, and a detailed run also for at most `overtake_max` younger ones.

A bulk run has many questions, so it takes longer. It has a lane like a quick run, but never overtakes a detailed run.
Bulk runs have a few workers of their own, so they never take the lanes and workers that quick runs need, and quick runs
never take theirs.

A run whose mode has no live worker does not delay other runs, because it could not start anyway.

The table applies to the bench of each host. A quick run gets the bench with the fewest quick runs. A detailed run gets a
free bench; if none is free, it reserves the one with the fewest quick runs, and quick runs continue on the others.

While the network is paused, no run starts, whatever the table says, but running ones finish. The same applies to a host
that is drained, and to one whose bench is known to be down, because it reports that, or because it has reported before
and is silent now. A bench that has never reported may be up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger.bench.diagnosis import ALL_DRAINED, BENCH_SILENT, CLOCK_SLACK_MS, bench_down, no_live_worker
from ledger.bench.health import pause_words
from ledger.redis.keys import LOCAL
from ledger.runs.fair_order import BEYOND_LINE
from ledger.runs.records import Pause, Report
from ledger.runs.run import Mode


class Why(StrEnum):
    """Why a run waits, as a code. The sentence stored with it is for display."""

    BENCH_FULL = "bench-full"
    NO_WORKER = "no-worker"
    DETAILED_RUNNING = "detailed-running"
    QUICK_RUNNING = "quick-running"
    DRAINING = "draining"
    BEHIND_DETAILED = "behind-detailed"
    PAUSED = "paused"
    BENCH_DOWN = "bench-down"
    HOSTS_DRAINED = "hosts-drained"
    REDIS_FULL = "redis-full"
    """Not set by these rules, but when Redis refuses the promotion."""
    BEHIND_OWN = BEYOND_LINE
    """Set when the run is submitted beyond the line. A run in the line has one of the other codes."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A run that holds a slot of the bench of a host, promoted or running."""

    run_id: str
    mode: Mode
    host: str = LOCAL


@dataclass(frozen=True, slots=True)
class Waiter:
    """A pending run.

    `overtaken` is the number of younger quick runs that passed it while it was the first waiting detailed run.
    """

    run_id: str
    mode: Mode
    submitted_ms: int
    overtaken: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """The bench of one host at this moment.

    These are the numbers of idle live workers of each mode, its last report (None: it has never reported), and whether
    its host is drained.
    """

    idle_quick: int
    idle_detailed: int
    report: Report | None = None
    host: str = LOCAL
    drained: bool = False
    idle_bulk: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The conditions for all benches: the time, the limits from the settings, and the pause."""

    now_ms: int
    overtake_ms: int = 30_000
    overtake_max: int = 64
    quick_max: int = 32
    paused: Pause | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Why one run waits: a code for programs and a sentence for display."""

    code: Why
    sentence: str


@dataclass(frozen=True, slots=True)
class DispatchDecision:
    """The result of one decision.

    `start` maps each run to start, in order, to its host, and `waits` says why each other run waits. `wake_ms` is when
    the decision may change without an event (None: never).
    """

    start: dict[str, str]
    waits: dict[str, Wait]
    wake_ms: int | None


def choose(
    benches: Sequence[Bench], running: Sequence[Holder], waiting: Sequence[Waiter], limits: Limits
) -> DispatchDecision:
    """Decide which of the `waiting` runs start and on which host, in the order of the line, by the table above.

    `benches` is not empty. `running` is as in the store: on each host only quick runs, or one detailed run, or nothing.
    """
    if limits.paused:
        return DispatchDecision({}, dict.fromkeys((run.run_id for run in waiting), _paused(limits.paused)), None)
    usable = [bench for bench in benches if not bench.drained and not _trouble(bench)]
    if not usable:
        return DispatchDecision({}, dict.fromkeys((run.run_id for run in waiting), _no_bench(benches)), None)
    round_ = _Round(usable, running, limits)
    for run in waiting:
        host = round_.detailed(run) if run.mode is Mode.DETAILED else round_.in_lane(run)
        if isinstance(host, Wait):
            round_.waits[run.run_id] = host
        else:
            round_.start[run.run_id] = host
    return DispatchDecision(round_.start, round_.waits, round_.wake_ms)


class _Slots:
    """The slots of one bench while a decision considers the waiting runs in turn."""

    def __init__(self, bench: Bench, running: Sequence[Holder]) -> None:
        here = [run for run in running if run.host == bench.host]
        self.host = bench.host
        self.alone = next((run.run_id for run in here if run.mode is Mode.DETAILED), "")
        self.in_lanes: Counter[Mode] = Counter(run.mode for run in here if run.mode is not Mode.DETAILED)
        self.idle = {Mode.QUICK: bench.idle_quick, Mode.DETAILED: bench.idle_detailed, Mode.BULK: bench.idle_bulk}

    @property
    def lanes_used(self) -> int:
        """Number of quick and bulk runs."""
        return self.in_lanes.total()

    def load(self, mode: Mode) -> tuple[int, int, str]:
        """Sort key: the bench with the fewest runs of this mode comes first, and then the one with the fewest runs."""
        return self.in_lanes[mode], self.lanes_used, self.host


class _Round:
    """The state of all usable benches while one decision considers the waiting runs in turn."""

    def __init__(self, benches: Sequence[Bench], running: Sequence[Holder], limits: Limits) -> None:
        self.limits = limits
        self.benches = [_Slots(bench, running) for bench in benches]
        self.first_detailed = ""
        self.reserved: _Slots | None = None
        """The bench that the first waiting detailed run gets."""
        self.may_pass = 0
        self.wake_ms: int | None = None
        self.start: dict[str, str] = {}
        self.waits: dict[str, Wait] = {}

    def in_lane(self, run: Waiter) -> str | Wait:
        """Start a quick or bulk run and return its host, or return why it waits.

        The reserved bench is used last, because each run that starts there overtakes the detailed run.
        """
        reasons = [self._why_no_lane(bench, run.mode) for bench in self.benches]
        able = [bench for bench, why in zip(self.benches, reasons, strict=True) if why is None]
        if not able:
            return min((why for why in reasons if why), key=lambda why: _TELLING.index(why.code))
        bench = min(able, key=lambda each: (each is self.reserved, each.load(run.mode)))
        bench.in_lanes[run.mode] += 1
        bench.idle[run.mode] -= 1
        self.may_pass -= bench is self.reserved
        return bench.host

    def _why_no_lane(self, bench: _Slots, mode: Mode) -> Wait | None:
        if bench.alone:
            return Wait(Why.DETAILED_RUNNING, f"detailed run {_short(bench.alone)} has the bench to itself")
        if bench is self.reserved and (not self.may_pass or mode is Mode.BULK):
            first = f"{_count(bench.in_lanes, 'has', 'have')} to end first"
            return Wait(Why.DRAINING, f"detailed run {_short(self.first_detailed)} is next; {first}")
        if bench.lanes_used >= self.limits.quick_max:
            return Wait(Why.BENCH_FULL, f"all {self.limits.quick_max * len(self.benches)} lanes are in use")
        if not bench.idle[mode]:
            busy = sum(each.in_lanes[mode] for each in self.benches)
            return Wait(Why.NO_WORKER, _no_worker(mode, busy=busy))
        return None

    def detailed(self, run: Waiter) -> str | Wait:
        """Start a detailed run and return its host, or return why it waits.

        The first detailed run that has to wait reserves the bench with the fewest other runs, and limits how many quick
        runs may still start there.
        """
        able = [bench for bench in self.benches if not bench.alone and bench.idle[Mode.DETAILED]]
        if not able:
            alone = next((bench.alone for bench in self.benches if bench.alone), "")
            if alone:
                return Wait(Why.DETAILED_RUNNING, f"detailed run {_short(alone)} has the bench to itself")
            return Wait(Why.NO_WORKER, _no_worker(Mode.DETAILED, busy=0))
        if self.first_detailed:
            return Wait(Why.BEHIND_DETAILED, f"detailed run {_short(self.first_detailed)} goes first")
        bench = min(able, key=lambda each: (each.lanes_used, each.host))
        if not bench.lanes_used:
            bench.alone = run.run_id
            bench.idle[Mode.DETAILED] -= 1
            return bench.host
        self.first_detailed, self.reserved = run.run_id, bench
        bound_ms = run.submitted_ms + self.limits.overtake_ms
        known_age = run.submitted_ms <= self.limits.now_ms + CLOCK_SLACK_MS  # otherwise the clock was set back
        if known_age and self.limits.now_ms < bound_ms:
            self.may_pass = max(0, self.limits.overtake_max - run.overtaken)
            self.wake_ms = bound_ms if self.may_pass else None
        return Wait(Why.QUICK_RUNNING, f"{_count(bench.in_lanes, 'has', 'have')} to end first")


_TELLING = (Why.DRAINING, Why.BENCH_FULL, Why.NO_WORKER, Why.DETAILED_RUNNING)
"""Which of the reasons of several benches is displayed: the first of these."""


def _paused(pause: Pause) -> Wait:
    return Wait(Why.PAUSED, pause_words(pause))


def _no_bench(benches: Sequence[Bench]) -> Wait:
    """Return why no bench can test a run."""
    trouble = next((_trouble(bench) for bench in benches if not bench.drained), "")
    if trouble:
        return Wait(Why.BENCH_DOWN, trouble)
    return Wait(Why.HOSTS_DRAINED, ALL_DRAINED)


def _trouble(bench: Bench) -> str:
    """Return why a bench can test no run now, or "" if it is up or has never reported.

    A bench without its worker pool is also silent. The missing workers are then the more useful reason, so the result
    is "" if no worker is idle.
    """
    report = bench.report
    if report is None:
        return ""
    if report.silent:
        idle = bench.idle_quick or bench.idle_detailed or bench.idle_bulk
        return BENCH_SILENT if idle else ""
    if report.state == "up":
        return ""
    return f"{bench_down(report.state)}: {report.error}" if report.error else bench_down(report.state)


def _short(run_id: str) -> str:
    return run_id[:8]


def _count(in_lanes: Counter[Mode], one: str, plural: str) -> str:
    number = in_lanes.total()
    kind = "" if in_lanes[Mode.BULK] else "quick "
    return f"1 {kind}run {one}" if number == 1 else f"{number} {kind}runs {plural}"


def _no_worker(mode: Mode, *, busy: int) -> str:
    return f"all live {mode} workers are busy" if busy else no_live_worker(mode)
