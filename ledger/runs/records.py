"""Records that the ledger returns and takes, apart from runs: small, frozen, one for each call."""

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
    """A run in the line; `overtaken`: quick runs behind it promoted while it was the first waiting detailed run."""

    run_id: str
    mode: Mode
    turn: int
    submitted_ms: int
    overtaken: int = 0
    wait_code: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused the bench, why ("": no reason given), and since when."""

    by: str
    why: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Report:
    """The bench's last report: its state (`up`, `away`, `restarting`) and its error; `silent`: the report is too old."""

    state: str
    error: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True)
class DispatchView:
    """All that a dispatcher decides on, at one instant (`now_ms`, Redis's clock). `damaged`: a record in it is damaged.

    `waiting` is a bounded window of the line, in order over both modes; `waiting_total` is the number of all waiting
    runs, in the line and beyond it. `idle` lists, by mode, the queues of live workers that hold no run and began the
    last one that they were given. `deadline_ms` is when the first lease ends. `bench` is the bench's last report, None
    when it has never reported.
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
    """Result of promoting one choice; everything but PROMOTED left the run unchanged."""

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
    """A reaped run: `status` is its new state, pending, failed or cancelled. None: damaged, and left in its slot."""

    run_id: str
    status: State | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """`alive`: this attempt still has the lease; `cancelling`: stop, a user cancelled the run."""

    alive: bool
    cancelling: bool


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue for display: `waiting` is the window of the runs that start first, in order, so a run's position is its
    index + 1; `finished` is newest first.
    """

    running: list[Run]
    waiting: list[Run]
    waiting_total: int
    finished: list[Run]
    finished_total: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """Damaged data that was set aside: `name` is the id of a run or a key; `ms` when, 0 = unknown."""

    name: str
    what: str
    ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """All counts at one moment; `leader_epoch` is 0 while no dispatcher leads."""

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
    """JSON."""
    stopped_by: str = ""
    """The first blockers in a few words, for lists."""
    facts: str = ""
    """Hash of the facts that the answer was made from; "" counts no hits."""
    hits: Mapping[str, int] = field(default_factory=dict)
    """{name of a rule: number of hits}."""


NO_ANSWER = Answer("", document="")
