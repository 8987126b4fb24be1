"""The event stream: every change of state, in order, capped; it wakes dispatchers, feeds browsers and is the audit trail.

Every event about a run carries `mode` and `user`, its owner; `begun` has `wait_ms`, from submission to now;
`finished`, `failed`, `cancelled` and `returned` of a run that had begun have `run_ms`. What a person caused carries `by`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ledger.redis import keys
from ledger.redis.connection import Connection, translated
from ledger.redis.part import LedgerPart

_SLACK_S = 1.0


class Kind(StrEnum):
    """What happened. `submitted` to `returned` are about a run, `led` to `restart` about a bench, the rest about people."""

    SUBMITTED = "submitted"
    PROMOTED = "promoted"
    BEGUN = "begun"
    PROGRESS = "progress"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    DAMAGED = "damaged"
    LED = "led"
    RESIGNED = "resigned"
    WORKER = "worker"
    WITHDRAWN = "withdrawn"
    BENCH = "bench"
    EXPLAINED = "explained"
    PAUSED = "paused"
    RESUMED = "resumed"
    RESTART = "restart"
    SIGNED_IN = "signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    SIGNED_OUT = "signed-out"
    USER_ADDED = "user-added"
    USER_CHANGED = "user-changed"
    USER_REMOVED = "user-removed"
    TOKEN_MADE = "token-made"
    TOKEN_REVOKED = "token-revoked"
    PASSWORD_CHANGED = "password-changed"


_KINDS = frozenset(Kind)
AUDIT = frozenset(
    {
        *(Kind.SIGNED_IN, Kind.SIGN_IN_FAILED, Kind.SIGNED_OUT, Kind.PASSWORD_CHANGED),
        *(Kind.USER_ADDED, Kind.USER_CHANGED, Kind.USER_REMOVED, Kind.TOKEN_MADE, Kind.TOKEN_REVOKED),
    }
)
"""Kinds about people, for Ledger.note: they belong to no bench, and concern administrators alone."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: `id` is the stream's (`<ms>-<n>`, an SSE id too), `ms` its time on Redis's clock.

    A kind that this version does not know, written by a newer one beside it, stays the word it is.
    """

    id: str
    kind: Kind | str
    run_id: str
    bench: str
    ms: int
    fields: dict[str, str] = field(default_factory=dict)


def last_id(connection: Connection) -> str:
    """Id of the newest event, `0-0` when there was none: read on from here, and nothing is missed."""
    newest = connection.lenient(lambda pipe: pipe.xrevrange(keys.EVENTS, count=1))
    return str(newest[0][0]) if newest else "0-0"


def read(connection: Connection, after: str, *, block_ms: int | None, count: int) -> list[Event]:
    """Events after an id, oldest first, at most `count`; waits up to `block_ms` for one (None: not at all).

    A wait longer than the connection's read timeout is several commands, which the caller does not notice.
    """
    if after == "$":
        after = last_id(connection)
    until = time.monotonic() + (block_ms or 0) / 1000
    most_s = max(connection.read_timeout_s - _SLACK_S, connection.read_timeout_s / 2)
    while True:
        left_s = until - time.monotonic()
        block = max(1, int(min(left_s, most_s) * 1000)) if block_ms is not None and left_s > 0 else None
        with translated():
            reply: Any = connection.client.xread({keys.EVENTS: after}, count=count, block=block)
        if reply:
            return [_event(*entry) for entry in reply[0][1]]
        if block is None or time.monotonic() >= until:
            return []


def read_back(connection: Connection, before: str, *, count: int) -> list[Event]:
    """Events older than an id (`+`: from the newest on), newest first, at most `count`."""
    newest = before if before == "+" else f"({before}"
    entries = connection.lenient(lambda pipe: pipe.xrevrange(keys.EVENTS, max=newest, count=count))
    return [_event(*entry) for entry in entries or ()]


class EventStream(LedgerPart):
    """The stream of one ledger."""

    def events(self, after: str = "$", *, block_ms: int | None = None, count: int = 200) -> list[Event]:
        """Events after an id, oldest first; `$`: only new ones. Waits up to `block_ms`, None: not at all."""
        return read(self.connection, after, block_ms=block_ms, count=count)

    def last_event_id(self) -> str:
        """Id of the newest event (`0-0`: none yet); events after it are what happens from now on."""
        return last_id(self.connection)


def _event(stream_id: str, fields: dict[str, str]) -> Event:
    said = fields.pop("kind", "")
    kind = Kind(said) if said in _KINDS else said
    run_id, bench = fields.pop("run", ""), fields.pop("bench", "")
    return Event(stream_id, kind, run_id, bench, int(stream_id.partition("-")[0]), fields)
