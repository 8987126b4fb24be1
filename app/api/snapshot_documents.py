"""Documents about snapshots, as pydantic models. The command line prints the same ones with `--json`."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel, Field

from ledger.snapshots.records import Snapshot, SnapshotState


class SnapshotDocument(BaseModel):
    """A snapshot: the facts of a network at one time. It never changes. Times are in ms since 1970; 0 means never."""

    facts: str = Field(description="the facts hash, which identifies the snapshot")
    state: SnapshotState = Field(
        description="checking: no host has tried to build a bench from it yet; ready; refused: no bench can be built"
    )
    current: bool = Field(description="runs are tested on it")
    pinned: bool = Field(description="it is kept until its pin is removed")
    pinned_by: str
    pinned_why: str
    by: str = Field(description="who pushed it")
    pushed_ms: int
    origin: str = Field(description="name of the folder or archive that was pushed")
    note: str
    routers: int
    bytes: int = Field(description="size of all files before compression")
    previous: str = Field(description="the snapshot with which it was compared; empty: none")
    changes: str = Field(description="how it differs from `previous`, in one line")
    checked_ms: int
    host: str = Field(description="the host that checked it")
    problems: list[str] = Field(description="why it was refused: one sentence each, with file and line")
    warnings: list[str] = Field(description="what is probably missing or wrong in the facts")
    used_ms: int = Field(description="when it was last made current")
    used_by: str

    @classmethod
    def of(cls, snapshot: Snapshot) -> SnapshotDocument:
        """Convert a snapshot of the ledger."""
        return cls.model_validate({**asdict(snapshot), "pinned": snapshot.pinned})


class SnapshotList(BaseModel):
    """The snapshots of a network, newest first."""

    snapshots: list[SnapshotDocument]
