"""Adds, changes, removes and lists users in the ledger."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from ledger.errors import LastAdmin, UserExists, UserNotFound
from ledger.people.records import User, UserRole, new_name
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import ADD_USER, REMOVE_USER, UPDATE_USER
from ledger.runs.soundness import number


class Users(LedgerPart):
    """Operations on users.

    Every change is one script and adds an event, in which `by` is the user who made the change.
    """

    def add_user(self, name: str, role: UserRole, password: str, *, by: str, first: bool = False) -> bool:
        """Add a user with this argon2 hash. Raises UserExists, or BadInput if the name is invalid.

        With `first`, the user is added only if no user exists yet; otherwise the result is False.
        """
        status = self.connection.run(
            ADD_USER,
            {
                "user": keys.user(new_name(name)),
                "users": keys.USERS,
                "events": keys.EVENTS,
                "store_id": keys.STORE_ID,
            },
            {
                "name": name,
                "role": str(role),
                "password": password,
                "by": by,
                "first": int(first),
                "fresh_id": secrets.token_hex(8),
                **self._capped,
            },
        )[0]
        if status == "exists":
            if first:
                return False
            raise UserExists(f"A user named {name} already exists.")
        return bool(status == "enrolled")

    def update_user(
        self, name: str, *, by: str, role: UserRole | None = None, password: str = "", keep: str = ""
    ) -> bool:
        """Change a user's role, argon2 hash, or both. Returns False if nothing changes.

        Ends the user's sessions except the one with the id `keep`. Raises UserNotFound, or LastAdmin if no admin would
        remain.
        """
        status = self.connection.run(
            UPDATE_USER,
            {
                "user": keys.user(name),
                "users": keys.USERS,
                "sessions": keys.sessions(name),
                "events": keys.EVENTS,
            },
            {
                "name": name,
                "role": str(role or ""),
                "password": password,
                "by": by,
                "keep": keep,
                "user_prefix": keys.USER,
                "session_prefix": keys.SESSION,
                **self._capped,
            },
        )[0]
        _refuse(status, name)
        return bool(status == "amended")

    def remove_user(self, name: str, *, by: str) -> None:
        """Remove a user with all sessions and tokens, but keep the runs. Raises UserNotFound or LastAdmin."""
        status = self.connection.run(
            REMOVE_USER,
            {
                "user": keys.user(name),
                "users": keys.USERS,
                "sessions": keys.sessions(name),
                "tokens": keys.tokens(name),
                "events": keys.EVENTS,
            },
            {
                "name": name,
                "by": by,
                "user_prefix": keys.USER,
                "session_prefix": keys.SESSION,
                "token_prefix": keys.TOKEN,
                **self._capped,
            },
        )[0]
        _refuse(status, name)

    def any_user(self) -> bool:
        """Return whether at least one user exists."""
        known = self.connection.lenient(lambda pipe: pipe.scard(keys.USERS))
        return known is None or bool(known)  # None: the set is damaged, so there was a user

    def user_password(self, name: str) -> str:
        """Return the argon2 hash of a user, or "" if the user does not exist or the record is damaged."""
        return self.connection.lenient(lambda pipe: pipe.hget(keys.user(name), "password")) or ""

    def user(self, name: str) -> User:
        """Return one user. Raises UserNotFound if there is none or the record is damaged."""
        users = self._users([name])
        if not users:
            raise UserNotFound(f"There is no user {name}.")
        return users[0]

    def users(self) -> list[User]:
        """Return all users sorted by name, with their numbers of sessions and tokens. Damaged records are left out."""
        return self._users(sorted(self.connection.lenient(lambda pipe: pipe.smembers(keys.USERS)) or ()))

    def _users(self, names: Iterable[str]) -> list[User]:
        names = list(names)
        with self.connection.reading() as pipe:
            for name in names:
                pipe.hgetall(keys.user(name))
                pipe.smembers(keys.sessions(name))
                pipe.scard(keys.tokens(name))
            replies = answers(pipe)
        with self.connection.reading() as pipe:  # expired sessions stay in the set until the next sign-in
            for ids in replies[1::3]:
                pipe.exists(*(keys.SESSION + each for each in ids)) if ids else pipe.echo("0")
            live = answers(pipe)
        return [
            User(
                name=name,
                role=UserRole(record["role"]),
                created_ms=number(record.get("created_ms")),
                changed_ms=number(record.get("changed_ms")),
                by=record.get("by", ""),
                seen_ms=number(record.get("seen_ms")),
                sessions=int(sessions),
                tokens=tokens or 0,
            )
            for name, record, sessions, tokens in zip(names, replies[::3], live, replies[2::3], strict=True)
            if record and record.get("role") in UserRole.__members__.values()
        ]


def _refuse(status: str, name: str) -> None:
    if status == "missing":
        raise UserNotFound(f"There is no user {name}.")
    if status == "last-admin":
        raise LastAdmin(f"{name} is the last admin: make another user an admin first.")
