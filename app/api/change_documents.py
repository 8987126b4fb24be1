"""Documents about comparisons of snapshots, as pydantic models."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.changes.reporting import Progress
from ledger.changes.records import Change


class ChangeDocument(BaseModel):
    """A comparison of two snapshots: the same questions asked in both."""

    id: str
    user: str = Field(description="who asked for it")
    created_ms: int = Field(description="ms since 1970")
    before: str = Field(description="facts hash of the snapshot before the change")
    after: str = Field(description="facts hash of the snapshot after the change")
    note: str
    questions: int = Field(description="number of questions, with the management flows")
    guarded: list[int] = Field(description="lines of the questions that are management flows")
    expectation: str = Field(description="the YAML text that says what may change; empty: none")
    runs_before: list[str] = Field(description="ids of the bulk runs in the snapshot `before`")
    runs_after: list[str] = Field(description="ids of the bulk runs in the snapshot `after`")
    answered: int = Field(description="number of answered questions, over both snapshots")
    finished: bool = Field(description="whether there is a report")
    problem: str = Field(description="why there will be no report; empty: none is known")
    waiting: str = Field(description="why its first waiting run waits; empty: none waits")

    @classmethod
    def of(cls, change: Change, progress: Progress) -> ChangeDocument:
        """Convert a comparison of the ledger."""
        return cls(
            id=change.id,
            user=change.user,
            created_ms=change.created_ms,
            before=change.before,
            after=change.after,
            note=change.note,
            questions=change.questions,
            guarded=list(change.guarded),
            expectation=change.expectation,
            runs_before=list(change.runs_before),
            runs_after=list(change.runs_after),
            answered=progress.answered,
            finished=progress.finished,
            problem=progress.problem,
            waiting=progress.waiting,
        )


class ListedChange(BaseModel):
    """A comparison in the list, without its state."""

    id: str
    user: str
    created_ms: int
    before: str
    after: str
    note: str
    questions: int


class ChangeList(BaseModel):
    """The comparisons of a network, newest first."""

    changes: list[ListedChange]

    @classmethod
    def of(cls, changes: list[Change]) -> ChangeList:
        """Convert comparisons of the ledger."""
        names = ListedChange.model_fields
        return cls(changes=[ListedChange(**{name: getattr(one, name) for name in names}) for one in changes])


class FlowsDocument(BaseModel):
    """The management flows of a network: every comparison asks them, and reports when one is lost."""

    rows: str = Field(description="one question per line: source, destination, services")
