"""Accounts: sign-in, users, passwords and API tokens, for the pages and the `reachq` command.

Every change adds an audit event, which the ledger writes together with the change. Secrets (cookies, tokens, generated
passwords) are created here, returned once and not stored. This module does not depend on HTTP, which is the guard's
task.
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
"""Prefix of every API token, which makes it recognizable wherever it appears."""


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
    """All operations on users, sessions and tokens. They raise ledger.errors and the errors above.

    Upper and lower case, and spaces around a name, do not matter. `by` is the acting user, for the audit trail.
    """

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    # sign-in and sign-out

    def sign_in(
        self, name: str, password: str, address: str, agent: str, *, old_cookie: str = ""
    ) -> tuple[str, Session]:
        """Start a session, and return (its cookie, the session).

        The session of `old_cookie` ends, so that no session is ever reused. Raises BadCredentials, Throttled or
        passwords.Busy. Neither BadCredentials nor the response time reveals whether the name exists.
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
        """Start a session for a user whom a trusted proxy has authenticated. Returns None if there is no such user."""
        name = name.strip().lower()
        return self._begin(name, via="proxy", address=address, agent=agent) if is_name(name) else None

    def sign_out(self, cookie: str) -> None:
        """End the session that has this cookie, if there is one."""
        self._ledger.end_session(cookie)

    def find_session(self, cookie: str) -> Session | None:
        """Return the session that has this cookie, or None if there is none or it has ended."""
        return self._ledger.find_session(cookie)

    def sessions(self, user: str) -> list[Session]:
        """Return the sessions of a user, the last used one first."""
        return self._ledger.sessions(user)

    def revoke_session(self, user: str, session_id: str, *, by: str = "") -> None:
        """End one session of a user. Raises SessionNotFound."""
        self._ledger.dismiss_session(user, session_id, by=by or user)

    # users

    def ensure_admin(self) -> str | None:
        """Add the user `admin` if no user exists yet, and return the password; otherwise return None.

        If several processes start at once, one of them gets the password.
        """
        if self._ledger.any_user():
            return None
        password = passwords.generate()
        stored = passwords.hashed(password, FIRST_ADMIN)
        made = self._ledger.add_user(FIRST_ADMIN, UserRole.ADMIN, stored, by="up", first=True)
        return password if made else None

    def add_user(self, name: str, role: UserRole, password: str | None, *, by: str) -> str:
        """Add a user, and return the password, which is random if none is given. Raises UserExists or BadInput."""
        name = name.strip().lower()
        password = password if password is not None else passwords.generate()
        self._ledger.add_user(name, role, passwords.hashed(password, name), by=by)
        return password

    def set_role(self, name: str, role: UserRole, *, by: str, keep_session: str = "") -> bool:
        """Change a user's role, which ends the user's sessions. Returns False if the role is unchanged.

        Raises LastAdmin or UserNotFound.
        """
        return self._ledger.update_user(name, role=role, by=by, keep=keep_session)

    def set_password(self, name: str, new: str | None, *, by: str, keep_session: str = "") -> str:
        """Change a user's password (None: a random one), which ends the user's sessions, and return the password.

        This also unlocks an account that failed attempts have locked. Raises UserNotFound or BadInput.
        """
        self._ledger.user(name)
        new = new if new is not None else passwords.generate()
        self._ledger.update_user(name, password=passwords.hashed(new, name), by=by, keep=keep_session)
        self._ledger.reset_login_attempts(name)
        return new

    def change_own_password(self, session: Session, old: str, new: str) -> tuple[str, Session]:
        """Change the user's own password. All sessions end, and a new one starts and is returned as by `sign_in`.

        Raises BadCredentials for a wrong old password, Throttled as for signing in, and BadInput for an invalid new
        password.
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
        """Remove a user with all sessions and tokens, but keep the runs. Raises LastAdmin or UserNotFound."""
        self._ledger.remove_user(name, by=by)

    def users(self) -> list[User]:
        """Return all users sorted by name, with the time of last use and the numbers of sessions and tokens."""
        return self._ledger.users()

    def user(self, name: str) -> User:
        """Return one user. Raises UserNotFound."""
        return self._ledger.user(name)

    # tokens

    def make_token(self, user: str, label: str, *, by: str = "") -> tuple[str, Token]:
        """Create an API token for a user, and return (its secret, the token).

        Raises UserNotFound, TooManyTokens or BadInput.
        """
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return secret, self._ledger.add_token(user, secret, label, by=by or user)

    def tokens(self, user: str) -> list[Token]:
        """Return the tokens of a user, newest first."""
        return self._ledger.tokens(user)

    def revoke_token(self, user: str, token_id: str, *, by: str = "") -> None:
        """Revoke a token. Raises TokenNotFound."""
        self._ledger.revoke_token(user, token_id, by=by or user)

    def find_token(self, secret: str) -> Token | None:
        """Return the token with this secret, with its owner's current role, or None if there is none."""
        return self._ledger.find_token(secret) if secret.startswith(TOKEN_PREFIX) else None

    # checks of long-lived streams: they do not count as use of the session or token

    def still_signed_in(self, cookie: str, role: UserRole) -> bool:
        """Return whether this cookie's session still exists and its user has this role."""
        session = self._ledger.find_session(cookie, noting=False)
        return session is not None and session.role is role

    def still_valid_token(self, secret: str, role: UserRole) -> bool:
        """Return whether this token still exists and its owner has this role."""
        token = self._ledger.find_token(secret, noting=False)
        return token is not None and token.role is role

    def still_user(self, name: str, role: UserRole) -> bool:
        """Return whether this user still exists and has this role."""
        try:
            return self._ledger.user(name).role is role
        except UserNotFound:
            return False

    def _check(self, name: str, password: str, address: str) -> str:
        """Check the password and return the argon2 hash that it matches. Raises BadCredentials or Throttled.

        The attempt is counted before the check.
        """
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
    """Return the key of the throttle for one client.

    It is an IPv4 address, or the /64 of an IPv6 address, because a /64 belongs to one customer.
    """
    try:
        return str(IPv6Network((address, 64), strict=False))
    except ValueError:
        return address
