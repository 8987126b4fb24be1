"""The page of users: accounts, roles, new passwords. For administrators."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request
from werkzeug.wrappers import Response

from app.people.accounts import Accounts
from app.web.shell import Page, back_to, render
from ledger.errors import ReachqError
from ledger.people.records import role_of

ROLES = (
    ("user", "runs tests, sees only their own runs"),
    ("viewer", "sees all users’ runs; cannot run tests or change anything"),
    ("admin", "can do everything, including managing users"),
)


class PeoplePages:
    """The page `/people`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def page(self) -> Response:
        """Show all accounts."""
        return self._page()

    def back(self, name: str) -> Response:
        """Redirect to all accounts from an address that only accepts forms.

        A browser opens such an address if the user reloads the page after a refused form.
        """
        self._accounts.user(name)  # 404 for an unknown user
        return back_to("/people")

    def _page(
        self, status: int = 200, *, error: str = "", shown: tuple[str, str] = ("", ""), name: str = ""
    ) -> Response:
        return render(
            "people.html", status, people=self._accounts.users(), roles=ROLES, error=error, shown=shown, typed=name
        )

    def add(self) -> Response:
        """Add an account and show its password once."""
        name = request.form.get("name", "").strip()[:64]
        try:
            password = self._accounts.add_user(name, role_of(request.form.get("role", "")), None, by=g.identity.name)
        except ReachqError as bad:
            return self._page(422, error=str(bad), name=name)
        return self._page(shown=(name, password))

    def role(self, name: str) -> Response:
        """Change a role. The last administrator keeps theirs."""
        typed = request.form.get("role", "")
        return self._changed(
            lambda: self._accounts.set_role(name, role_of(typed), by=g.identity.name, keep_session=_own(name)), "role"
        )

    def password(self, name: str) -> Response:
        """Set a new random password and show it once. The account's sessions end."""
        try:
            password = self._accounts.set_password(name, None, by=g.identity.name, keep_session=_own(name))
        except ReachqError as bad:
            return self._page(422, error=str(bad))
        return self._page(shown=(name, password))

    def remove(self, name: str) -> Response:
        """Remove an account with its sessions and tokens. Its runs are kept."""
        return self._changed(lambda: self._accounts.remove_user(name, by=g.identity.name), "removed")

    def _changed(self, change: Callable[[], object], message: str) -> Response:
        try:
            change()
        except ReachqError as bad:
            return self._page(422, error=str(bad))
        return back_to("/people", message)

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/people", "people", self.page, "admin"),
            Page("GET", "/people/<name>/role", "people_role_page", self.back, "admin"),
            Page("GET", "/people/<name>/password", "people_password_page", self.back, "admin"),
            Page("GET", "/people/<name>/remove", "people_remove_page", self.back, "admin"),
            Page("POST", "/people", "people_add", self.add, "admin"),
            Page("POST", "/people/<name>/role", "people_role", self.role, "admin"),
            Page("POST", "/people/<name>/password", "people_password", self.password, "admin"),
            Page("POST", "/people/<name>/remove", "people_remove", self.remove, "admin"),
        ]


def _own(name: str) -> str:
    """Return the id of the current session if the account is the user's own, so that it stays open; otherwise ""."""
    return str(g.identity.session_id) if name == g.identity.name else ""
