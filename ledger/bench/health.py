"""The health of the whole system as a record, with methods that summarize it. Pure; `ledger.bench.diagnosis` computes
it.

A dead, stopped or disconnected process looks the same from another host: it is *silent*. A worker with a fresh
heartbeat that does not do its work *hangs*.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from ledger.redis.suitability import Finding, Level
from ledger.runs.records import Damage, Pause
from ledger.runs.run import Mode


class Life(StrEnum):
    """State of a worker, as far as known."""

    ALIVE = "alive"
    SILENT = "silent"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as stored in Redis; times in ms on Redis's clock, 0 = unknown.

    `run_state` and `run_since_ms` describe its run: promoted or running, and since when. `missed_ms` is when it last
    failed to begin a run that was promoted to it.
    """

    queue: str
    mode: str
    host: str
    pid: int
    heartbeat_ms: int
    run: str = ""
    run_state: str = ""
    run_since_ms: int = 0
    missed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything read from Redis at one instant, `now_ms`. `bench_reported_ms` is 0 when the bench has never reported.

    `dispatchers` maps each one to its last heartbeat. `unseen_ms` is since when a run has waited without a dispatcher
    looking at it.
    """

    now_ms: int
    leader: str = ""
    epoch: int = 0
    dispatchers: dict[str, int] = field(default_factory=dict)
    workers: tuple[WorkerRecord, ...] = ()
    bench_state: str = ""
    bench_error: str = ""
    bench_reported_ms: int = 0
    paused: Pause | None = None
    unseen_ms: int | None = None
    findings: tuple[Finding, ...] = ()
    damages: tuple[Damage, ...] = ()

    def since(self, ms: int) -> Observed:
        """The same without what the bench and the workers reported before `ms`."""
        workers = tuple(worker for worker in self.workers if worker.heartbeat_ms >= ms)
        reported_ms = self.bench_reported_ms if self.bench_reported_ms >= ms else 0
        return replace(self, workers=workers, bench_reported_ms=reported_ms)


@dataclass(frozen=True, slots=True)
class Times:
    """The settings that define when a process counts as silent, in ms."""

    lease_ms: int = 3000
    leader_ms: int = 1500
    run_timeout_ms: int = 30_000


class Expected(NamedTuple):
    """What a system that starts waits for: so many live workers; reports older than `since_ms` do not count."""

    workers: int = 0
    since_ms: int = 0


NOTHING_MORE = Expected()


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault. BLOCKING: it prevents runs of these `modes` from being tested.

    `sentence` contains no internal names, because anyone may read `/readyz`; `remedy` names hosts, pids and commands.
    """

    part: str
    code: str
    level: Level
    sentence: str
    remedy: str
    modes: frozenset[Mode] = frozenset()

    def __str__(self) -> str:
        return f"{self.sentence}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker and its state; `silent_ms` is the time since its last heartbeat."""

    record: WorkerRecord
    life: Life
    silent_ms: int


@dataclass(frozen=True, slots=True)
class Health:
    """What works and what does not; `troubles` are in the order in which to correct them."""

    leader: str
    followers: tuple[str, ...]
    workers: tuple[Worker, ...]
    paused: Pause | None
    troubles: tuple[Trouble, ...]

    @property
    def blocking(self) -> tuple[Trouble, ...]:
        """The faults that prevent runs from being tested."""
        return tuple(trouble for trouble in self.troubles if trouble.level is not Level.WARNING)

    @property
    def warnings(self) -> tuple[Trouble, ...]:
        """The faults to correct although runs are tested."""
        return tuple(trouble for trouble in self.troubles if trouble.level is Level.WARNING)

    def stop(self, mode: Mode) -> Trouble | None:
        """The first fault that would prevent a new run of this mode from starting, apart from a pause."""
        return next((trouble for trouble in self.troubles if mode in trouble.modes), None)

    def why_not(self, mode: Mode, *, remedy: bool = False) -> str:
        """Why a run of this mode cannot start; "" when it can. With `remedy`, also what to do about it."""
        if trouble := self.stop(mode):
            return str(trouble) if remedy else trouble.sentence
        return pause_words(self.paused) if self.paused else ""

    def count(self, mode: Mode, life: Life = Life.ALIVE) -> int:
        """Number of workers of a mode in this state."""
        return sum(1 for worker in self.workers if worker.record.mode == mode and worker.life is life)

    @property
    def for_a_new_run(self) -> str:
        """One sentence: what happens to a run that is submitted now, while none waits."""
        if self.paused and not any(self.stop(mode) for mode in Mode):
            return "A new run waits until the bench is resumed."
        reasons = {mode: self.why_not(mode) for mode in Mode}
        stopped = [mode for mode in Mode if reasons[mode]]
        if not stopped:
            return "A new run starts at once."
        if len(set(reasons.values())) == 1:
            return f"A new run cannot start: {reasons[stopped[0]]}."
        if len(stopped) == len(Mode):
            return " ".join(f"A new {mode} run cannot start: {reasons[mode]}." for mode in Mode)
        (open_mode,) = [mode for mode in Mode if not reasons[mode]]
        return f"A new {open_mode} run starts at once; a {stopped[0]} run cannot start: {reasons[stopped[0]]}."


class Readiness(NamedTuple):
    """Whether the system tests runs: `missing` is empty when it does. `warnings` do not prevent it."""

    missing: tuple[Trouble, ...]
    warnings: tuple[Trouble, ...] = ()


def pause_words(pause: Pause) -> str:
    """Sentence: who paused the bench, and why."""
    return f"the bench is paused by {pause.by}{f': {pause.why}' if pause.why else ''}"
