"""What the ledger hands out and takes in besides runs: small frozen records, one for each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ledger.runs.run import Mode, Run, State


@dataclass(frozen=True, slots=True)
class Holding:
    """A run that holds a slot: promoted or running."""

    run_id: str
    mode: Mode
    state: State


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run in the line; `overtaken`: quick runs behind it promoted while it was the first detailed one waiting."""

    run_id: str
    mode: Mode
    turn: int
    submitted_ms: int
    overtaken: int = 0
    wait_code: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused the bench, why ("": not said), and since when."""

    by: str
    why: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the bench last reported: its state (`up`, `away`, `restarting`) and its error; `silent`: too long ago."""

    state: str
    error: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True)
class DispatchView:
    """All a dispatcher decides on, as of one instant (`now_ms`, Redis's clock). `damaged`: a record in it cannot be used.

    `waiting` is a bounded window of the line, in order over both modes; `waiting_total` says how many wait in all, in
    the line and beyond it.
    `idle` lists, by mode, the queues of live workers that hold no run and began the last one they were given.
    `deadline_ms` is when the first lease ends.
    `bench` is what the bench last reported, None when it never did.
    """

    now_ms: int
    deadline_ms: int | None
    running: list[Holding]
    waiting: list[Waiting]
    waiting_total: dict[Mode, int]
    idle: dict[Mode, list[str]]
    paused: Pause | None = None
    damaged: bool = False
    bench: Report | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A run to start, of this mode, on the worker of this queue."""

    run_id: str
    mode: Mode
    queue: str


class Promotion(StrEnum):
    """What became of a choice; everything but PROMOTED left the run as it was."""

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
    """What became of one choice."""

    run_id: str
    status: Promotion


@dataclass(frozen=True, slots=True)
class Reaped:
    """A run taken off the bench: `status` is its state now, pending, failed or cancelled. None: damaged, and left there."""

    run_id: str
    status: State | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """`alive`: the lease is still this attempt's; `cancelling`: stop, somebody cancelled the run."""

    alive: bool
    cancelling: bool


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue as people look at it: `waiting` is the window of those that start first, in order, so a run's position
    is its index + 1; `finished` is newest first."""

    running: list[Run]
    waiting: list[Run]
    waiting_total: int
    finished: list[Run]
    finished_total: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """Something damaged that was set aside: `name` is the id of a run or a key; `ms` when, 0 when that is unknown."""

    name: str
    what: str
    ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of everything at one moment; `leader_epoch` is 0 while nobody leads."""

    lanes_in_use: int
    waiting: dict[Mode, int]
    running: dict[Mode, int]
    workers_alive: dict[Mode, int]
    bench_up: bool
    paused: bool
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How a run is answered. The store keeps the document and does not interpret it."""

    verdict: str
    document: str | bytes = "{}"
    """JSON."""
    stopped_by: str = ""
    """The first blockers in a few words, for lists."""
    facts: str = ""
    """Hash of the facts that the answer was made from; "" counts no hits."""
    hits: Mapping[str, int] = field(default_factory=dict)
    """{name of a rule: how often it decided}."""


NO_ANSWER = Answer("", document="")
