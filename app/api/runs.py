"""The operations under `/api/runs`: submit, read and cancel runs."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Response, request
from pydantic import BaseModel

from app.answers.sentences import published
from app.api.documents import CancelDocument, LogDocument, RunDocument, RunPage, run_document, run_page
from app.api.request_models import CancelQuery, PageQuery, RunBody, WaitQuery, read
from app.api.routes import JSON, STORE_AWAY, Answer, Header, Route
from app.http.problems import ApiProblem, FieldError
from app.http.strict_json import read_object
from app.live.endings import Endings
from app.people.identity import may_cancel, may_see, me
from app.stored_result import bulk_result_of, result_of
from ledger.errors import RunNotFound
from ledger.runs.cancelling import Choice
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.store import AppLedger
from netlab.results.bulk import encode_bulk
from netlab.results.codec import encode

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"[!-~]{1,200}")
KEY_SCHEMA = {"type": "string", "pattern": f"^{_KEY.pattern}$"}
_LOCATION = {"Location": Header("address of the run")}
EVERYBODY = "*"
"""The value of `user` for all users. No user has this name."""
_NO_RUN = {404: "There is no such run."}


def json_reply(document: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Create a JSON response."""
    return Response(json.dumps(document.model_dump(mode="json")), status, headers, content_type=JSON)


def query_of(model: type[Any]) -> Any:
    """Return the request's query parameters as `model`.

    Raises ApiProblem 422 for an unknown, invalid or repeated one.
    """
    for name in request.args:
        if len(request.args.getlist(name)) > 1:
            shown = name[:40]
            error = FieldError(field=shown, message="is given twice: give it once")
            raise ApiProblem(422, "bad-input", f"{shown}: is given twice: give it once", [error])
    return read(model, request.args.to_dict())


def idempotency_key() -> str:
    """Return the header Idempotency-Key of the request, or "" without one. Raises ApiProblem 422 for an invalid one."""
    key = request.headers.get("Idempotency-Key", "")
    if "Idempotency-Key" in request.headers and not _KEY.fullmatch(key):
        message = "must be 1-200 printable ASCII characters without spaces; a UUID will do"
        error = FieldError(field="Idempotency-Key", message=message)
        raise ApiProblem(422, "bad-input", f"Idempotency-Key: {message}", [error])
    return key


def no_result(run: Run) -> ApiProblem:
    """Return the problem of a run without a result: it has none yet, or why it never will have one."""
    if run.state not in ENDED:
        return ApiProblem(409, "not-finished", f"The run is {run.state}: it has no result yet; try again later.")
    why = f"it {run.state}" if run.state is State.FAILED else f"it was {run.state}"
    return ApiProblem(409, "no-result", f"The run has no result: {why}{f' ({run.error})' if run.error else ''}.")


class RunViews:
    """Operations on runs."""

    def __init__(self, ledger: AppLedger, endings: Endings) -> None:
        self._ledger = ledger
        self._endings = endings

    def submit(self) -> Response:
        """Submit a run. Responds with 202 for a new run.

        Responds with 200 and the existing run if the key was already used for the same request.
        """
        key = idempotency_key()
        query: WaitQuery = query_of(WaitQuery)
        asked = read(RunBody, read_object(request)).request()
        run, created = self._ledger.submit(asked, user=me().name, idempotency_key=key)
        run = self._end_of(run, query.wait)
        return json_reply(run_document(run), 202 if created else 200, {"Location": f"/api/runs/{run.id}"})

    def page(self) -> Response:
        """Return part of the history: all runs, or only the user's own."""
        query: PageQuery = query_of(PageQuery)
        if me().sees_all:
            runs, total = self._ledger.runs(offset=query.offset, limit=query.limit, state=query.state)
        else:
            runs, total = self._ledger.search(user=me().name, state=query.state, offset=query.offset, limit=query.limit)
        return json_reply(run_page(runs, total, offset=query.offset, limit=query.limit))

    def one(self, run_id: str) -> Response:
        """Return the record of a run, on request when it has ended."""
        query: WaitQuery = query_of(WaitQuery)
        return json_reply(run_document(self._end_of(self._find(run_id), query.wait)))

    def result(self, run_id: str) -> Response:
        """Return the result document, or 409 with the reason while there is none."""
        query: WaitQuery = query_of(WaitQuery)
        run = self._end_of(self._find(run_id), query.wait)
        document = self._result_document(run)
        if document is None:
            raise no_result(run)
        return Response(document, content_type=JSON)

    def _result_document(self, run: Run) -> bytes | None:
        if run.mode is Mode.BULK:
            many = bulk_result_of(self._ledger, run)
            return None if many is None else encode_bulk(many)
        result = result_of(self._ledger, run)
        return None if result is None else encode(published(result))

    def log(self, run_id: str) -> Response:
        """Return the progress of a run."""
        run = self._find(run_id)
        return json_reply(LogDocument(run_id=run.id, entries=self._ledger.log(run.id)))

    def cancel(self, run_id: str) -> Response:
        """Cancel a waiting run at once, or ask a running one to stop."""
        run = self._find(run_id)
        require_own(run)
        return json_reply(run_document(self._ledger.of_network(run.bench).cancel(run.id, by=me().name)), 202)

    def cancel_matching(self) -> Response:
        """Cancel all of the caller's waiting and running runs that match; an admin may name another user, or all."""
        query: CancelQuery = query_of(CancelQuery)
        user = query.user or me().name
        if user != me().name and not me().may("admin"):
            message = "names another user: only an admin may cancel the runs of others"
            raise ApiProblem(403, "forbidden", f"user: {message}", [FieldError(field="user", message=message)])
        choice = Choice(
            None if user == EVERYBODY else user, query.mode, State(query.state) if query.state else None, query.text
        )
        return json_reply(CancelDocument.of(self._ledger.cancel_matching(choice, by=me().name)))

    def _end_of(self, run: Run, seconds: int) -> Run:
        return self._endings.wait(lambda: self._ledger.run(run.id), run, seconds)

    def _find(self, run_id: str) -> Run:
        return find(self._ledger, run_id)

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        run = Answer("The run.", RunDocument)
        return [
            Route(
                "POST", "/api/runs", "submitRun", self.submit, "Submit a test",
                {
                    202: Answer("The run is queued.", RunDocument, headers=_LOCATION),
                    200: Answer(
                        "This key was already used for the same request; that run is returned.",
                        RunDocument,
                        headers=_LOCATION,
                    ),
                },
                {
                    409: "This Idempotency-Key was used for another request.",
                    429: "The user has as many waiting questions as allowed; `Retry-After` says when to try again.",
                    503: "Redis is full or cannot be reached; try again.",
                },
                query=WaitQuery,
                body=RunBody,
                headers={"Idempotency-Key": Header("makes repeating the request safe", KEY_SCHEMA)},
                role="user",
            ),
            Route("GET", "/api/runs", "listRuns", self.page, "Runs, newest first: all of them, or a user's own",
                  {200: Answer("A page.", RunPage)},
                  STORE_AWAY, query=PageQuery),
            Route("DELETE", "/api/runs", "cancelRuns", self.cancel_matching,
                  "Cancel all waiting and running runs that match: one's own, or for an admin also those of others",
                  {200: Answer("The numbers of runs.", CancelDocument)}, STORE_AWAY, query=CancelQuery, role="user"),
            Route("GET", "/api/runs/<run_id>", "getRun", self.one, "One run", {200: run},
                  _NO_RUN | STORE_AWAY, query=WaitQuery),
            Route("GET", "/api/runs/<run_id>/result", "getResult", self.result, "Result of a run",
                  {200: Answer("The result document; of a bulk run, all its answers.", schema="Result")},
                  {409: "The run has no result, or none yet."} | _NO_RUN | STORE_AWAY, query=WaitQuery),
            Route("GET", "/api/runs/<run_id>/log", "getLog", self.log, "Progress of a run",
                  {200: Answer("Its progress so far.", LogDocument)}, _NO_RUN | STORE_AWAY),
            Route("DELETE", "/api/runs/<run_id>", "cancelRun", self.cancel, "Cancel a run",
                  {202: Answer("Cancelled, or cancellation requested (`cancelling`).", RunDocument)},
                  {409: "The run has already ended."} | _NO_RUN | STORE_AWAY, role="user"),
        ]  # fmt: skip


def find(ledger: AppLedger, run_id: str) -> Run:
    """Return the run if the user may see it.

    Otherwise raises RunNotFound with the same text as for a run that does not exist.
    """
    run = ledger.run(checked_id(run_id))
    if not may_see(me(), run):
        raise RunNotFound(f"There is no run {run_id}.")
    return run


def require_own(run: Run) -> None:
    """Raise ApiProblem 403 if the run belongs to another user, unless the caller is an admin."""
    if not may_cancel(me(), run):
        raise ApiProblem(403, "forbidden", "The run belongs to another user: only an admin may cancel it.")


def checked_id(run_id: str) -> str:
    """Check that `run_id` has the form of a run id, before it is used in a key. Raises RunNotFound if it does not."""
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFound("There is no such run: a run id is a UUID in lower case.")
    return run_id
