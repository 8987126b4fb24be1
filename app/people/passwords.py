"""Passwords: their rules, argon2 hashes, and random ones.

Hashing is slow on purpose (about 50 ms and 32 MiB), so at most two run at once, and a flood of sign-ins cannot exhaust
the web server's processor and memory. A check for an unknown name takes as long as one with a wrong password.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ledger.errors import BadInput, ReachqError

SHORTEST, LONGEST = 10, 200
AT_ONCE = 2
PATIENCE_S = 5.0
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 letters and digits that are not easily confused: five bits each."""
_GROUPS, _GROUP = 4, 4

_hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
_room = threading.BoundedSemaphore(AT_ONCE)


class Busy(ReachqError):
    """Too many are signing in at this moment; try again in a few seconds."""

    code = "busy"
    retry_after_s = 3


class BadPassword(BadInput):
    """This cannot be a password. What was typed is not repeated, unlike with other fields."""

    def __init__(self, remedy: str) -> None:
        super().__init__("password", "", remedy)
        self.args = (f"password: {remedy}",)


def hashed(password: str, name: str) -> str:
    """The argon2 hash of a new password for the user `name`; BadInput when it is not valid, Busy."""
    plain = _plain(password)
    wrong = ""
    if not SHORTEST <= len(plain) <= LONGEST:
        wrong = f"must be {SHORTEST}-{LONGEST} characters long"
    elif not all(letter.isprintable() for letter in plain):
        wrong = "must not hold control characters"
    elif plain.casefold() == name.casefold():
        wrong = "must not be the user's name"
    elif len(set(plain)) < 4:
        wrong = "must not be the same few characters over and over"
    if wrong:
        raise BadPassword(wrong)
    with _one_of_few():
        return _hasher.hash(plain)


def matches(stored: str, password: str) -> bool:
    """Whether the password matches this hash; "" (no such user) takes the same time. Busy."""
    plain = _plain(password)
    usable = bool(stored) and len(plain) <= LONGEST
    with _one_of_few():
        try:
            return _hasher.verify(stored if usable else _nobodys(), plain[: LONGEST + 1]) and usable
        except (VerificationError, InvalidHashError):
            return False


def renewed(stored: str, password: str) -> str:
    """A new hash of the password, when `stored` was made with other parameters than the current ones; else ""."""
    if not _hasher.check_needs_rehash(stored):
        return ""
    with _one_of_few():
        return _hasher.hash(_plain(password))


def generate() -> str:
    """A random password of 80 bits, easy to type: `k7mq-x2fd-9wta-h4nb`."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def _plain(password: str) -> str:
    """Normalize a password, so that it is independent of the keyboard; invalid text matches nothing."""
    return unicodedata.normalize("NFKC", password.encode("utf-8", "replace").decode())


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _room.acquire(timeout=PATIENCE_S):
        raise Busy
    try:
        yield
    finally:
        _room.release()
