"""The event stream: every change of state, in order, with a maximum length. It wakes dispatchers, feeds browsers and is
the audit trail.

Every event about a run carries `mode` and `user`, its owner. `begun` has `wait_ms`, the time since submission.
`finished`, `failed`, `cancelled` and `returned` of a run that had begun have `run_ms`. An event caused by a user
carries `by`.
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
    """Type of an event. `submitted` to `returned` are about a run, `led` to `restart` about a bench, the others about
    users.
    """

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
"""Kinds about users, for AuditTrail.note: they belong to no bench, and only administrators see them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: `id` is its stream id (`<ms>-<n>`, also the SSE id), `ms` its time on Redis's clock.

    The kind stays a plain string when a newer version wrote it and this version does not know it.
    """

    id: str
    kind: Kind | str
    run_id: str
    bench: str
    ms: int
    fields: dict[str, str] = field(default_factory=dict)


def last_id(connection: Connection) -> str:
    """Id of the newest event, `0-0` if there is none; reading from here on misses nothing."""
    newest = connection.lenient(lambda pipe: pipe.xrevrange(keys.EVENTS, count=1))
    return str(newest[0][0]) if newest else "0-0"


def read(connection: Connection, after: str, *, block_ms: int | None, count: int) -> list[Event]:
    """Events after an id, oldest first, at most `count`; blocks up to `block_ms` for one (None: does not block).

    Splits a wait longer than the connection's read timeout into several commands.
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
    """Events older than an id (`+`: from the newest), newest first, at most `count`."""
    newest = before if before == "+" else f"({before}"
    entries = connection.lenient(lambda pipe: pipe.xrevrange(keys.EVENTS, max=newest, count=count))
    return [_event(*entry) for entry in entries or ()]


class EventStream(LedgerPart):
    """Reads the event stream."""

    def events(self, after: str = "$", *, block_ms: int | None = None, count: int = 200) -> list[Event]:
        """Events after an id, oldest first; `$`: only new ones. Blocks up to `block_ms`; None: does not block."""
        return read(self.connection, after, block_ms=block_ms, count=count)

    def last_event_id(self) -> str:
        """Id of the newest event (`0-0`: none yet); read from here on to get only new events."""
        return last_id(self.connection)


def _event(stream_id: str, fields: dict[str, str]) -> Event:
    name = fields.pop("kind", "")
    kind = Kind(name) if name in _KINDS else name
    run_id, bench = fields.pop("run", ""), fields.pop("bench", "")
    return Event(stream_id, kind, run_id, bench, int(stream_id.partition("-")[0]), fields)
