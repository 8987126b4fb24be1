"""Accounts: sign-in, users, passwords, API tokens. Used by the pages and by the `reachq` command.

Every change adds an audit event, which the ledger writes together with the change. Secrets (cookies, tokens, generated
passwords) are created here, returned once and not stored. Independent of HTTP, which is the guard's part.
"""

from __future__ import annotations

import math
import secrets
from ipaddress import IPv6Network

from app.people import passwords
from ledger.errors import ReachqError, UserNotFound
from ledger.people.records import Session, Token, User, UserRole, is_name
from ledger.store import AppLedger

FIRST_ADMIN = "admin"
TOKEN_PREFIX = "rq_"
"""Makes a token recognizable wherever it appears."""


class BadCredentials(ReachqError):
    """Wrong name or password."""

    code = "bad-credentials"


class Throttled(ReachqError):
    """Too many failed attempts; `retry_after_s` says when the next one is allowed."""

    code = "throttled"

    def __init__(self, retry_after_s: int) -> None:
        minutes = math.ceil(retry_after_s / 60)
        wait = f"{retry_after_s} s" if retry_after_s < 100 else f"{minutes} minutes"
        super().__init__(f"Too many failed attempts to sign in; try again in {wait}, or ask an admin.")
        self.retry_after_s = retry_after_s


class Accounts:
    """All operations on users, sessions and tokens. Raises ledger.errors and the errors above.

    Case and surrounding spaces in a name do not matter. `by` is the acting user, for the audit trail.
    """

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    # sign-in and sign-out

    def sign_in(
        self, name: str, password: str, address: str, agent: str, *, old_cookie: str = ""
    ) -> tuple[str, Session]:
        """Start a session: returns (its cookie, the session). The session of `old_cookie` ends, so none is ever reused.

        BadCredentials, which does not reveal whether the name exists (nor does the response time); Throttled;
        passwords.Busy.
        """
        name = name.strip().lower()
        stored = self._check(name, password, address)
        renewed = passwords.renewed(stored, password)
        begun = self._begin(name, via="password", address=address, agent=agent, verified=stored, renewed=renewed)
        if begun is None:
            raise BadCredentials
        if old_cookie:
            self._ledger.end_session(old_cookie)
        return begun

    def sign_in_from_proxy(self, name: str, address: str, agent: str) -> tuple[str, Session] | None:
        """Start a session for a user authenticated by a trusted proxy; None when there is no such user."""
        name = name.strip().lower()
        return self._begin(name, via="proxy", address=address, agent=agent) if is_name(name) else None

    def sign_out(self, cookie: str) -> None:
        """End the session of this cookie, if there is one."""
        self._ledger.end_session(cookie)

    def find_session(self, cookie: str) -> Session | None:
        """The session of this cookie; None when there is none or it has ended."""
        return self._ledger.find_session(cookie)

    def sessions(self, user: str) -> list[Session]:
        """The sessions of a user, last used first."""
        return self._ledger.sessions(user)

    def revoke_session(self, user: str, session_id: str, *, by: str = "") -> None:
        """End one session of a user; SessionNotFound."""
        self._ledger.dismiss_session(user, session_id, by=by or user)

    # users

    def ensure_admin(self) -> str | None:
        """On the first start (no user exists): add `admin` and return the password once; otherwise None.

        When several processes start at once, one of them gets the password.
        """
        if self._ledger.any_user():
            return None
        password = passwords.generate()
        stored = passwords.hashed(password, FIRST_ADMIN)
        made = self._ledger.add_user(FIRST_ADMIN, UserRole.ADMIN, stored, by="up", first=True)
        return password if made else None

    def add_user(self, name: str, role: UserRole, password: str | None, *, by: str) -> str:
        """Add a user; returns the password, a random one when none is given. UserExists, BadInput."""
        name = name.strip().lower()
        password = password if password is not None else passwords.generate()
        self._ledger.add_user(name, role, passwords.hashed(password, name), by=by)
        return password

    def set_role(self, name: str, role: UserRole, *, by: str, keep_session: str = "") -> bool:
        """Change a user's role, which ends the user's sessions; False when it is unchanged. LastAdmin, UserNotFound."""
        return self._ledger.update_user(name, role=role, by=by, keep=keep_session)

    def set_password(self, name: str, new: str | None, *, by: str, keep_session: str = "") -> str:
        """Change a user's password (None: a random one), which ends the user's sessions; returns the password.

        Also unlocks an account that failed attempts have locked. UserNotFound, BadInput.
        """
        self._ledger.user(name)
        new = new if new is not None else passwords.generate()
        self._ledger.update_user(name, password=passwords.hashed(new, name), by=by, keep=keep_session)
        self._ledger.reset_login_attempts(name)
        return new

    def change_own_password(self, session: Session, old: str, new: str) -> tuple[str, Session]:
        """Change the user's own password: all sessions end, a new one starts and is returned as by `sign_in`.

        BadCredentials for a wrong old password, Throttled as for sign-in; BadInput for the new one.
        """
        stored = passwords.hashed(new, session.user)
        self._check(session.user, old, session.address)
        self._ledger.update_user(session.user, password=stored, by=session.user)
        begun = self._begin(
            session.user, via=session.via, address=session.address, agent=session.agent, verified=stored
        )
        if begun is None:
            raise BadCredentials("Another session changed the password at the same moment.")
        return begun

    def remove_user(self, name: str, *, by: str) -> None:
        """Remove a user with all sessions and tokens; the runs are kept. LastAdmin, UserNotFound."""
        self._ledger.remove_user(name, by=by)

    def users(self) -> list[User]:
        """All users by name, with the time of last use and the number of sessions and tokens."""
        return self._ledger.users()

    def user(self, name: str) -> User:
        """One user; UserNotFound."""
        return self._ledger.user(name)

    # tokens

    def make_token(self, user: str, label: str, *, by: str = "") -> tuple[str, Token]:
        """Create an API token for a user: returns (its secret, the token). UserNotFound, TooManyTokens, BadInput."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return secret, self._ledger.add_token(user, secret, label, by=by or user)

    def tokens(self, user: str) -> list[Token]:
        """The tokens of a user, newest first."""
        return self._ledger.tokens(user)

    def revoke_token(self, user: str, token_id: str, *, by: str = "") -> None:
        """Revoke a token; TokenNotFound."""
        self._ledger.revoke_token(user, token_id, by=by or user)

    def find_token(self, secret: str) -> Token | None:
        """The token with this secret, with its owner's current role; None when there is none."""
        return self._ledger.find_token(secret) if secret.startswith(TOKEN_PREFIX) else None

    # checks of long-lived streams: they do not count as use of the session or token

    def still_signed_in(self, cookie: str, role: UserRole) -> bool:
        """Whether this cookie's session still exists, and its user has this role."""
        session = self._ledger.find_session(cookie, noting=False)
        return session is not None and session.role is role

    def still_valid_token(self, secret: str, role: UserRole) -> bool:
        """Whether this token still exists, and its owner has this role."""
        token = self._ledger.find_token(secret, noting=False)
        return token is not None and token.role is role

    def still_user(self, name: str, role: UserRole) -> bool:
        """Whether this user still exists, with this role."""
        try:
            return self._ledger.user(name).role is role
        except UserNotFound:
            return False

    def _check(self, name: str, password: str, address: str) -> str:
        """The argon2 hash that matches the password; BadCredentials, Throttled. Counts the attempt before the check."""
        place = _place(address)
        if wait_ms := self._ledger.count_login_attempt(name, place):
            raise Throttled(math.ceil(wait_ms / 1000))
        stored = self._ledger.user_password(name) if is_name(name) else ""
        try:
            fits = passwords.matches(stored, password)
        except passwords.Busy:
            self._ledger.uncount_login_attempt(name, place)
            raise
        if not fits:
            # Do not record an unknown name: it may be a password typed into the wrong field.
            self._ledger.note("sign-in-failed", "", user=name if stored else "", address=address)
            raise BadCredentials
        self._ledger.reset_login_attempts(name, place)
        return stored

    def _begin(
        self, name: str, *, via: str, address: str, agent: str, verified: str = "", renewed: str = ""
    ) -> tuple[str, Session] | None:
        cookie = secrets.token_urlsafe(32)
        session = self._ledger.start_session(
            name, cookie, via=via, address=address, agent=agent, verified=verified, renewed=renewed
        )
        return None if session is None else (cookie, session)


def _place(address: str) -> str:
    """Key of the throttle for one client: an IPv4 address, or the /64 of an IPv6 address, which belongs to one
    customer.
    """
    try:
        return str(IPv6Network((address, 64), strict=False))
    except ValueError:
        return address
