"""Who uses reachq: users and their roles, sessions, API tokens, as the ledger keeps and hands them out.

A cookie or token is never stored, only its SHA-256 (`digest`), which is enough: they are 256 random bits, so
nothing is to be guessed from it. Passwords are people's own and are kept as argon2 hashes, made by app.people.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from ledger.errors import BadInput

ID_LENGTH = 16
"""A session is called by the start of its digest."""
SYSTEM_NAMES = frozenset({"api", "cli", "up"})
"""Whose runs those of the system's own token, of the command line and of the first question are."""
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,30}")
_LABEL_MAX = 60


class UserRole(StrEnum):
    """viewer: sees everything, changes nothing; user: submits, sees own runs; admin: everything."""

    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. Times in ms; `seen_ms`: last request with a session or token, to the minute, 0 never."""

    name: str
    role: UserRole
    created_ms: int
    changed_ms: int
    by: str
    seen_ms: int = 0
    sessions: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """One browser signed in. `via` is password or proxy; `csrf` is what its forms must send back."""

    id: str
    user: str
    role: UserRole
    csrf: str
    via: str
    address: str
    agent: str
    created_ms: int
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Token:
    """One API token: `name` is what its owner calls it, `role` the owner's now; `used_ms` to the minute, 0 never."""

    id: str
    user: str
    role: UserRole
    name: str
    created_ms: int
    used_ms: int


def digest(secret: str) -> str:
    """What is kept of a cookie, a token or the name of a throttle: SHA-256, 64 hex digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_name(text: str) -> bool:
    """Whether a user could be called so."""
    return bool(_NAME.fullmatch(text))


def new_name(text: str) -> str:
    """The name for a new user; BadInput when it cannot be one."""
    if not is_name(text):
        raise BadInput(
            "name", text, "is not a valid user name: use 1-31 of a-z, 0-9, dot, dash and underscore, a letter first"
        )
    if text in SYSTEM_NAMES:
        raise BadInput("name", text, "is what reachq calls itself: choose another")
    return text


def role_of(text: str) -> UserRole:
    """The role of this name; BadInput when there is none."""
    try:
        return UserRole(text)
    except ValueError:
        raise BadInput("role", text, f"is not a valid role: use one of {', '.join(UserRole)}") from None


def label(text: str) -> str:
    """What a token may be called; BadInput otherwise."""
    text = text.strip()
    if not text or len(text) > _LABEL_MAX or not text.isprintable():
        raise BadInput(
            "label", text, f"is not a valid label: say in 1-{_LABEL_MAX} printable characters what the token is for"
        )
    return text
