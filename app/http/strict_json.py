"""Reads a request's JSON body strictly, so that ambiguous input is rejected."""

from __future__ import annotations

import json
from typing import NoReturn

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.http.problems import ApiProblem, FieldError

BODY_MAX = 64 * 1024
BATCH_MAX = 2 * 1024 * 1024
"""Maximum size of a batch of questions, in bytes."""
UPLOAD_MAX = 32 * 1024 * 1024
"""Maximum size of an uploaded archive of facts, in bytes."""


def read_object(request: Request) -> dict[str, object]:
    """Return the body as a JSON object.

    Raises ApiProblem 415 (not application/json), 413 (too large for this address) or 400 (not UTF-8, not JSON, NaN or
    Infinity, a repeated name, nested too deeply, not an object).
    """
    if request.mimetype != "application/json":
        raise ApiProblem(
            415, "unsupported-media-type", "Send the request as JSON, with Content-Type: application/json."
        )
    body = _body(request)
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError as bad:
        raise ApiProblem(400, "bad-json", f"The body is not UTF-8 (byte {bad.start}).") from None
    except RecursionError:
        raise ApiProblem(400, "bad-json", "The body is nested too deeply.") from None
    except ValueError as bad:
        raise ApiProblem(400, "bad-json", f"The body is not JSON: {bad}.") from None
    if not isinstance(document, dict):
        raise ApiProblem(400, "bad-json", 'The body must be a JSON object, such as {"source": "10.1.10.20", …}.')
    return document


def _body(request: Request) -> bytes:
    try:
        return request.get_data(cache=False)
    except ClientDisconnected as cut:
        if str(cut.__context__) == "Request Entity Too Large":  # how cheroot reports a chunked body that is too large
            raise RequestEntityTooLarge from None
        raise ApiProblem(400, "bad-json", f"The body could not be read: {cut.__context__}.") from None


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            shown = name[:40]
            raise ApiProblem(
                400,
                "bad-json",
                f"The body names {shown!r} twice; give it once.",
                [FieldError(field=shown, message="is given twice: give it once")],
            )
        members[name] = value
    return members


def _no_constant(name: str) -> NoReturn:
    raise ApiProblem(400, "bad-json", f"The body contains {name}, which is not JSON.")
