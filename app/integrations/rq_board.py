"""rq-dashboard under /rq, with authentication and read-only.

Only the endpoints listed here are served. All others (requeue, delete, empty, compact; one of them uses GET) are
refused, because they would bypass the dispatcher. Page numbers and names are checked first, because rq-dashboard
crashes on invalid ones. Job descriptions come from ledger.redis.rq_layout and contain no text from users. The
dashboard's pages need inline scripts and insert fetched data as markup (a traceback, a worker's name), so these texts
are escaped before they are sent.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import urlsplit

import rq_dashboard
import rq_dashboard.web
from flask import Flask, Response, current_app, request
from redis import Redis
from redis.exceptions import RedisError
from rq import Worker
from rq.exceptions import NoSuchJobError
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from app.http.problems import ApiProblem, reply
from ledger.errors import ReachqError
from ledger.redis.address import open_client, shown
from ledger.redis.connection import translated
from ledger.settings import Settings

PREFIX = "/rq"
READ_TIMEOUT_S = 5.0
SAFE = frozenset(
    f"rq_dashboard.{name}"
    for name in (
        "static", "favicon", "queues_overview", "workers_overview", "jobs_overview", "job_view",
        "list_queues", "list_workers", "list_jobs", "job_info",
    )
)  # fmt: skip
"""The endpoints that are served, all of them read-only."""
CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)
"""Content Security Policy of the dashboard.

It allows inline scripts and templates that are compiled in the browser, because the dashboard has these. They can reach
only this server.
"""
AS_MARKUP = frozenset(f"rq_dashboard.{name}" for name in ("list_queues", "list_workers", "list_jobs", "job_info"))
"""Endpoints whose JSON the dashboard's scripts (0.9.1) insert as markup."""
_ESCAPED_THERE = {"rq_dashboard.list_jobs": frozenset({"description", "exc_info"})}
"""Fields that the dashboard escapes itself."""
_REGISTRIES = frozenset({"queued", "failed", "deferred", "started", "finished", "canceled", "scheduled"})
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_JOB = re.compile(r"[0-9a-f-]{36}")


def mount(app: Flask, settings: Settings) -> None:
    """Add the guarded dashboard to `app`. It opens its own connection to the same Redis."""
    app.config["RQ_DASHBOARD_REDIS_URL"] = (shown(settings.redis_address),)  # the dashboard's pages show it
    app.config["RQ_DASHBOARD_DISABLE_DELETE"] = True
    vars(app)["redis_conn"] = open_client(settings.redis_address, timeout_s=READ_TIMEOUT_S, text=False)
    rq_dashboard.web.config.serializer = JSONSerializer
    rq_dashboard.web.from_url = _connected
    rq_dashboard.web.Worker = _Workers
    app.register_blueprint(rq_dashboard.blueprint, url_prefix=PREFIX)
    if not app.has_static_folder:  # the dashboard's pages link to a favicon there
        app.add_url_rule("/static/<path:filename>", endpoint="static", build_only=True)
    app.url_map.redirect_defaults = False
    app.register_error_handler(NoSuchJobError, _absent)
    app.register_error_handler(RedisError, _unavailable)

    @app.before_request
    def _read_only() -> Response | None:
        if isinstance(
            elsewhere := request.routing_exception, RequestRedirect
        ):  # redirect /rq to /rq/ relative to the current host
            return Response(status=308, headers={"Location": urlsplit(elsewhere.new_url).path})
        if request.blueprint != "rq_dashboard":
            return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(["GET", "HEAD"], "The dashboard is read-only.")
        if request.endpoint not in SAFE or not _plain(request.view_args or {}):
            raise NotFound
        return None

    @app.after_request
    def _as_text(response: Response) -> Response:
        if request.endpoint in AS_MARKUP and response.is_json:
            kept = _ESCAPED_THERE.get(request.endpoint, frozenset())
            response.set_data(json.dumps(_escaped(response.get_json(), kept)))
        return response


class _Workers(Worker):
    """RQ workers for the dashboard, with the right serializer.

    The dashboard reads the jobs of busy workers with RQ's default serializer, which fails because our jobs are JSON.
    """

    @classmethod
    def all(cls, connection: Redis | None = None, **_more: Any) -> list[BaseWorker]:  # type: ignore[override]
        """Return all workers registered in RQ."""
        return Worker.all(connection, serializer=JSONSerializer)


def _connected(*_address: object, **_options: object) -> tuple[None, Redis]:
    """Return our client for Redis, in place of the dashboard's own connect function.

    That function would open another client for each page, without timeouts.
    """
    return None, current_app.redis_conn  # type: ignore[attr-defined]


def _escaped(data: Any, kept: frozenset[str]) -> Any:
    """Return JSON-ready data with every text escaped, except those under the names in `kept`."""
    if isinstance(data, dict):
        return {name: value if name in kept else _escaped(value, kept) for name, value in data.items()}
    if isinstance(data, list):
        return [_escaped(value, kept) for value in data]
    return html.escape(data) if isinstance(data, str) else data


def _absent(_: NoSuchJobError) -> Response:
    return reply(ApiProblem(404, "not-found", "There is no such job; it may have ended and been removed."))


def _unavailable(error: RedisError) -> Response:
    try:
        with translated():
            raise error
    except ReachqError as said:
        return reply(ApiProblem(503, "store-unavailable", str(said)), {"Retry-After": "1"})


def _plain(args: dict[str, Any]) -> bool:
    """Return whether the dashboard can serve these parts of the address."""
    page, per_page = str(args.get("page", 1)), str(args.get("per_page", 8))
    return (
        args.get("instance_number") in (None, 0)
        and args.get("registry_name", "queued") in _REGISTRIES
        and args.get("order", "asc") in ("asc", "dsc")
        and page.isascii() and page.isdigit() and int(page[:9]) >= 1 and len(page) < 9
        and per_page.isascii() and per_page.isdigit() and len(per_page) < 4 and 1 <= int(per_page) <= 100
        and (args.get("queue_name") is None or bool(_QUEUE.fullmatch(args["queue_name"])))
        and (args.get("job_id") is None or bool(_JOB.fullmatch(args["job_id"])))
    )  # fmt: skip
