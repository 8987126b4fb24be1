"""rq-dashboard under /rq: behind the token, and for looking only.

What it may serve is named here; everything else it has (requeue, delete, empty, compact — one of them by GET) is
refused, since it would go around the dispatcher. Its page numbers and names are checked before it sees
them, because it answers nonsense with a crash. Job descriptions are made by ledger.redis.rq_layout and hold no user text;
and since its pages put what they fetch into themselves as markup (a traceback, a worker's name) while they must be
allowed inline scripts, those texts are escaped on their way.
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
"""Endpoints that only read."""
CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)
"""Its pages carry inline scripts and templates compiled in the browser; they reach nothing but this server."""
AS_MARKUP = frozenset(f"rq_dashboard.{name}" for name in ("list_queues", "list_workers", "list_jobs", "job_info"))
"""Endpoints whose JSON its scripts (0.9.1) turn into markup."""
_ESCAPED_THERE = {"rq_dashboard.list_jobs": frozenset({"description", "exc_info"})}
"""But these they escape themselves."""
_REGISTRIES = frozenset({"queued", "failed", "deferred", "started", "finished", "canceled", "scheduled"})
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_JOB = re.compile(r"[0-9a-f-]{36}")


def mount(app: Flask, settings: Settings) -> None:
    """Put the guarded dashboard into `app`; it opens its own connection to the same Redis."""
    app.config["RQ_DASHBOARD_REDIS_URL"] = (shown(settings.redis_address),)  # its pages show it
    app.config["RQ_DASHBOARD_DISABLE_DELETE"] = True
    vars(app)["redis_conn"] = open_client(settings.redis_address, timeout_s=READ_TIMEOUT_S, text=False)
    rq_dashboard.web.config.serializer = JSONSerializer
    rq_dashboard.web.from_url = _connected
    rq_dashboard.web.Worker = _Workers
    app.register_blueprint(rq_dashboard.blueprint, url_prefix=PREFIX)
    if not app.has_static_folder:  # its pages link to a favicon there
        app.add_url_rule("/static/<path:filename>", endpoint="static", build_only=True)
    app.url_map.redirect_defaults = False
    app.register_error_handler(NoSuchJobError, _absent)
    app.register_error_handler(RedisError, _unavailable)

    @app.before_request
    def _read_only() -> Response | None:
        if isinstance(
            elsewhere := request.routing_exception, RequestRedirect
        ):  # /rq to /rq/, but on whatever host it is
            return Response(status=308, headers={"Location": urlsplit(elsewhere.new_url).path})
        if request.blueprint != "rq_dashboard":
            return None
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(["GET", "HEAD"], "The dashboard is for looking only.")
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
    """The dashboard reads the jobs of busy workers with RQ's default serializer, and fails: ours are JSON."""

    @classmethod
    def all(cls, connection: Redis | None = None, **_more: Any) -> list[BaseWorker]:  # type: ignore[override]
        """All workers that RQ knows."""
        return Worker.all(connection, serializer=JSONSerializer)


def _connected(*_address: object, **_options: object) -> tuple[None, Redis]:
    """In place of the dashboard's own way to connect, which would open another client for each page, without time limits."""
    return None, current_app.redis_conn  # type: ignore[attr-defined]


def _escaped(said: Any, kept: frozenset[str]) -> Any:
    """JSON-ready data with every text in it escaped, but those under the names `kept`."""
    if isinstance(said, dict):
        return {name: value if name in kept else _escaped(value, kept) for name, value in said.items()}
    if isinstance(said, list):
        return [_escaped(value, kept) for value in said]
    return html.escape(said) if isinstance(said, str) else said


def _absent(_: NoSuchJobError) -> Response:
    return reply(ApiProblem(404, "not-found", "There is no such job; it may have ended and been tidied away."))


def _unavailable(error: RedisError) -> Response:
    try:
        with translated():
            raise error
    except ReachqError as said:
        return reply(ApiProblem(503, "store-unavailable", str(said)), {"Retry-After": "1"})


def _plain(args: dict[str, Any]) -> bool:
    """Whether the parts of the address are ones the dashboard can serve."""
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
