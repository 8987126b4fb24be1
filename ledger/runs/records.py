"""Small frozen records that the ledger returns and accepts, apart from runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ledger.redis.keys import LOCAL
from ledger.runs.run import Mode, Run, State


@dataclass(frozen=True, slots=True)
class Holding:
    """A run that holds a slot: promoted or running."""

    run_id: str
    mode: Mode
    state: State
    host: str = LOCAL


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run in the line.

    `overtaken` is the number of quick runs behind it that were promoted while it was the first waiting detailed run.
    """

    run_id: str
    mode: Mode
    turn: int
    submitted_ms: int
    overtaken: int = 0
    wait_code: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of the bench: who paused it, why ("": no reason given), and since when."""

    by: str
    why: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class ProgressEntry:
    """One entry in the progress log of a run."""

    ms: int
    phase: str
    percent: int
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """The bench's last report: its state (`up`, `away`, `restarting`) and its error.

    `silent` is true if it is too old.
    """

    state: str
    error: str = ""
    silent: bool = False


class IdleWorker(NamedTuple):
    """A live worker without a run: its queue, and the host whose bench it uses."""

    queue: str
    host: str = LOCAL


@dataclass(frozen=True, slots=True)
class HostView:
    """A host: the last report of its bench (None: it has never reported), and whether it is drained for maintenance."""

    report: Report | None = None
    drained: bool = False


@dataclass(frozen=True, slots=True)
class DispatchView:
    """Everything that a dispatcher bases its decisions on, at one instant (`now_ms`, Redis's clock).

    `waiting` is a bounded window of the line, in order over all modes. `waiting_total` is the number of all waiting
    runs of each mode, in the line and beyond it. `idle` lists, by mode, the live workers that hold no run and did
    begin the last one that was promoted to them. `deadline_ms` is when the first lease ends. `hosts` has each host with a
    live worker or a run. `damaged` is true if one of the records is damaged.
    """

    now_ms: int
    deadline_ms: int | None
    running: list[Holding]
    waiting: list[Waiting]
    waiting_total: dict[Mode, int]
    idle: dict[Mode, list[IdleWorker]]
    paused: Pause | None = None
    damaged: bool = False
    hosts: dict[str, HostView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of the dispatcher: start this run, of this mode, on the worker of this queue."""

    run_id: str
    mode: Mode
    queue: str


class Promotion(StrEnum):
    """Result of promoting one choice. Every result except PROMOTED means that the run is unchanged."""

    PROMOTED = "promoted"
    NOT_PENDING = "not-pending"
    WRONG_MODE = "wrong-mode"
    OCCUPIED = "occupied"
    NO_SLOT = "no-slot"
    NO_LANE = "no-lane"
    NO_WORKER = "no-worker"
    BUSY_WORKER = "busy-worker"
    DAMAGED = "damaged"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one choice."""

    run_id: str
    status: Promotion


@dataclass(frozen=True, slots=True)
class Reaped:
    """A reaped run.

    `status` is its new state (pending, failed or cancelled), or None if it is damaged and left in its slot.
    """

    run_id: str
    status: State | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """Result of renewing a lease.

    `alive` is true if this attempt still has the lease. `cancelling` is true if a user cancelled the run, so that it
    must stop.
    """

    alive: bool
    cancelling: bool


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue for display.

    `waiting` contains the runs that start first, in order, so a run's position is its index + 1. `finished` is newest
    first.
    """

    running: list[Run]
    waiting: list[Run]
    waiting_total: int
    finished: list[Run]
    finished_total: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """Damaged data that was set aside. `name` is a run id or a key, and `ms` is the time (0: unknown)."""

    name: str
    what: str
    ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """All counts at one moment. `leader_epoch` is 0 while no dispatcher leads."""

    lanes: int
    """Lanes of all hosts together."""
    lanes_in_use: int
    waiting: dict[Mode, int]
    running: dict[Mode, int]
    workers_alive: dict[Mode, int]
    bench_up: bool
    paused: bool
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a run. The store keeps the document and does not interpret it."""

    verdict: str
    document: str | bytes = "{}"
    """The result document as JSON."""
    stopped_by: str = ""
    """The first blockers in a few words, for lists of runs."""
    facts: str = ""
    """Hash of the facts on which the answer is based. With "", no hits are counted."""
    hits: Mapping[str, int] = field(default_factory=dict)
    """{name of a rule: number of its hits}."""


NO_ANSWER = Answer("", document="")
