"""Sessions in the ledger, and the rate limit for sign-in attempts."""

from __future__ import annotations

import contextlib
import secrets

from ledger.errors import SessionNotFound, StoreDamaged, StoreUnavailable
from ledger.people.records import ID_LENGTH, Session, UserRole, digest
from ledger.redis import keys
from ledger.redis.connection import Connection, answers
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import (
    COUNT_LOGIN_ATTEMPT,
    END_SESSION,
    FIND_SESSION,
    RESET_LOGIN_ATTEMPTS,
    START_SESSION,
    TOUCH,
    UNCOUNT_LOGIN_ATTEMPT,
)
from ledger.runs import run_hash
from ledger.runs.soundness import number

SESSIONS_MAX = 50
"""Maximum number of sessions of one user. A new session beyond it replaces the oldest one."""
AGENT_MAX = 200
TOUCH_MS = 60_000
"""Minimum time between two recorded uses of a session or token, so that not every request causes a write."""
ADDRESS_FACTOR = 10
"""Factor between the failed attempts allowed for an address and for a name: many users may share one address."""


class Sessions(LedgerPart):
    """Operations on sessions. A session is looked up by its secret, the cookie."""

    def start_session(
        self, name: str, secret: str, *, via: str, address: str, agent: str, verified: str = "", renewed: str = ""
    ) -> Session | None:
        """Start a session with this new secret. Returns None if the user is gone or the password hash has changed.

        `verified` is the argon2 hash that was checked ("" if a proxy authenticated the user). `renewed`, if given,
        replaces it with a hash that has newer parameters.
        """
        hashed, csrf = digest(secret), secrets.token_urlsafe(24)
        status, *rest = self.connection.run(
            START_SESSION,
            {
                "user": keys.user(name),
                "session": keys.SESSION + hashed,
                "sessions": keys.sessions(name),
                "events": keys.EVENTS,
            },
            {
                "name": name,
                "hash": hashed,
                "csrf": csrf,
                "via": via,
                "address": address,
                "agent": agent[:AGENT_MAX],
                "verified": verified,
                "renewed": renewed,
                "sessions_max": SESSIONS_MAX,
                "session_prefix": keys.SESSION,
                **self._lives,
                **self._capped,
            },
        )
        if status != "admitted":
            return None
        role, now = rest
        if role not in UserRole.__members__.values():
            return None
        return Session(hashed[:ID_LENGTH], name, UserRole(role), csrf, via, address, agent[:AGENT_MAX], now, now)

    def find_session(self, secret: str, *, noting: bool = True) -> Session | None:
        """Return the session with this secret and its user's current role, or None if there is none or it has expired.

        With `noting`, the use is recorded and the session is extended, at most once a minute.
        """
        hashed = digest(secret)
        status, *rest = self.connection.run(
            FIND_SESSION, {"session": keys.SESSION + hashed}, {"user_prefix": keys.USER, **self._lives}
        )
        if status != "recognised":
            return None
        role, now, *record = rest
        session = _session(hashed, role, run_hash.pairs(record))
        if session and noting and now - session.seen_ms >= min(TOUCH_MS, self._idle_ms // 4):
            touch(self.connection, keys.SESSION + hashed, session.user, {"field": "seen_ms", **self._lives})
        return session

    def end_session(self, secret: str, *, by: str = "") -> bool:
        """End a session. Returns False if there is none. `by` is the user who ended it, if that is not its own user."""
        return self._dismiss(digest(secret), by)

    def dismiss_session(self, name: str, session_id: str, *, by: str) -> None:
        """End the user's session with this id. Raises SessionNotFound."""
        for hashed in self._hashes(name):
            if hashed[:ID_LENGTH] == session_id and self._dismiss(hashed, by):
                return
        raise SessionNotFound(f"{name} has no such session; it may have ended.")

    def sessions(self, name: str) -> list[Session]:
        """Return the sessions of a user, the last used one first."""
        hashes = self._hashes(name)
        with self.connection.reading() as pipe:
            pipe.hget(keys.user(name), "role")
            for hashed in hashes:
                pipe.hgetall(keys.SESSION + hashed)
            role, *records = answers(pipe)
        live = (_session(hashed, role, record) for hashed, record in zip(hashes, records, strict=True) if record)
        return sorted(filter(None, live), key=lambda session: -session.seen_ms)

    def count_login_attempt(self, name: str, address: str) -> int:
        """Count a sign-in attempt before its password is checked. Returns 0 if it is allowed.

        Otherwise the attempt is refused and not counted, and the result is the time to wait in ms. An attempt counts
        for the name and for the address until `reset_login_attempts`.
        """
        status, *rest = self.connection.run(
            COUNT_LOGIN_ATTEMPT,
            _throttles(name, address),
            {
                "name_max": self.settings.signin_failures,
                "address_max": self.settings.signin_failures * ADDRESS_FACTOR,
                "window_ms": self.settings.signin_window_s * 1000,
            },
        )
        return int(rest[0]) if status == "wait" else 0

    def reset_login_attempts(self, name: str, address: str = "") -> None:
        """Record a successful attempt: reset the name's count, and subtract this attempt from the address's count."""
        self.connection.run(RESET_LOGIN_ATTEMPTS, _throttles(name, address), {})

    def uncount_login_attempt(self, name: str, address: str) -> None:
        """Subtract an attempt from both counts because its password was not checked."""
        self.connection.run(UNCOUNT_LOGIN_ATTEMPT, _throttles(name, address), {})

    def _dismiss(self, hashed: str, by: str) -> bool:
        status = self.connection.run(
            END_SESSION,
            {"session": keys.SESSION + hashed, "events": keys.EVENTS},
            {"hash": hashed, "by": by, "sessions_prefix": keys.SESSIONS, **self._capped},
        )[0]
        return bool(status == "dismissed")

    def _hashes(self, name: str) -> list[str]:
        return list(self.connection.lenient(lambda pipe: pipe.smembers(keys.sessions(name))) or ())

    @property
    def _idle_ms(self) -> int:
        return self.settings.session_idle_s * 1000

    @property
    def _lives(self) -> dict[str, object]:
        return {"idle_ms": self._idle_ms, "max_ms": self.settings.session_max_s * 1000}


def touch(connection: Connection, record: str, user: str, args: dict[str, object]) -> None:
    """Record the use of a session or token.

    A failed write is ignored, because it must not stop a request that only reads.
    """
    with contextlib.suppress(StoreUnavailable, StoreDamaged):
        connection.run(TOUCH, {"record": record, "user": keys.user(user)}, args)


def _throttles(name: str, address: str) -> dict[str, str]:
    return {
        "name": keys.THROTTLE + digest(f"name {name}"),
        "address": keys.THROTTLE + digest(f"address {address}"),
    }


def _session(hashed: str, role: str, record: dict[str, str]) -> Session | None:
    """Decode a session from its HASH. Returns None if the session or its user's role is damaged."""
    if role not in UserRole.__members__.values() or not {"user", "csrf"} <= record.keys():
        return None
    return Session(
        id=hashed[:ID_LENGTH],
        user=record["user"],
        role=UserRole(role),
        csrf=record["csrf"],
        via=record.get("via", ""),
        address=record.get("address", ""),
        agent=record.get("agent", ""),
        created_ms=number(record.get("created_ms")),
        seen_ms=number(record.get("seen_ms")),
    )
