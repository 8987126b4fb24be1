"""Sign-in and sign-out, and the user's account with password, sessions and tokens."""

from __future__ import annotations

from flask import g, make_response, redirect, request
from werkzeug.wrappers import Response

from app.people.accounts import Accounts, BadCredentials, Throttled
from app.people.guard import Guard
from app.people.origin import local_path
from app.web.shell import Page, back_to, render
from ledger.errors import ReachqError


class AccountPages:
    """The pages `/sign-in`, `/sign-out` and `/account`."""

    def __init__(self, accounts: Accounts, guard: Guard) -> None:
        self._accounts = accounts
        self._guard = guard

    def form(self) -> Response:
        """Show the sign-in form, or redirect a user who is already signed in."""
        onward = local_path(request.args.get("next", ""))
        if self._guard.visitor():
            return redirect(onward, 303)
        return render("sign_in.html", onward=onward, name="", error="")

    def sign_in(self) -> Response:
        """Start a new session if the password is right. A session that the request already has is replaced."""
        onward = local_path(request.form.get("next", ""))
        name = request.form.get("name", "").strip()[:64]
        password, agent = request.form.get("password", ""), request.headers.get("User-Agent", "")
        address, old = self._guard.address(), self._guard.cookie()
        try:
            cookie, _ = self._accounts.sign_in(name, password, address, agent, old_cookie=old)
        except Throttled as wait:
            answer = render("sign_in.html", 429, onward=onward, name=name, error=str(wait))
            answer.headers["Retry-After"] = str(wait.retry_after_s)
            return answer
        except BadCredentials as bad:
            return render("sign_in.html", 403, onward=onward, name=name, error=str(bad))
        answer = make_response(redirect(onward, 303))
        self._guard.set_cookie(answer, cookie)
        return answer

    def sign_out(self) -> Response:
        """End this session."""
        self._accounts.sign_out(self._guard.cookie())
        answer = make_response(redirect("/sign-in?said=signed-out", 303))
        self._guard.clear_cookie(answer)
        return answer

    def account(self) -> Response:
        """Show the form for the password, the tokens and the sessions."""
        return self._account()

    def back(self) -> Response:
        """Redirect to the account from an address that only accepts forms.

        A browser opens such an address if the user reloads the page after a refused form.
        """
        return back_to("/account")

    def _account(self, status: int = 200, *, secret: str = "", error: str = "", at: str = "") -> Response:
        name = g.identity.name
        return render(
            "account.html",
            status,
            tokens=self._accounts.tokens(name),
            sessions=self._accounts.sessions(name),
            secret=secret,
            error=error,
            at=at,
        )

    def password(self) -> Response:
        """Change the password. All other sessions end, and this one continues with a new cookie."""
        new = request.form.get("new", "")
        if new != request.form.get("again", ""):
            return self._account(422, error="The new passwords do not match: type the same one twice.", at="password")
        session = self._accounts.find_session(self._guard.cookie())
        if session is None:
            return self._account(422, error="A token has no password: sign in to change yours.", at="password")
        try:
            cookie, _ = self._accounts.change_own_password(session, request.form.get("old", ""), new)
        except ReachqError as bad:
            return self._account(422, error=str(bad), at="password")
        answer = back_to("/account", "password")
        self._guard.set_cookie(answer, cookie)
        return answer

    def make_token(self) -> Response:
        """Create a token and show it once."""
        if not g.identity.session_id:  # otherwise, revoking a leaked token would not end a token that was made with it
            return self._account(422, error="A token cannot create tokens: sign in to create one.", at="token")
        label = request.form.get("label", "").strip()
        try:
            secret, _ = self._accounts.make_token(g.identity.name, label)
        except ReachqError as bad:
            return self._account(422, error=str(bad), at="token")
        return self._account(secret=secret)

    def revoke_token(self, token_id: str) -> Response:
        """Revoke a token."""
        self._accounts.revoke_token(g.identity.name, token_id)
        return back_to("/account", "revoked")

    def revoke_session(self, session_id: str) -> Response:
        """End one of the user's own sessions."""
        self._accounts.revoke_session(g.identity.name, session_id)
        return back_to("/account", "revoked")

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/sign-in", "sign_in_form", self.form, "public"),
            Page("POST", "/sign-in", "sign_in", self.sign_in, "public"),
            Page("POST", "/sign-out", "sign_out", self.sign_out),
            Page("GET", "/account", "account", self.account),
            Page("GET", "/account/password", "account_password_page", self.back),
            Page("GET", "/account/tokens", "account_token_page", self.back),
            Page("POST", "/account/password", "account_password", self.password),
            Page("POST", "/account/tokens", "account_token", self.make_token),
            Page("POST", "/account/tokens/<token_id>/revoke", "account_token_revoke", self.revoke_token),
            Page("POST", "/account/sessions/<session_id>/revoke", "account_session_revoke", self.revoke_session),
        ]
