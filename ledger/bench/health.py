"""The health of the whole system as a record, with methods that summarize it. Pure.

`ledger.bench.diagnosis` computes it. From another host, a dead, a stopped and a disconnected process look the same, so
all of them are called *silent*. A worker with a recent heartbeat that does not do its work *hangs*.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from ledger.redis.keys import LOCAL
from ledger.redis.suitability import Finding, Level
from ledger.runs.records import Damage, Pause
from ledger.runs.run import Mode


class Life(StrEnum):
    """State of a worker, as far as it is known."""

    ALIVE = "alive"
    SILENT = "silent"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as stored in Redis. Times are in ms on Redis's clock; 0 means unknown.

    `run_state` is the state of the worker's run, promoted or running, and `run_since_ms` is the start of that state.
    `missed_ms` is when the worker last failed to begin a run that was promoted to it.
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
class HostReport:
    """The last report of the bench of a host. `state` is "" and `reported_ms` is 0 if it has never reported."""

    host: str = LOCAL
    state: str = ""
    error: str = ""
    reported_ms: int = 0
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything read from Redis at one instant, `now_ms`.

    `hosts` has each host with workers or a report, at least one. `dispatchers` maps the id of each dispatcher to its last
    heartbeat. `unseen_ms` is the submission time of the oldest run that no dispatcher has looked at yet, or None.
    """

    now_ms: int
    leader: str = ""
    epoch: int = 0
    dispatchers: dict[str, int] = field(default_factory=dict)
    workers: tuple[WorkerRecord, ...] = ()
    hosts: tuple[HostReport, ...] = (HostReport(),)
    paused: Pause | None = None
    unseen_ms: int | None = None
    findings: tuple[Finding, ...] = ()
    damages: tuple[Damage, ...] = ()

    def since(self, ms: int) -> Observed:
        """Return a copy without the reports that the bench and the workers made before `ms`."""
        workers = tuple(worker for worker in self.workers if worker.heartbeat_ms >= ms)
        hosts = tuple(host if host.reported_ms >= ms else replace(host, reported_ms=0) for host in self.hosts)
        return replace(self, workers=workers, hosts=hosts)


@dataclass(frozen=True, slots=True)
class Times:
    """The settings that determine when a process counts as silent, in ms."""

    lease_ms: int = 3000
    leader_ms: int = 1500
    run_timeout_ms: int = 30_000


class Expected(NamedTuple):
    """What a starting system waits for: the number of live workers. Reports older than `since_ms` do not count."""

    workers: int = 0
    since_ms: int = 0


NOTHING_MORE = Expected()


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault. If its level is BLOCKING, it prevents runs of these `modes` from being tested.

    `sentence` contains no internal names, because anyone may read `/readyz`. `remedy` names hosts, process ids and
    commands.
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
    """What works and what does not. `troubles` are in the order in which to correct them."""

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
        """The faults that should be corrected but do not prevent runs from being tested."""
        return tuple(trouble for trouble in self.troubles if trouble.level is Level.WARNING)

    def stop(self, mode: Mode) -> Trouble | None:
        """Return the first fault that prevents a new run of this mode from starting, or None.

        A pause does not count.
        """
        return next((trouble for trouble in self.troubles if mode in trouble.modes), None)

    def why_not(self, mode: Mode, *, remedy: bool = False) -> str:
        """Return why a run of this mode cannot start, or "" if it can. With `remedy`, the text also says what to do."""
        if trouble := self.stop(mode):
            return str(trouble) if remedy else trouble.sentence
        return pause_words(self.paused) if self.paused else ""

    def count(self, mode: Mode, life: Life = Life.ALIVE) -> int:
        """Return the number of workers of a mode in this state."""
        return sum(1 for worker in self.workers if worker.record.mode == mode and worker.life is life)

    @property
    def for_a_new_run(self) -> str:
        """What happens to a run that is submitted now, while no other run waits, in one or two sentences."""
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
        able = " or ".join(mode for mode in Mode if not reasons[mode])
        unable = "; ".join(f"a {mode} run cannot start: {reasons[mode]}" for mode in stopped)
        return f"A new {able} run starts at once; {unable}."


class Readiness(NamedTuple):
    """Whether the system can test runs.

    `missing` lists what prevents it (empty when ready); `warnings` do not prevent it.
    """

    missing: tuple[Trouble, ...]
    warnings: tuple[Trouble, ...] = ()


def pause_words(pause: Pause) -> str:
    """Return a sentence that says who paused the bench and why."""
    return f"the bench is paused by {pause.by}{f': {pause.why}' if pause.why else ''}"
