"""The Flask application, wired: the API, its document, the guard, the headers, the dashboard."""

from __future__ import annotations

import json

from flask import Flask, Response, request

from app.api import openapi
from app.api.routes import JSON, Answer, Route
from app.api.runs import RunViews
from app.api.system import SystemViews
from app.http import problems
from app.http.strict_json import BODY_MAX
from app.live.feed import Feed
from app.neighbours import rq_board
from app.people.accounts import Accounts
from app.people.guard import Guard
from app.people.identity import PUBLIC
from ledger.settings import Settings
from ledger.store import Ledger

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send forms with `Origin: null`, as a forger would
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(settings: Settings, *, ledger: Ledger, feed: Feed, token: str) -> Flask:
    """The application over this ledger; `token` is the system's own. All but health and the OpenAPI document is guarded."""
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # an address has one spelling; a redirect would only hide a mistake
    guard = Guard(app, Accounts(ledger), settings, token)
    problems.register(app)
    for route in api_routes(settings, ledger, feed):
        guard.permit(route.name, PUBLIC if route.public else route.role)
        app.add_url_rule(route.path, endpoint=route.name, view_func=route.view, methods=[route.method])
    rq_board.mount(app, settings)
    app.after_request(_secure)
    return app


def api_routes(settings: Settings, ledger: Ledger, feed: Feed) -> list[Route]:
    """Every operation, the document that describes them included."""
    routes = [*RunViews(ledger).routes(), *SystemViews(ledger, feed, settings.bench).routes()]
    description = b""

    def document() -> Response:
        return Response(description, content_type=JSON)

    routes.append(
        Route(
            "GET", "/api/openapi.json", "openapi", document, "This document",
            {200: Answer("The OpenAPI 3.1 document of this API.")}, public=True,
        )
    )  # fmt: skip
    description = json.dumps(openapi.document(routes), indent=1).encode()
    return routes


def _secure(response: Response) -> Response:
    """Headers for every answer; the dashboard keeps its scripts and may be cached where it says so."""
    board = request.blueprint == "rq_dashboard"
    for name, value in HEADERS.items():
        if name == "Cache-Control" and board and request.endpoint == "rq_dashboard.static":
            continue
        response.headers[name] = value
    if board and response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = rq_board.CSP
    return response
