"""Creates the Flask application: the API, its document, the pages, the guard, the headers, rq-dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, request

from app.api import openapi
from app.api.batches import BatchViews
from app.api.changes import ChangeViews
from app.api.hosts import HostViews
from app.api.networks import NetworkViews
from app.api.routes import JSON, Answer, Route
from app.api.runs import RunViews
from app.api.snapshots import SnapshotViews
from app.api.system import SystemViews
from app.http import problems
from app.http.strict_json import BATCH_MAX, BODY_MAX, UPLOAD_MAX
from app.integrations import rq_board
from app.integrations.metrics import Metrics
from app.live.feed import Feed
from app.people.accounts import Accounts
from app.people.guard import Guard
from app.people.identity import PUBLIC
from app.web import links, pages, shell
from app.web.views import board
from ledger.errors import UnsuitableStore
from ledger.settings import Settings
from ledger.store import AppLedger

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send forms with `Origin: null`, as a forged request would
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ALWAYS_ANSWERED = ("/healthz", "/readyz", "/static")
"""Addresses that also answer while the Redis server is unsuitable."""
LARGE = {
    **dict.fromkeys(("/api/snapshots", "/snapshots"), UPLOAD_MAX),
    **dict.fromkeys(("/api/batches", "/api/changes", "/changes", "/what-if", "/many"), BATCH_MAX),
}
"""Address -> the limit of its body, where it is higher than BODY_MAX. See app.http.connections.LARGE."""
KEEPABLE = ("rq_dashboard.static", "web.static")


def create_app(
    settings: Settings,
    *,
    ledger: AppLedger,
    feed: Feed,
    metrics: Metrics,
    token: str,
    unsuitable: Callable[[], str] = lambda: "",
) -> Flask:
    """Create the application for this ledger. `token` is the system token.

    Everything requires authentication, except the health addresses, the OpenAPI document, static files and the sign-in
    page. While `unsuitable` returns a reason, every address except ALWAYS_ANSWERED answers with it.
    """
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    app.before_request(_allow_large)
    app.before_request(partial(_refuse_unsuitable, unsuitable))  # before the guard, which reads sessions
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # each address has one spelling; a redirect would only hide a mistake
    accounts = Accounts(ledger)
    guard = Guard(app, accounts, settings, token)
    problems.register(app)
    routes = api_routes(settings, ledger, feed)
    for route in routes:
        guard.permit(route.name, PUBLIC if route.public else route.role)
        app.add_url_rule(route.path, endpoint=route.name, view_func=route.view, methods=[route.method])
    app.add_url_rule("/metrics", endpoint="metrics", view_func=partial(_metrics, metrics), methods=["GET"])
    pages.mount_all(app, settings, ledger, accounts, guard, openapi.document(routes))
    prefix, render_board = links.prefix_of(settings), board.rendering(app, ledger)
    if prefix:
        app.after_request(partial(links.move_below, prefix))
        feed.board_renderer.render = lambda: links.below(prefix, render_board())
    else:
        feed.board_renderer.render = render_board
        rq_board.mount(app, settings)
    app.after_request(_secure)
    return app


def _allow_large() -> None:
    """Raise the limit of the body for the addresses that take archives or lists of questions."""
    if request.method == "POST" and request.path in LARGE:
        request.max_content_length = LARGE[request.path]
        request.max_form_memory_size = BATCH_MAX


def _refuse_unsuitable(unsuitable: Callable[[], str]) -> None:
    """Refuse the request while the Redis server is unsuitable, for example because another version works with it."""
    if (reason := unsuitable()) and not request.path.startswith(ALWAYS_ANSWERED):
        raise UnsuitableStore(reason)


def _metrics(metrics: Metrics) -> Response:
    body, content_type = metrics.exposition()
    return Response(body, content_type=content_type)


def api_routes(settings: Settings, ledger: AppLedger, feed: Feed) -> list[Route]:
    """Return all operations, including the document that describes them."""
    routes = [
        *RunViews(ledger, feed.endings).routes(),
        *BatchViews(ledger).routes(),
        *SnapshotViews(ledger).routes(),
        *ChangeViews(ledger, feed.endings).routes(),
        *NetworkViews(ledger).routes(),
        *HostViews(ledger).routes(),
        *SystemViews(ledger, feed, settings.bench).routes(),
    ]
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
    """Set the security headers of every response. rq-dashboard keeps its own policy for scripts, and its cache headers."""
    board = request.blueprint == "rq_dashboard"
    for name, value in HEADERS.items():
        if name == "Cache-Control" and name in response.headers and request.endpoint in KEEPABLE:
            continue
        response.headers[name] = value
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = rq_board.CSP if board else shell.CSP
    return response
