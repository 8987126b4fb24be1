"""What all pages share: how they are declared and rendered, and the functions of their templates."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as AnyResponse

from app import formatting
from app.http.problems import FieldError
from app.people.identity import PUBLIC
from ledger.errors import TooManyWaiting
from netlab.results.services import service_name

NETWORKS = "reachq.networks"
"""Key in `app.extensions` of the links.Selector that pages show."""
STATIC = Path(__file__).with_name("static")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
NAVIGATION = (
    ("/", "New test", {"user", "admin"}),
    ("/runs", "Runs", {"viewer", "user", "admin"}),
    ("/network", "Network", {"viewer", "user", "admin"}),
    ("/snapshots", "Snapshots", {"viewer", "user", "admin"}),
    ("/changes", "Changes", {"viewer", "user", "admin"}),
    ("/board", "Board", {"viewer", "admin"}),
    ("/people", "People", {"admin"}),
    ("/audit", "Audit", {"admin"}),
)
TITLES = {
    401: "Sign-in required",
    403: "Access denied",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
}
PASSING = {429, 500, 503}
"""The statuses of errors for which the page offers to try again."""
MESSAGES = {
    "cancelled": ("good", "Cancellation requested."),
    "ended": ("warn", "The run had already ended; there was nothing left to cancel."),
    "none-cancelled": ("warn", "No waiting or running run matched; nothing was cancelled."),
    "paused": ("warn", "The bench is paused: running tests finish, new ones queue."),
    "paused-already": ("warn", "The bench was already paused; nothing changed."),
    "not-paused": ("warn", "The bench was not paused: another user resumed it first."),
    "resumed": ("good", "The bench has been resumed."),
    "host-drained": ("warn", "The host is drained: no run starts there; running ones finish."),
    "host-drained-already": ("warn", "The host was already drained; nothing changed."),
    "host-resumed": ("good", "The host has been resumed."),
    "host-not-drained": ("warn", "The host was not drained: another user resumed it first."),
    "restart": ("good", "Restart requested. Running tests will be retried."),
    "password": ("good", "Password changed. All other sessions of this account have ended."),
    "removed": ("good", "The account and its sessions and tokens have been removed."),
    "snapshot-used": ("good", "The snapshot is current now: new runs are tested on it as soon as its bench is ready."),
    "snapshot-pinned": ("good", "The snapshot is pinned."),
    "snapshot-unpinned": ("good", "The pin is removed."),
    "snapshot-removed": ("good", "The snapshot is removed."),
    "flows-stored": ("good", "The management flows are saved: every comparison asks them from now on."),
    "change-removed": ("good", "The comparison is removed."),
    "network-added": ("good", "The network is added. Push its first snapshot here, and make it current."),
    "network-removed": ("good", "The network and its snapshots are removed."),
    "role": ("good", "The role has been changed."),
    "revoked": ("good", "Revoked."),
    "signed-out": ("good", "You are signed out."),
}
"""{code: (kind, message)} of messages that a page shows once after a form was sent.

The address contains only the code, so that a link cannot make a page show any other text.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One address of the pages. `role` is the required role, a key of people.identity.ALLOWED or PUBLIC."""

    method: str
    path: str
    name: str
    view: Callable[..., Any]
    role: str = "viewer"


def mount(app: Flask, pages: Iterable[Page], permit: Callable[[str, str], None]) -> None:
    """Add the pages, their templates and their files to `app`. `permit` declares the role of each endpoint."""
    blueprint = Blueprint("web", __name__, template_folder="templates")
    for page in [*pages, Page("GET", "/static/<path:name>", "static", _file, PUBLIC)]:
        blueprint.add_url_rule(page.path, endpoint=page.name, view_func=page.view, methods=[page.method])
        permit(f"web.{page.name}", page.role)
    app.register_blueprint(blueprint)
    environment = app.jinja_env
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {
        "ago": formatting.ago,
        "duration": formatting.duration,
        "iso": iso,
        "short": formatting.short,
        "clock": clock,
        "code": code,
        "service": str,
        "service_name": service_name,
        "questions": lambda run: formatting.questions_of(run.questions, run.source, run.destination),
    }
    environment.globals |= {"static": _Static(), "csrf": csrf_field, "version": version("reachq"), "now_ms": now_ms}


def _file(name: str) -> Response:
    """Serve a static file. If its address contains the hash of its content, it may be cached indefinitely."""
    # rq-dashboard's pages request an icon with this name
    answer = send_from_directory(STATIC, "icon.svg" if name == "favicon.ico" else name, conditional=True)
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if request.args.get("v") else "no-cache"
    return answer


class _Static:
    """Function that returns the address of a static file.

    The address contains a hash of the content, so the file may be cached indefinitely.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._known:
            digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
            self._known[name] = f"/static/{name}?v={digest}"
        return self._known[name]


def render(template: str, http_status: int = 200, **values: Any) -> Response:
    """Render a page or a part of one."""
    me = g.get("identity")
    navigation = [{"href": href, "label": label} for href, label, roles in NAVIGATION if me and me.role in roles]
    kind, text = MESSAGES.get(request.args.get("said", ""), ("", ""))
    flashed = [{"kind": kind, "text": text}] if text else []
    choices = current_app.extensions[NETWORKS](request.path) if me else []
    frame = {
        "networks": choices,
        "me": me,
        "navigation": navigation,
        "here": request.path,
        "get_flashed": lambda: flashed,
    }
    return make_response(render_template(template, **frame, **values), http_status)


def back_to(path: str, message: str = "") -> AnyResponse:
    """Redirect (303) to a page, which then shows this message (a key of MESSAGES)."""
    return redirect(f"{path}{'&' if '?' in path else '?'}said={message}" if message else path, 303)


def later(page: AnyResponse, refused: TooManyWaiting) -> AnyResponse:
    """Return the page with a Retry-After header."""
    page.headers["Retry-After"] = str(refused.retry_after_s)
    return page


def error_page(status: int, detail: str, errors: Iterable[FieldError] = ()) -> Response:
    """Render an error as a page."""
    title = TITLES.get(status) or HTTPStatus(status).phrase
    again = request.full_path.rstrip("?") if status in PASSING and request.method == "GET" else ""
    return render(
        "error.html", status, status_code=status, title=title, detail=detail, errors=list(errors), again=again
    )


def csrf_field() -> Markup:
    """Return the hidden field with the session's CSRF token, which every form contains."""
    me = g.get("identity")
    return Markup('<input type="hidden" name="csrf" value="{}">').format(me.csrf if me else "")


def code(text: object) -> Markup:
    """Escape a text, and mark what is between backticks in it as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # the last backtick has no partner
        parts[-2:] = ["`".join(parts[-2:])]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def now_ms() -> int:
    """Return the time of this machine's clock in ms, to compute ages."""
    return int(time.time() * 1000)


def iso(ms: int) -> str:
    """Format a time, for example as `2026-11-25T14:03:07Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(ms: int) -> str:
    """Format a time for tooltips and exports, for example as `2026-11-25 14:03:07 UTC`."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
