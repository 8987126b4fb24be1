"""Who may in: everything wants the token, except the few endpoints that are named public.

API clients send `Authorization: Bearer <token>`. Under /rq, which people open in a browser, HTTP Basic with any
user name and the token as password counts too.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from flask import Flask, Response, request

from app.http import problems

PUBLIC_ENDPOINTS = frozenset({"healthz", "readyz", "openapi"})
GUARDED = ("/api", "/rq")


def guard(app: Flask, token: str) -> None:
    """Refuse, before anything else looks at it, each request to `app` that does not carry `token`."""
    secret = token.encode()

    @app.before_request
    def _check() -> Response | None:
        if request.endpoint in PUBLIC_ENDPOINTS:
            return None
        under = next((p for p in GUARDED if request.path == p or request.path.startswith(p + "/")), None)
        if under is None and request.endpoint is None:
            return None  # a 404, which tells nobody anything
        if any(hmac.compare_digest(offer, secret) for offer in _offers(basic=under == "/rq")):
            return None
        scheme = 'Basic realm="reachq", charset="UTF-8"' if under == "/rq" else 'Bearer realm="reachq"'
        return problems.reply(
            problems.ApiProblem(
                401,
                "unauthorized",
                "This needs the access token: send Authorization: Bearer <token>. "
                "`reachq up` prints it; it stands in the file `token` of the data folder.",
            ),
            {"WWW-Authenticate": scheme},
        )


def _offers(*, basic: bool) -> list[bytes]:
    """The token(s) the request offers; none when its header makes no sense."""
    header = request.headers.get("Authorization", "")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return [rest.strip().encode("utf-8", "surrogateescape")]
    if basic and scheme.lower() == "basic":
        try:
            _, _, password = base64.b64decode(rest.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return []
        return [password]
    return []
