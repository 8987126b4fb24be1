"""Decides which waiting runs may start now, and why each of the others waits. Pure: no Redis, no clock.

| running \\ arriving | quick | detailed |
|---|---|---|
| nothing | start | start |
| quick (n) | start while n < 32 | wait until all quick runs have ended |
| detailed | wait until it ends | wait until it ends |

Runs are considered in the order of the line (`ledger.runs.fair_order`): first come, first served, except that a user's
runs beyond the first 32 wait behind other users' runs. While quick runs run, younger quick runs may overtake the first
waiting detailed run, but only for a limited time and up to a limited number. After that no more runs start until the
bench is empty, and then the detailed run starts. So every run starts eventually: a run waits for the runs older than
itself, and a detailed run also for at most `overtake_max` younger ones.

A run whose mode has no live worker does not delay other runs, because it could not start anyway.

While the bench is paused, no run starts, whatever the table says, but running ones finish. The same applies while the
bench is known to be down, because it reports that, or because it has reported before and is silent now. A bench that
has never reported may be up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger.bench.diagnosis import BENCH_SILENT, CLOCK_SLACK_MS, bench_down, no_live_worker
from ledger.bench.health import pause_words
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
    REDIS_FULL = "redis-full"
    """Not set by these rules, but when Redis refuses the promotion."""
    BEHIND_OWN = BEYOND_LINE
    """Set when the run is submitted beyond the line. A run in the line has one of the other codes."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A run that holds a slot of the bench, promoted or running."""

    run_id: str
    mode: Mode


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
class Limits:
    """The conditions at this moment.

    These are the numbers of idle live workers of each mode, the time, the limits from the settings, the pause, and the
    bench's last report.
    """

    idle_quick: int
    idle_detailed: int
    now_ms: int
    overtake_ms: int = 30_000
    overtake_max: int = 64
    quick_max: int = 32
    paused: Pause | None = None
    bench: Report | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Why one run waits: a code for programs and a sentence for display."""

    code: Why
    sentence: str


@dataclass(frozen=True, slots=True)
class DispatchDecision:
    """The result of one decision.

    `start` lists the runs to start, in order, and `waits` says why each other run waits. `wake_ms` is when the decision
    may change without an event (None: never).
    """

    start: tuple[str, ...]
    waits: dict[str, Wait]
    wake_ms: int | None


def choose(running: Sequence[Holder], waiting: Sequence[Waiter], limits: Limits) -> DispatchDecision:
    """Decide which of the `waiting` runs start, in the order of the line, by the table above.

    `running` is as in the store: only quick runs, or one detailed run, or nothing.
    """
    if limits.paused:
        return DispatchDecision((), dict.fromkeys((run.run_id for run in waiting), _paused(limits.paused)), None)
    if trouble := _bench_trouble(limits):
        return DispatchDecision((), dict.fromkeys((run.run_id for run in waiting), Wait(Why.BENCH_DOWN, trouble)), None)
    round_ = _Round(running, limits)
    for run in waiting:
        wait = round_.quick(run) if run.mode is Mode.QUICK else round_.detailed(run)
        if wait is None:
            round_.start.append(run.run_id)
        else:
            round_.waits[run.run_id] = wait
    return DispatchDecision(tuple(round_.start), round_.waits, round_.wake_ms)


class _Round:
    """The state of the bench while one decision considers the waiting runs in turn."""

    def __init__(self, running: Sequence[Holder], limits: Limits) -> None:
        self.limits = limits
        self.alone = next((r.run_id for r in running if r.mode is Mode.DETAILED), "")
        self.quick_count = sum(1 for r in running if r.mode is Mode.QUICK)
        self.idle_quick, self.idle_detailed = limits.idle_quick, limits.idle_detailed
        self.first_detailed = ""
        self.may_pass = 0
        self.wake_ms: int | None = None
        self.start: list[str] = []
        self.waits: dict[str, Wait] = {}

    def quick(self, run: Waiter) -> Wait | None:
        """Start a quick run and return None, or return why it waits."""
        if self.alone:
            return Wait(Why.DETAILED_RUNNING, f"detailed run {_short(self.alone)} has the bench to itself")
        if self.first_detailed and not self.may_pass:
            first = f"{_count(self.quick_count, 'has', 'have')} to end first"
            return Wait(Why.DRAINING, f"detailed run {_short(self.first_detailed)} is next; {first}")
        if self.quick_count >= self.limits.quick_max:
            return Wait(Why.BENCH_FULL, f"all {self.limits.quick_max} lanes are in use")
        if not self.idle_quick:
            return Wait(Why.NO_WORKER, _no_worker(Mode.QUICK, busy=self.quick_count))
        self.quick_count += 1
        self.idle_quick -= 1
        self.may_pass -= bool(self.first_detailed)
        return None

    def detailed(self, run: Waiter) -> Wait | None:
        """Start a detailed run and return None, or return why it waits.

        The first detailed run that has to wait limits how many quick runs may overtake it.
        """
        if self.alone:
            return Wait(Why.DETAILED_RUNNING, f"detailed run {_short(self.alone)} has the bench to itself")
        if not self.idle_detailed:
            return Wait(Why.NO_WORKER, _no_worker(Mode.DETAILED, busy=0))
        if self.first_detailed:
            return Wait(Why.BEHIND_DETAILED, f"detailed run {_short(self.first_detailed)} goes first")
        if not self.quick_count:
            self.alone = run.run_id
            return None
        self.first_detailed = run.run_id
        bound_ms = run.submitted_ms + self.limits.overtake_ms
        known_age = run.submitted_ms <= self.limits.now_ms + CLOCK_SLACK_MS  # otherwise the clock was set back
        if known_age and self.limits.now_ms < bound_ms:
            self.may_pass = max(0, self.limits.overtake_max - run.overtaken)
            self.wake_ms = bound_ms if self.may_pass else None
        return Wait(Why.QUICK_RUNNING, f"{_count(self.quick_count, 'has', 'have')} to end first")


def _paused(pause: Pause) -> Wait:
    return Wait(Why.PAUSED, pause_words(pause))


def _bench_trouble(limits: Limits) -> str:
    """Return why no run can be tested now, or "" if the bench is up or has never reported.

    A bench without its worker pool is also silent. The missing workers are then the more useful reason, so the result
    is "" if no worker is idle.
    """
    bench = limits.bench
    if bench is None:
        return ""
    if bench.silent:
        idle = limits.idle_quick or limits.idle_detailed
        return BENCH_SILENT if idle else ""
    if bench.state == "up":
        return ""
    return f"{bench_down(bench.state)}: {bench.error}" if bench.error else bench_down(bench.state)


def _short(run_id: str) -> str:
    return run_id[:8]


def _count(number: int, one: str, plural: str) -> str:
    return f"1 quick run {one}" if number == 1 else f"{number} quick runs {plural}"


def _no_worker(mode: Mode, *, busy: int) -> str:
    return f"all live {mode} workers are busy" if busy else no_live_worker(mode)
