"""Operations on many questions: submit a batch as bulk runs, and read the answers of a bulk run in pages."""

from __future__ import annotations

import uuid
from http import HTTPStatus

import msgspec
from flask import Response, request

from app.api.batch_models import AnswersQuery, BatchBody, BatchDocument
from app.api.bulk_documents import answers_page
from app.api.documents import run_document
from app.api.request_models import NoQuery, read
from app.api.routes import JSON, STORE_AWAY, Answer, Header, Route
from app.api.runs import KEY_SCHEMA, find, idempotency_key, json_reply, no_result, query_of
from app.http.problems import ApiProblem
from app.http.strict_json import BATCH_MAX, read_object
from app.people.identity import me
from app.questions.planned import planned, submit_all
from app.stored_result import bulk_result_of
from ledger.runs.run import Mode
from ledger.store import AppLedger

AGAIN = "Send the request again with the same Idempotency-Key: no question is submitted twice."


class BatchViews:
    """Operations on batches and bulk runs."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def submit(self) -> Response:
        """Submit the questions as bulk runs. Responds with 202, or with 200 if all these runs existed already."""
        query_of(NoQuery)
        key = idempotency_key()
        body = read(BatchBody, read_object(request))
        questions = body.requests()
        snapshot = self._ledger.snapshot(body.snapshot).facts if body.snapshot else ""
        batch = f"batch {key or uuid.uuid4()}"
        plan = planned(dict(enumerate(questions, 1)), snapshot)
        stored = list(submit_all(self._ledger, plan, user=me().name, batch=batch, again=AGAIN if key else ""))
        new = any(created for _, _, created in stored)
        document = BatchDocument.model_construct(runs=[run_document(run) for _, run, _ in stored])
        return json_reply(document, HTTPStatus.ACCEPTED if new else HTTPStatus.OK)

    def answers(self, run_id: str) -> Response:
        """Return a page of the answers of a bulk run."""
        query: AnswersQuery = query_of(AnswersQuery)
        run = find(self._ledger, run_id)
        if run.mode is not Mode.BULK:
            detail = f"The run has one question, and is not a bulk run: read /api/runs/{run.id}/result instead."
            raise ApiProblem(409, "not-bulk", detail)
        result = bulk_result_of(self._ledger, run)
        if result is None:
            raise no_result(run)
        page = answers_page(
            result, verdict=query.verdict or "", text=query.text, offset=query.offset, limit=query.limit
        )
        return Response(msgspec.json.encode(page), content_type=JSON)

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        return [
            Route(
                "POST", "/api/batches", "submitBatch", self.submit, "Submit many quick tests, as bulk runs",
                {
                    202: Answer("The runs are queued.", BatchDocument),
                    200: Answer("This key was already used for the same request; its runs are returned.", BatchDocument),
                },
                {
                    404: "There is no such snapshot.",
                    409: "This Idempotency-Key was used for another request, or the snapshot cannot be asked.",
                    413: f"The body is larger than {BATCH_MAX // 1024 // 1024} MiB.",
                    429: "The user would have more waiting questions than allowed; `Retry-After` says when to try again.",
                    503: "Redis is full or cannot be reached, or too many batches are being received; try again.",
                },
                body=BatchBody,
                headers={"Idempotency-Key": Header("makes repeating the request safe", KEY_SCHEMA)},
                role="user",
            ),
            Route("GET", "/api/runs/<run_id>/answers", "getAnswers", self.answers,
                  "Answers of a bulk run, in pages, with rules and caveats written out",
                  {200: Answer("A page.", schema="AnswersPage")},
                  {404: "There is no such run.", 409: "The run has no answers, or none yet, or is not a bulk run."}
                  | STORE_AWAY, query=AnswersQuery),
        ]  # fmt: skip
