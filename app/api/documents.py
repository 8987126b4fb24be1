"""What the API answers: the documents, as pydantic models; the CLI prints the same ones with `--json`.

The models describe and are what tests hold the answers against; the answers themselves are made straight from the
ledger's records, which have been validated once already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dscp.lanes import Lane
from ledger.runs.records import QueueView
from ledger.runs.run import Mode, Run, Service

Verdict = Literal["YES", "NO", "UNKNOWN"]


class RunDocument(Run):
    """The record of a run. Times are ms since 1970, 0 = not yet."""

    token: str = Field("", exclude=True, description="the attempt's secret: it is never shown")
    turn: int = Field(0, exclude=True, description="place in the line, for the scripts only")


class WaitingDocument(RunDocument):
    """A run that waits; wait_reason says why."""

    position: int = Field(description="1 = next to start, when no more runs are submitted; see Order")


class RunPage(BaseModel):
    """Part of the history, newest first."""

    runs: list[RunDocument]
    total: int
    offset: int
    limit: int


class QueueDocument(BaseModel):
    """What runs, what waits and what has ended, newest last run first."""

    running: list[RunDocument]
    waiting: list[WaitingDocument] = Field(description="in order; each with its position and the reason it waits")
    waiting_total: int
    finished: list[RunDocument]


class LogEntry(BaseModel):
    """One step of a run's progress."""

    ms: int
    phase: str
    percent: int
    message: str


class LogDocument(BaseModel):
    """The progress of a run."""

    run_id: str
    entries: list[LogEntry]


class LaneDocument(BaseModel):
    """One of the 32 lanes; what is said of the holder is empty or 0 while the lane is free."""

    dscp: int = Field(ge=32, le=63)
    state: Literal["free", "leased"]
    run_id: str
    worker: str
    fence: int
    since_ms: int


class LanesDocument(BaseModel):
    """All lanes of the bench."""

    lanes: list[LaneDocument]


class Rule(BaseModel):
    """What decided about a packet: a rule, or the policy of a chain, as the router's facts spell it."""

    family: str
    table: str
    chain: str
    chains: list[str] = Field(description="the base chain, and the chains it was jumped through")
    number: int | None = Field(description="counted from 1 within `chain`; null for a policy")
    text: str | None
    file: str | None
    line: int | None
    hook: str
    verdict: str = Field(description="ACCEPT, DROP, REJECT, or STOLEN and QUEUE for what is handed elsewhere")
    policy: bool


class Cell(Service):
    """The answer for one service on one router."""

    result: Verdict
    rule: Rule | None = Field(None, description="what decided; in a quick run only of a NO, and when asked for")


class RouterResult(BaseModel):
    """One router some service passes."""

    model_config = ConfigDict(extra="allow")

    name: str
    hop: int
    in_: str | None = Field(alias="in", description="interface the packets come in on")
    out: str | None = Field(description="interface they leave by")
    services: list[Cell]


class Nat(BaseModel):
    """What a router made of addresses and ports, as `10.1.10.20:49184 → 8.8.8.8:80`."""

    before: str
    after: str


class Hop(BaseModel):
    """One router a real packet of a detailed run went through."""

    router: str
    direction: Literal["request", "reply"]
    in_: str | None = Field(alias="in")
    out: str | None = Field(description="null when the packet ended here, or was for the router itself")
    result: Verdict
    rule: Rule | None = Field(description="null when nothing filters here, or a route stopped it")
    decisions: list[Rule] = Field(description="what decided in every base chain, in order")
    nat: Nat | None


class ServiceResult(Service):
    """The answer for one service; what a detailed run adds is absent in a quick one's."""

    model_config = ConfigDict(extra="allow")

    result: Verdict
    path: list[str]
    blocked_by: list[str]
    reason: str | None = Field(None, description="why, when it was not a rule")
    outcome: Literal["CONNECTED", "REFUSED", "TIMEOUT", "UNREACHABLE"] | None = Field(None, description="detailed only")
    latency_ms: float | None = Field(None, description="detailed only")
    refused_by: str | None = Field(None, description="detailed only: whose refusal the client was given")
    reply_path: list[str] = Field([], description="detailed only: the way back")
    blocked: Literal["request", "reply"] | None = Field(None, description="detailed only: which of the two was stopped")
    also_blocked_by: list[str] = Field([], description="detailed only: routers further on that would stop it too")
    hops: list[Hop] = Field([], description="detailed only: every router, there and back")
    sentence: str = Field("", description="detailed only: all of it in one sentence")


class ResultDocument(BaseModel):
    """What the bench found."""

    model_config = ConfigDict(extra="allow")

    run_id: str
    mode: Mode
    source: str
    destination: str
    source_port: int | None
    dscp: int | None
    verdict: Verdict
    path: list[str] = Field(description="routers every service passes, in order")
    routers: list[RouterResult]
    services: list[ServiceResult]
    caveats: list[Any] = Field(description="what the answer depends on that could not be kept true")
    reason: str | None
    facts: str = Field(description="hash of the facts the answer was made from")
    timing_ms: dict[str, float]


class StreamedEvent(BaseModel):
    """One server-sent event."""

    id: str = Field("", description="send it back as Last-Event-ID to go on after it; a picture has none")
    event: Literal["message", "board"] = "message"
    data: str = Field(description="message: a JSON object of kind, run_id, bench, ms and more; board: markup")


HIDDEN: dict[str, Any] = {
    **dict.fromkeys(("user", "source", "destination", "worker", "verdict", "error"), ""),
    "services": [],
    "source_port": None,
}
"""Fields of another's run as they are shown to whom it is not: it takes its place in the queue, and that is all."""


def run_document(run: Run) -> dict[str, Any]:
    """A run as the API and the CLI show it: all but the token."""
    return run.model_dump(mode="json", exclude={"token", "turn"})


def queue_document(view: QueueView, shown: Callable[[Run], bool] = lambda run: True) -> dict[str, Any]:
    """The QueueDocument of the ledger's view; of a run that is not `shown` no more than that it is there."""

    def document(run: Run) -> dict[str, Any]:
        return run_document(run) | ({} if shown(run) else HIDDEN)

    return {
        "running": [document(run) for run in view.running],
        "waiting": [{"position": at, **document(run)} for at, run in enumerate(view.waiting, 1)],
        "waiting_total": view.waiting_total,
        "finished": [document(run) for run in view.finished],
    }


def lane_document(lane: Lane) -> dict[str, Any]:
    """The LaneDocument of a lane."""
    return {
        "dscp": lane.dscp,
        "state": lane.state,
        "run_id": lane.run_id,
        "worker": lane.worker,
        "fence": lane.fence,
        "since_ms": lane.since_ms,
    }
