"""The response documents of the API as pydantic models. The command line prints the same ones with `--json`.

The result of a run is not here, because its model is netlab.results.document. The models serve as the description, and
tests compare the responses with them. The responses are made from the ledger's records, which have already been validated,
so the models do not validate them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, Field

from dscp.lanes import LANE_FIRST, LANE_LAST, Lane
from ledger.runs.cancelling import CancelCount
from ledger.runs.records import ProgressEntry, QueueView
from ledger.runs.run import Run


class RunDocument(Run):
    """The record of a run. Times are ms since 1970, 0 = not yet."""

    token: str = Field("", exclude=True, description="the attempt's secret: it is never shown")
    turn: int = Field(0, exclude=True, description="place in the line, for the scripts only")
    one_way: bool = Field(
        False, description="whether the verdict is a YES of quick tests: only the forward path was tested"
    )


class WaitingDocument(RunDocument):
    """A waiting run; wait_reason says why it waits."""

    position: int = Field(description="1 = next to start, if no more runs are submitted; see Order")


class RunPage(BaseModel):
    """Part of the history, newest first."""

    runs: list[RunDocument]
    total: int
    offset: int
    limit: int


class QueueDocument(BaseModel):
    """Running, waiting and ended runs, the last ended first."""

    running: list[RunDocument]
    waiting: list[WaitingDocument] = Field(description="in order; each with its position and the reason it waits")
    waiting_total: int
    finished: list[RunDocument]


class CancelDocument(BaseModel):
    """What a cancellation of several runs did."""

    cancelled: int = Field(description="number of runs that have ended: those that waited or had not begun")
    cancelling: int = Field(description="number of running runs that their workers will stop within a second")

    @classmethod
    def of(cls, count: CancelCount) -> CancelDocument:
        """Return the document of these numbers."""
        return cls(cancelled=count.cancelled, cancelling=count.cancelling)


class LimitsDocument(BaseModel):
    """What the caller may submit, and how much of it is used."""

    services_quick: int = Field(description="maximum number of services of a quick run")
    services_detailed: int = Field(description="maximum number of services of a detailed run")
    questions_batch: int = Field(description="maximum number of questions of a batch, which becomes several bulk runs")
    questions_bulk_run: int = Field(description="maximum number of questions of one bulk run")
    waiting_max: int = Field(description="maximum number of the caller's waiting questions, in all modes together")
    waiting: int = Field(
        description="number of the caller's waiting questions now: a bulk run counts as its questions, any other as 1"
    )
    fair_waiting: int = Field(
        description="waiting runs of one mode that keep their place; further ones wait behind other users' runs"
    )
    attempts_max: int = Field(description="attempts before a run fails, if its worker or bench dies")
    body_max: int = Field(description="maximum size of a request body in bytes, except for a batch and a snapshot")
    batch_max: int = Field(description="maximum size of a batch in bytes")
    upload_max: int = Field(description="maximum size of an uploaded snapshot in bytes")


class LogDocument(BaseModel):
    """The progress of a run."""

    run_id: str
    entries: list[ProgressEntry]


class LaneDocument(BaseModel):
    """One of the 32 lanes of a host; the holder's fields are empty or 0 while the lane is free."""

    host: str = Field(description="host whose bench has the lane")
    dscp: int = Field(ge=LANE_FIRST, le=LANE_LAST)
    state: Literal["free", "leased"]
    run_id: str
    worker: str
    fence: int
    since_ms: int


class LanesDocument(BaseModel):
    """All lanes of all hosts, host after host."""

    lanes: list[LaneDocument]
    problems: list[str] = Field(description="faults of the set of lanes; empty when there are none")


class StreamedEvent(BaseModel):
    """One server-sent event."""

    id: str = Field(
        "", description="stream id: send it as Last-Event-ID to continue after this event; a board snapshot has none"
    )
    event: Literal["message", "board"] = "message"
    data: str = Field(description="message: a JSON object of kind, run_id, bench, ms and more; board: markup")


HIDDEN: Mapping[str, object] = {
    **dict.fromkeys(("user", "source", "destination", "worker", "verdict", "stopped_by", "error"), ""),
    "services": (),
    "source_port": None,
    "questions": 1,
    "snapshot": "",
    "one_way": False,
}
"""Values that replace the fields of a run for users who may not see it: only its place in the queue is visible."""


def run_document(run: Run) -> RunDocument:
    """Return a run as the API and the command line show it: without the token and without the place in the line."""
    return RunDocument.model_construct(**dict(run), one_way=run.forward_only)


def run_page(runs: Iterable[Run], total: int, *, offset: int, limit: int) -> RunPage:
    """Return the document of part of the history."""
    return RunPage.model_construct(runs=list(map(run_document, runs)), total=total, offset=offset, limit=limit)


def queue_document(view: QueueView, shown: Callable[[Run], bool] = lambda run: True) -> QueueDocument:
    """Return the document of a queue. A run that is not `shown` appears only with its place in the queue."""

    def document(run: Run) -> RunDocument:
        return run_document(run) if shown(run) else run_document(run).model_copy(update=HIDDEN)

    return QueueDocument.model_construct(
        running=[document(run) for run in view.running],
        waiting=[
            WaitingDocument.model_construct(**dict(document(run)), position=place)
            for place, run in enumerate(view.waiting, 1)
        ],
        waiting_total=view.waiting_total,
        finished=[document(run) for run in view.finished],
    )


def lanes_document(lanes: Iterable[Lane], problems: list[str]) -> LanesDocument:
    """Return the document of all lanes."""
    return LanesDocument(
        lanes=[LaneDocument.model_validate(lane, from_attributes=True) for lane in lanes], problems=problems
    )
