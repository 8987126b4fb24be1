"""The operations under `/api/changes`: compare two snapshots by the answers to the same questions."""

from __future__ import annotations

import time

import msgspec
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from app.answers.impact.expectation import read_expectation
from app.answers.impact.markdown import impact_markdown
from app.answers.impact.selection import chosen, read_selection
from app.answers.impact.table import impact_csv
from app.api.change_documents import ChangeDocument, ChangeList, FlowsDocument
from app.api.request_models import NoQuery, Number, WaitQuery, read
from app.api.routes import JSON, STORE_AWAY, Answer, Header, Route
from app.api.runs import json_reply, query_of
from app.changes.asking import ask_both
from app.changes.questions import QUESTIONS_MAX, RECENT, BadRows, assemble, flows_of, rows_of
from app.changes.removing import remove_comparison
from app.changes.reporting import EXPECTATION_FILE, Report, progress_of, report_of
from app.changes.visible import change_for, changes_for, own_change_for, recent_for
from app.http.problems import ApiProblem, FieldError
from app.http.strict_json import BATCH_MAX, read_object
from app.live.endings import Endings
from app.people.identity import me
from ledger.changes.records import Change
from ledger.runs.requests import RunRequest
from ledger.store import AppLedger

_NONE = {404: "There is no such comparison."}
_ERRORS_SHOWN = 100
_LOCATION = {"Location": Header("address of the comparison")}
CSV, MARKDOWN = "text/csv", "text/markdown"


class ChangeBody(BaseModel):
    """The body of `POST /api/changes`."""

    model_config = ConfigDict(extra="forbid")

    before: str = Field(
        "current", description="the snapshot before the change: its facts hash, the start, or `current`"
    )
    after: str = Field(description="the snapshot after the change: its facts hash, the start of it, or `current`")
    rows: str = Field(
        "", description=f"the questions, one per line: source, destination, services; at most {QUESTIONS_MAX}"
    )
    recent: int = Field(
        0, ge=0, le=2000, description="repeat this number of recent questions as well; without `rows`, 200"
    )
    note: str = Field("", description="a note for the list, at most 200 printable characters")
    expectation: str = Field("", max_length=60_000, description="YAML text that says what may change; empty: nothing")


class ChangesQuery(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Number = Field(50, ge=1, le=200, description="maximum number of comparisons")


class ReportQuery(BaseModel):
    """Which changed cells to list. The counts are always those of all cells."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field("", description="only these classes, separated by commas: lost, gained, …")
    router: str = Field("", max_length=64, description="only what passes this router or is blocked by it")
    address: str = Field("", max_length=32, description="only what comes from or goes to this address or subnet")
    services: str = Field("", max_length=200, description="only these services")


class ChangeViews:
    """Operations on comparisons."""

    def __init__(self, ledger: AppLedger, endings: Endings) -> None:
        self._ledger = ledger
        self._endings = endings

    def page(self) -> Response:
        """Return the newest comparisons."""
        query: ChangesQuery = query_of(ChangesQuery)
        return json_reply(ChangeList.of(changes_for(me(), self._ledger, limit=query.limit)))

    def add(self) -> Response:
        """Ask the questions in both snapshots. Responds with 202 at once."""
        query: WaitQuery = query_of(WaitQuery)
        body = read(ChangeBody, read_object(request))
        if body.expectation:
            read_expectation(body.expectation, EXPECTATION_FILE)
        asked = read_rows_of_request(body.rows, "rows")
        if body.recent or not asked:
            last = max((line for line, _ in asked), default=0)
            asked += enumerate(recent_for(me(), self._ledger, body.recent or RECENT), last + 1)
        change = ask_both(
            self._ledger,
            body.before,
            body.after,
            assemble(self._ledger, asked),
            user=me().name,
            note_text=body.note,
            expectation=body.expectation,
        )
        self._wait(change, query.wait)
        return self._document(change, 202, {"Location": f"/api/changes/{change.id}"})

    def one(self, change_id: str) -> Response:
        """Return a comparison, on request when it has ended."""
        query: WaitQuery = query_of(WaitQuery)
        change = change_for(me(), self._ledger, change_id)
        self._wait(change, query.wait)
        return self._document(change)

    def report(self, change_id: str) -> Response:
        """Return the report as JSON."""
        return Response(msgspec.json.encode(self._report(change_id)), content_type=JSON)

    def csv(self, change_id: str) -> Response:
        """Return the changed cells as CSV."""
        return Response(impact_csv(self._report(change_id).impact), content_type=f"{CSV}; charset=utf-8")

    def markdown(self, change_id: str) -> Response:
        """Return the report as Markdown."""
        report = self._report(change_id)
        text = impact_markdown(report.impact, report.judgement if report.expected else None)
        return Response(text, content_type=f"{MARKDOWN}; charset=utf-8")

    def remove(self, change_id: str) -> Response:
        """Remove a comparison, cancel its unfinished runs, and return it as it was."""
        query_of(NoQuery)
        change = own_change_for(me(), self._ledger, change_id)
        progress = progress_of(self._ledger, change)
        remove_comparison(self._ledger, change, by=me().name)
        return json_reply(ChangeDocument.of(change, progress))

    def flows(self) -> Response:
        """Return the management flows of the network."""
        query_of(NoQuery)
        return json_reply(FlowsDocument(rows=self._ledger.management_flows()))

    def set_flows(self) -> Response:
        """Replace the management flows of the network."""
        query_of(NoQuery)
        rows = read(FlowsDocument, read_object(request)).rows
        read_rows_of_request(rows, "rows", flows=True)
        self._ledger.set_management_flows(rows, by=me().name)
        return json_reply(FlowsDocument(rows=rows))

    def _report(self, change_id: str) -> Report:
        query: ReportQuery = query_of(ReportQuery)
        kinds = [kind.strip() for kind in query.kind.split(",") if kind.strip()]
        selection = read_selection(kinds, query.router, query.address, query.services)
        report = report_of(self._ledger, change_for(me(), self._ledger, change_id))
        return msgspec.structs.replace(report, impact=chosen(report.impact, selection))

    def _wait(self, change: Change, seconds: float) -> None:
        until = time.monotonic() + seconds
        for run_id in change.runs if seconds else ():
            left = until - time.monotonic()
            if left <= 0 or progress_of(self._ledger, change).problem:
                return
            self._endings.wait(lambda run_id=run_id: self._ledger.run(run_id), self._ledger.run(run_id), left)  # type: ignore[misc]

    def _document(self, change: Change, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        return json_reply(ChangeDocument.of(change, progress_of(self._ledger, change)), status, headers)

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        none_yet = {409: "There is no report: questions are not answered yet, or a run failed or was removed."}
        report = none_yet | _NONE | STORE_AWAY
        return [
            Route("GET", "/api/changes", "listChanges", self.page, "Comparisons of snapshots, newest first",
                  {200: Answer("The comparisons.", ChangeList)}, STORE_AWAY, query=ChangesQuery),
            Route("POST", "/api/changes", "compareSnapshots", self.add,
                  "Ask the same questions before and after a change",
                  {202: Answer("The questions are queued.", ChangeDocument, headers=_LOCATION)},
                  {404: "There is no such snapshot.",
                   409: "A snapshot cannot be asked: it was refused, or is not checked yet.",
                   413: f"The body is larger than {BATCH_MAX // 1024 // 1024} MiB.",
                   429: "The user would have more waiting questions than allowed; `Retry-After` says when to try again.",
                   503: "Redis is full or cannot be reached; try again."},
                  query=WaitQuery, body=ChangeBody, role="user"),
            Route("GET", "/api/changes/<change_id>", "getChange", self.one, "A comparison, and how far it is",
                  {200: Answer("The comparison.", ChangeDocument)}, _NONE | STORE_AWAY, query=WaitQuery),
            Route("GET", "/api/changes/<change_id>/report", "getChangeReport", self.report,
                  "What the change does to the answers", {200: Answer("The report.", schema="Report")}, report,
                  query=ReportQuery),
            Route("GET", "/api/changes/<change_id>/report.csv", "getChangeReportCsv", self.csv,
                  "The changed cells as CSV", {200: Answer("The cells.", media_type=CSV)}, report, query=ReportQuery),
            Route("GET", "/api/changes/<change_id>/report.md", "getChangeReportMarkdown", self.markdown,
                  "The report as Markdown, for a merge request", {200: Answer("The report.", media_type=MARKDOWN)}, report,
                  query=ReportQuery),
            Route("DELETE", "/api/changes/<change_id>", "removeChange", self.remove,
                  "Remove a comparison, and cancel its unfinished runs",
                  {200: Answer("The comparison that was removed.", ChangeDocument)}, _NONE | STORE_AWAY, role="user"),
            Route("GET", "/api/management-flows", "getManagementFlows", self.flows,
                  "The questions that every comparison asks, to find a lock-out",
                  {200: Answer("The flows.", FlowsDocument)}, STORE_AWAY),
            Route("PUT", "/api/management-flows", "setManagementFlows", self.set_flows,
                  "Replace the management flows of the network", {200: Answer("The flows.", FlowsDocument)}, STORE_AWAY,
                  body=FlowsDocument, role="admin"),
        ]  # fmt: skip


def read_rows_of_request(text: str, field: str, *, flows: bool = False) -> list[tuple[int, RunRequest]]:
    """Read rows of a request. Raises ApiProblem 422, which names the first hundred wrong rows."""
    try:
        return flows_of(text) if flows else rows_of(text, field)
    except BadRows as bad:
        errors = [
            FieldError(field=f"{field}.{row.line}", message=error)
            for row in bad.rows[:_ERRORS_SHOWN]
            for error in row.errors
        ]
        raise ApiProblem(422, "bad-input", str(bad), errors) from None
