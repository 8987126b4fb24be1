"""The operations under `/api/snapshots`: push, list, use, pin and remove snapshots of the network."""

from __future__ import annotations

import io

import msgspec
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from app.api.request_models import NoQuery
from app.api.routes import JSON, STORE_AWAY, Answer, Header, Route
from app.api.runs import json_reply, query_of
from app.api.snapshot_documents import SnapshotDocument, SnapshotList
from app.http.problems import ApiProblem, FieldError
from app.people.identity import me
from app.snapshots.push import await_check, changes_between, push_source
from ledger.snapshots.records import SnapshotState
from ledger.store import AppLedger
from netlab.errors import FactsError
from netlab.facts.sources.archive import read_archive
from netlab.facts.sources.files import Unreadable

_ERRORS_SHOWN = 100
_LOCATION = {"Location": Header("address of the snapshot")}
_NONE = {404: "There is no such snapshot."}


class SnapshotsQuery(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="maximum number of snapshots")


class PushQuery(BaseModel):
    """Query of a push."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field("", description="a note for the list, at most 200 printable characters")
    name: str = Field("archive", max_length=60, description="name to show for the network")
    wait: float = Field(0, ge=0, le=20, description="wait up to this number of seconds for the check")


class DiffQuery(BaseModel):
    """Query of a comparison."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field("current", max_length=12, description="the other snapshot, the later one")


class PinQuery(BaseModel):
    """Query of a pin."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field("", description="the reason, at most 200 printable characters")


class SnapshotViews:
    """Operations on snapshots."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Return the newest snapshots."""
        query: SnapshotsQuery = query_of(SnapshotsQuery)
        found = self._ledger.snapshots(limit=query.limit)
        return json_reply(SnapshotList(snapshots=[SnapshotDocument.of(one) for one in found]))

    def one(self, snapshot: str) -> Response:
        """Return one snapshot."""
        query_of(NoQuery)
        return self._document(snapshot)

    def push(self) -> Response:
        """Store the network in the body, a tar archive. Responds with 202 while no host has checked it."""
        query: PushQuery = query_of(PushQuery)
        pushed = push_archive(self._ledger, request.get_data(cache=False), name=query.name, note=query.note)
        found = await_check(self._ledger, pushed, timeout_s=query.wait)
        status = 202 if found.state is SnapshotState.CHECKING else 200
        return json_reply(SnapshotDocument.of(found), status, {"Location": f"/api/snapshots/{pushed}"})

    def diff(self, snapshot: str) -> Response:
        """Return what changed from one snapshot to another."""
        query: DiffQuery = query_of(DiffQuery)
        before, after = self._ledger.snapshot(snapshot).facts, self._ledger.snapshot(query.to).facts
        return Response(msgspec.json.encode(changes_between(self._ledger, before, after)), content_type=JSON)

    def use(self, snapshot: str) -> Response:
        """Make a snapshot current."""
        query_of(NoQuery)
        facts = self._ledger.snapshot(snapshot).facts
        self._ledger.use_snapshot(facts, by=me().name)
        return self._document(facts)

    def pin(self, snapshot: str) -> Response:
        """Pin a snapshot."""
        query: PinQuery = query_of(PinQuery)
        facts = self._ledger.snapshot(snapshot).facts
        self._ledger.pin_snapshot(facts, by=me().name, why=query.why)
        return self._document(facts)

    def unpin(self, snapshot: str) -> Response:
        """Remove the pin of a snapshot. A snapshot without a pin stays as it is."""
        query_of(NoQuery)
        facts = self._ledger.snapshot(snapshot).facts
        self._ledger.unpin_snapshot(facts, by=me().name)
        return self._document(facts)

    def remove(self, snapshot: str) -> Response:
        """Remove a snapshot, and return it as it was."""
        query_of(NoQuery)
        found = self._ledger.snapshot(snapshot)
        self._ledger.remove_snapshot(found.facts, by=me().name)
        return json_reply(SnapshotDocument.of(found))

    def _document(self, snapshot: str) -> Response:
        return json_reply(SnapshotDocument.of(self._ledger.snapshot(snapshot)))

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        found = {200: Answer("The snapshot.", SnapshotDocument)}
        kept = {409: "The snapshot is current or pinned."}
        return [
            Route("GET", "/api/snapshots", "listSnapshots", self.page, "Snapshots of the network, newest first",
                  {200: Answer("The snapshots.", SnapshotList)}, STORE_AWAY, query=SnapshotsQuery),
            Route("POST", "/api/snapshots", "pushSnapshot", self.push, "Store the facts of the network as a snapshot",
                  {202: Answer("Stored; a host will check it.", SnapshotDocument, headers=_LOCATION),
                   200: Answer("Checked: `state` is ready or refused.", SnapshotDocument, headers=_LOCATION)},
                  {409: "Another snapshot has this hash.",
                   422: "The facts cannot be used; `errors` names each fault with its file and line.",
                   503: "Redis is full or cannot be reached, or too many uploads arrive at once; try again."},
                  query=PushQuery, role="user",
                  upload="a tar archive, with or without gzip, of the folder that has the routers' folders"),
            Route("GET", "/api/snapshots/<snapshot>", "getSnapshot", self.one, "One snapshot", found, _NONE | STORE_AWAY),
            Route("GET", "/api/snapshots/<snapshot>/diff", "diffSnapshots", self.diff,
                  "What changed from this snapshot to another, by router and rule",
                  {200: Answer("The changes.", schema="FactsChanges")},
                  {409: "The start of a hash fits several snapshots."} | _NONE | STORE_AWAY, query=DiffQuery),
            Route("POST", "/api/snapshots/<snapshot>/use", "useSnapshot", self.use,
                  "Make a snapshot current: new runs are tested on it", found,
                  {409: "No bench can be built from it, or it is not checked yet."} | _NONE | STORE_AWAY, role="admin"),
            Route("POST", "/api/snapshots/<snapshot>/pin", "pinSnapshot", self.pin,
                  "Keep a snapshot until its pin is removed", found, _NONE | STORE_AWAY, query=PinQuery, role="admin"),
            Route("DELETE", "/api/snapshots/<snapshot>/pin", "unpinSnapshot", self.unpin, "Remove the pin of a snapshot",
                  found, _NONE | STORE_AWAY, role="admin"),
            Route("DELETE", "/api/snapshots/<snapshot>", "removeSnapshot", self.remove, "Remove a snapshot",
                  {200: Answer("The snapshot that was removed.", SnapshotDocument)}, kept | _NONE | STORE_AWAY,
                  role="admin"),
        ]  # fmt: skip


def push_archive(ledger: AppLedger, data: bytes, *, name: str, note: str) -> str:
    """Push the network in an archive, and return its facts hash. Raises ApiProblem 422 with every fault."""
    try:
        source = read_archive(io.BytesIO(data))
        return push_source(ledger, source, origin=name, shown="archive", by=me().name, note=note).facts
    except Unreadable as bad:
        raise ApiProblem(422, "bad-facts", f"archive: {bad}", [FieldError(field="archive", message=str(bad))]) from None
    except FactsError as bad:
        errors = [
            FieldError(
                field=f"{problem.file}:{problem.line}" if problem.line else problem.file, message=problem.message
            )
            for problem in bad.problems[:_ERRORS_SHOWN]
        ]
        count = len(bad.problems)
        detail = f"The facts cannot be used: {bad.problems[0]}" + (
            f"; and {count - 1} more fault{'s' if count > 2 else ''}" if count > 1 else ""
        )
        raise ApiProblem(422, "bad-facts", detail, errors) from None
