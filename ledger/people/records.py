"""Records of users, roles, sessions and API tokens, as the ledger stores and returns them.

Only the SHA-256 (`digest`) of a cookie or token is stored. A fast hash is enough because each secret is 256 random bits
and cannot be guessed. Passwords are chosen by people and can be guessed, so they are stored as argon2 hashes, which
app.people makes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from ledger.errors import BadInput

ID_LENGTH = 16
"""The id of a session is this many leading characters of its digest."""
SYSTEM_NAMES = frozenset({"api", "cli", "up"})
"""Owners of runs that were submitted with the system token, from the command line, or as the first test."""
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,30}")
_LABEL_MAX = 60


class UserRole(StrEnum):
    """What a user may do.

    A viewer sees everything and changes nothing, a user submits runs and sees their own runs, and an admin may do
    everything.
    """

    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """A user account. Times are in ms.

    `seen_ms` is the time of the last request with a session or token, accurate to a minute; 0 means never.
    """

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
    """A session of a signed-in browser.

    `via` is how the user was authenticated, `password` or `proxy`. `csrf` is the value that its forms must send back.
    """

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
    """An API token.

    `name` is its label, and `role` is the owner's current role. `used_ms` is accurate to a minute; 0 means never used.
    """

    id: str
    user: str
    role: UserRole
    name: str
    created_ms: int
    used_ms: int


def digest(secret: str) -> str:
    """Return the stored form of a cookie, a token or the name of a throttle: its SHA-256 as 64 hex digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_name(text: str) -> bool:
    """Return whether `text` is a valid user name."""
    return bool(_NAME.fullmatch(text))


def new_name(text: str) -> str:
    """Check and return the name for a new user. Raises BadInput if it is invalid or reserved."""
    if not is_name(text):
        raise BadInput(
            "name",
            text,
            "is not a valid user name: use 1-31 of a-z, 0-9, dot, dash and underscore, starting with a letter",
        )
    if text in SYSTEM_NAMES:
        raise BadInput("name", text, "is a reserved name: choose another")
    return text


def role_of(text: str) -> UserRole:
    """Return the role with this name. Raises BadInput if there is none."""
    try:
        return UserRole(text)
    except ValueError:
        raise BadInput("role", text, f"is not a valid role: use one of {', '.join(UserRole)}") from None


def label(text: str) -> str:
    """Check the label of a token and return it without surrounding white space. Raises BadInput if it is invalid."""
    text = text.strip()
    if not text or len(text) > _LABEL_MAX or not text.isprintable():
        raise BadInput(
            "label", text, f"is not a valid label: say in 1-{_LABEL_MAX} printable characters what the token is for"
        )
    return text
