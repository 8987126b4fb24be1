"""Turns every HTTP error into one problem document (RFC 9457, application/problem+json).

`type` is `urn:reachq:problem:<code>`, with a code from ledger/errors.py or one of those below. `detail` says what was
wrong and what to do. `errors` lists the invalid fields, if any.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from flask import Flask, Response, current_app, g, request
from pydantic import BaseModel, Field
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from ledger.errors import BadInput, ReachqError, StoreUnavailable

ErrorPage = Callable[["ApiProblem"], Response]
ERROR_PAGE = "reachq.error_page"
"""Key in `app.extensions` of the function that renders a problem as a page."""
FOR_PROGRAMS = ("/api", "/rq", "/metrics", "/healthz", "/readyz", "/static")
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:reachq:problem:"
DETAILED_MAX = 10
_INTERNAL = (
    "reachq could not answer because of an internal error. Try again; if it happens again, report it to the"
    " administrator: the log of the web server has the details."
)
log = logging.getLogger(__name__)

STATUS_OF = {
    "bad-input": 422,
    "run-not-found": 404,
    "idempotency-conflict": 409,
    "run-ended": 409,
    "store-full": 503,
    "store-unavailable": 503,
    "unsuitable-store": 503,
    "store-damaged": 503,
    "run-damaged": 409,
    "change-not-found": 404,
    "no-report": 409,
    "answers-do-not-match": 409,
    "snapshot-not-found": 404,
    "snapshot-in-use": 409,
    "snapshot-not-ready": 409,
    "snapshot-conflict": 409,
    "network-not-found": 404,
    "network-in-use": 409,
    "too-many-networks": 409,
    "host-not-found": 404,
    # people
    "bad-credentials": 401,
    "user-not-found": 404,
    "session-not-found": 404,
    "token-not-found": 404,
    "user-exists": 409,
    "last-admin": 409,
    "too-many-tokens": 409,
    "throttled": 429,
    "too-many-waiting": 429,
    "busy": 503,
}
"""Status of each error of ledger/errors.py and app/people that a request can cause. Any other error is a 500."""

DETAIL_OF = {
    404: "There is nothing at this address; /docs/api lists the addresses of the API.",
    405: "This address does not support this method; the Allow header lists those it supports.",
    413: (
        "The body is larger than 64 KiB; a run request is much smaller. A batch or a comparison may have 2 MiB, and an"
        " archive of facts 32 MiB; send them with Content-Length, not chunked."
    ),
}


class FieldError(BaseModel):
    """One invalid field."""

    field: str
    message: str = Field(description="what is wrong with it and what would be right")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="urn:reachq:problem:<code>, stable")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what was wrong, where, and what to do")
    instance: str = Field(description="path of the request")
    errors: list[FieldError] = Field([], description="the invalid fields, if any")
    warnings: list[str] = Field([], description="only for `not-ready`: further faults that should be fixed")


class ApiProblem(Exception):
    """An error of the HTTP layer itself, with its status."""

    def __init__(
        self, status: int, code: str, detail: str, errors: Iterable[FieldError] = (), warnings: Iterable[str] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = list(errors)
        self.warnings = list(warnings)


def bad_fields(wrong: Iterable[BadInput]) -> ApiProblem:
    """Return one problem with status 422 for all invalid fields. Its detail has only the first DETAILED_MAX of them."""
    wrong = list(wrong)
    errors = [FieldError(field=bad.field, message=str(bad).removeprefix(f"{bad.field}: ")) for bad in wrong]
    detail = "; ".join(str(bad) for bad in wrong[:DETAILED_MAX])
    more = f"; and {len(wrong) - DETAILED_MAX} more" if len(wrong) > DETAILED_MAX else ""
    return ApiProblem(422, BadInput.code, detail + more, errors)


def code_of(status: int) -> str:
    """Return the code, such as `not-found`, of a problem that has only a status."""
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def document(
    status: int,
    code: str,
    detail: str,
    instance: str,
    errors: Iterable[FieldError] = (),
    warnings: Iterable[str] = (),
) -> bytes:
    """Return the problem as JSON bytes."""
    body: dict[str, object] = {
        "type": TYPE_PREFIX + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    if listed := [error.model_dump() for error in errors]:
        body["errors"] = listed
    if warning_texts := list(warnings):
        body["warnings"] = warning_texts
    return json.dumps(body).encode()


def reply(problem: ApiProblem, headers: dict[str, str] | None = None) -> Response:
    """Return the problem as the response to the current request: a document, or a page for a browser."""
    as_page: ErrorPage | None = current_app.extensions.get(ERROR_PAGE)
    if as_page and not request.path.startswith(FOR_PROGRAMS) and "text/html" in request.headers.get("Accept", ""):
        response = as_page(problem)
        response.headers.update(headers or {})
        return response
    body = document(problem.status, problem.code, str(problem), request.path, problem.errors, problem.warnings)
    return Response(body, problem.status, headers, content_type=MEDIA_TYPE)


def _on_api_problem(problem: ApiProblem) -> Response:
    return reply(problem)


def _on_reachq_error(error: ReachqError) -> Response:
    if isinstance(error, BadInput):
        return reply(bad_fields([error]))
    status = STATUS_OF.get(error.code, 500)
    if status == 500:
        log.error("%s %r: %r", request.method, request.path, str(error))  # literals keep each entry on one line
    again_s = getattr(error, "retry_after_s", 1 if status == 503 else None)
    detail = str(error)
    if isinstance(error, StoreUnavailable) and "identity" not in g:  # do not show the address of Redis to clients
        log.warning("%s %r: %r", request.method, request.path, detail)
        detail = str(StoreUnavailable())
    return reply(ApiProblem(status, error.code, detail), {"Retry-After": str(again_s)} if again_s else None)


def _on_http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, RequestRedirect):
        status = 404  # each address has one spelling
    detail = DETAIL_OF.get(status) or error.description or HTTPStatus(status).phrase
    headers = {k: v for k, v in error.get_headers() if k.lower() in ("allow", "retry-after")}
    return reply(ApiProblem(status, code_of(status), detail), headers)


def _on_exception(error: Exception) -> Response:
    log.exception("%s %r failed", request.method, request.path, exc_info=error)
    return reply(ApiProblem(500, "internal-error", _INTERNAL))


def register(app: Flask) -> None:
    """Convert every error of `app` to a problem document."""
    app.register_error_handler(ApiProblem, _on_api_problem)
    app.register_error_handler(ReachqError, _on_reachq_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_exception)
