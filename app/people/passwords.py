"""Passwords: their rules, their argon2 hashes, and random passwords.

Hashing is slow on purpose (about 50 ms and 32 MiB). At most two hashes are computed at once, so that a flood of
sign-ins cannot exhaust the web server's processor and memory. A check for an unknown name takes as long as one with a
wrong password.
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
"""The 32 letters and digits of random passwords, which are not easily confused. Each one is five bits."""
_GROUPS, _GROUP = 4, 4

_hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
_room = threading.BoundedSemaphore(AT_ONCE)


class Busy(ReachqError):
    """Too many are signing in at this moment; try again in a few seconds."""

    code = "busy"
    retry_after_s = 3


class BadPassword(BadInput):
    """A password that cannot be used. Unlike for other fields, the message does not repeat what was typed."""

    def __init__(self, remedy: str) -> None:
        super().__init__("password", "", remedy)
        self.args = (f"password: {remedy}",)


def hashed(password: str, name: str) -> str:
    """Return the argon2 hash of a new password for the user `name`.

    Raises BadInput if the password is invalid, and Busy if too many hashes are being computed.
    """
    plain = _plain(password)
    wrong = ""
    if not SHORTEST <= len(plain) <= LONGEST:
        wrong = f"must be {SHORTEST}-{LONGEST} characters long"
    elif not all(letter.isprintable() for letter in plain):
        wrong = "must not contain control characters"
    elif plain.casefold() == name.casefold():
        wrong = "must not be the user's name"
    elif len(set(plain)) < 4:
        wrong = "must not be the same few characters over and over"
    if wrong:
        raise BadPassword(wrong)
    with _one_of_few():
        return _hasher.hash(plain)


def matches(stored: str, password: str) -> bool:
    """Return whether the password matches this hash. The hash "" (no such user) takes the same time.

    Raises Busy if too many hashes are being computed.
    """
    plain = _plain(password)
    usable = bool(stored) and len(plain) <= LONGEST
    with _one_of_few():
        try:
            return _hasher.verify(stored if usable else _nobodys(), plain[: LONGEST + 1]) and usable
        except (VerificationError, InvalidHashError):
            return False


def renewed(stored: str, password: str) -> str:
    """Return a new hash of the password if `stored` was made with other parameters than the current ones, otherwise ""."""
    if not _hasher.check_needs_rehash(stored):
        return ""
    with _one_of_few():
        return _hasher.hash(_plain(password))


def generate() -> str:
    """Return a random password of 80 bits that is easy to type, such as `k7mq-x2fd-9wta-h4nb`."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def _plain(password: str) -> str:
    """Normalize a password, so that it does not depend on the keyboard.

    Invalid text is replaced and matches no password.
    """
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
