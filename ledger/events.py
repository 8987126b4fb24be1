"""The event stream: every change of state, in order, up to a maximum length.

It wakes dispatchers, keeps browsers up to date and is the audit trail. Every event about a run has the fields `mode`
and `user`, the run's owner. `begun` has `wait_ms`, the time since submission. `finished`, `failed`, `cancelled` and
`returned` have `run_ms` if the run had begun. An event caused by a user has the field `by`.
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
EVENTS_AT_ONCE = 200


class Kind(StrEnum):
    """Type of an event.

    The types from `submitted` to `returned` are about a run, `damaged` is about a run or a key, those from `led` to
    `restart` are about a bench, the next two about a host, those from `pushed` to `dropped` about a snapshot (`facts`),
    the next two about a comparison of snapshots (`change`), the next two about a network, and the others about users.
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
    HOST_DRAINED = "host-drained"
    HOST_RESUMED = "host-resumed"
    PUSHED = "pushed"
    CHECKED = "checked"
    CURRENT = "current"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    DROPPED = "dropped"
    COMPARED = "compared"
    COMPARISON_REMOVED = "comparison-removed"
    FLOWS_CHANGED = "flows-changed"
    NETWORK_ADDED = "network-added"
    NETWORK_REMOVED = "network-removed"
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
"""Kinds about users, for AuditTrail.note. They belong to no bench, and only administrators see them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the stream.

    `id` is its stream id `<ms>-<n>`, which is also its SSE id, and `ms` is its time on Redis's clock. `kind` is a plain
    string if a newer version of reachq wrote an event that this version does not know.
    """

    id: str
    kind: Kind | str
    run_id: str
    bench: str
    ms: int
    fields: dict[str, str] = field(default_factory=dict)


def last_id(connection: Connection) -> str:
    """Return the id of the newest event, or `0-0` if there are none.

    A caller that reads on from this id misses no event.
    """
    newest = connection.lenient(lambda pipe: pipe.xrevrange(keys.EVENTS, count=1))
    return str(newest[0][0]) if newest else "0-0"


def read(connection: Connection, after: str, *, block_ms: int | None, count: int) -> list[Event]:
    """Return up to `count` events after an id, oldest first.

    Waits up to `block_ms` for an event, or not at all if it is None. A wait longer than the connection's read timeout
    is split into several commands.
    """
    if after == "$":
        after = last_id(connection)
    until = time.monotonic() + (block_ms or 0) / 1000
    most_s = longest_wait_s(connection)
    while True:
        left_s = until - time.monotonic()
        block = max(1, int(min(left_s, most_s) * 1000)) if block_ms is not None and left_s > 0 else None
        with translated():
            reply: Any = connection.client.xread({keys.EVENTS: after}, count=count, block=block)
        if reply:
            return decode_events(reply)
        if block is None or time.monotonic() >= until:
            return []


def decode_events(reply: Any) -> list[Event]:
    """Return the events in the reply to an XREAD of the stream, oldest first."""
    return [_event(*entry) for entry in reply[0][1]] if reply else []


def longest_wait_s(connection: Connection) -> float:
    """Return how long one command may wait for events on a connection, in seconds."""
    return max(connection.read_timeout_s - _SLACK_S, connection.read_timeout_s / 2)


def read_back(connection: Connection, before: str, *, count: int) -> list[Event]:
    """Return up to `count` events older than an id, newest first. With `+`, start from the newest event."""
    newest = before if before == "+" else f"({before}"
    entries = connection.lenient(lambda pipe: pipe.xrevrange(keys.EVENTS, max=newest, count=count))
    return [_event(*entry) for entry in entries or ()]


class EventStream(LedgerPart):
    """Reads the event stream."""

    def events(self, after: str = "$", *, block_ms: int | None = None, count: int = EVENTS_AT_ONCE) -> list[Event]:
        """Return the events after an id, oldest first. With `$`, return only new ones.

        Waits up to `block_ms` for an event, or not at all if it is None.
        """
        return read(self.connection, after, block_ms=block_ms, count=count)

    def last_event_id(self) -> str:
        """Return the id of the newest event, or `0-0` if there are none yet. Read on from it to get only new events."""
        return last_id(self.connection)


def _event(stream_id: str, fields: dict[str, str]) -> Event:
    name = fields.pop("kind", "")
    kind = Kind(name) if name in _KINDS else name
    run_id, bench = fields.pop("run", ""), fields.pop("bench", "")
    return Event(stream_id, kind, run_id, bench, int(stream_id.partition("-")[0]), fields)
