"""Users of each role with a session and a token, and an application with test pages for the guard, really served."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from flask import Flask, Response, request

from app.http.server import Server
from app.people.accounts import Accounts
from app.people.guard import Guard
from app.people.identity import PUBLIC, current, require
from ledger.people.records import Session, UserRole
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.web import Web, application

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """A user, signed in, with an API token."""

    name: str
    role: UserRole
    cookie: str
    session: Session
    token: str

    def browser(self, *, csrf: bool = True, name: str = "reachq") -> dict[str, str]:
        """Headers of a request from their browser."""
        return {"Cookie": f"{name}={self.cookie}"} | ({"X-CSRF-Token": self.session.csrf} if csrf else {})

    def program(self) -> dict[str, str]:
        """Headers of a request with their token."""
        return {"Authorization": f"Bearer {self.token}"}


def person(ledger: Ledger, name: str, role: str) -> Person:
    """A new user; the password is not checked here and takes no time."""
    ledger.add_user(name, UserRole(role), "not looked at", by="test")
    cookie = f"cookie-of-{name}-{'x' * 20}"
    session = ledger.start_session(name, cookie, via="password", address="127.0.0.1", agent="test")
    assert session is not None
    token, _ = Accounts(ledger).make_token(name, "test")
    return Person(name, UserRole(role), cookie, session, token)


class Served(Web):
    """An application served by our own server in a thread of the test."""

    def __init__(self, app: Flask) -> None:
        self.server = Server("127.0.0.1", 0, app)
        self.server.prepare()
        self.port = self.server.bind_addr[1]
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()

    def stop(self) -> float:
        self.server.stop()
        self.thread.join(patience(10))
        return 0.0

    def connect(self, timeout_s: float = 10.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience(timeout_s))


@contextmanager
def served(settings: Settings, ledger: Ledger) -> Iterator[Served]:
    """The application with a few plain pages in place of the real ones: / for viewers, /submit for users, /undeclared."""
    with patch("app.factory.pages.mount_all"), patch("app.factory.board.rendering"):
        app = application(settings, ledger)
    add_pages(app, Accounts(ledger), app.extensions["guard"])
    web = Served(app)
    try:
        yield web
    finally:
        web.stop()


def add_pages(app: Flask, accounts: Accounts, guard: Guard) -> None:
    """See `served`."""

    @require("viewer")
    def home() -> str:
        found = current()
        return "" if found is None else f"{found.name} {found.role} {found.via} {found.csrf}"

    @require("user")
    def submit() -> str:
        return "submitted"

    @require(PUBLIC)
    def sign_in() -> Response:
        if request.method == "GET":
            seen = guard.visitor()
            return Response(seen.name if seen else "nobody")
        form = request.form
        cookie, _ = accounts.sign_in(
            form["name"], form["password"], guard.address(), request.headers.get("User-Agent", ""),
            old_cookie=guard.cookie(),
        )  # fmt: skip
        answer = Response("welcome")
        guard.set_cookie(answer, cookie)
        return answer

    @require(PUBLIC)
    def sign_out() -> Response:
        answer = Response("goodbye")
        guard.clear_cookie(answer)
        return answer

    def plain() -> str:
        return "shown"

    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/runs/<path:rest>", endpoint="deep", view_func=require("viewer")(lambda rest: rest))
    app.add_url_rule("/submit", view_func=submit, methods=["POST"])
    app.add_url_rule("/sign-in", view_func=sign_in, methods=["GET", "POST"])
    app.add_url_rule("/sign-out", view_func=sign_out, methods=["GET"])
    app.add_url_rule("/undeclared", view_func=plain)
