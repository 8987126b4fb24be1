"""The event stream: every change of state, in order, capped; it wakes dispatchers and feeds browsers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ledger import keys
from ledger.connect import Connection, translated

_SLACK_S = 1.0


class Kind(StrEnum):
    """What happened: `submitted` to `returned` to a run, `led` to `bench` to a bench, the rest to a user.

    Of the last, `user` is whom it is about and `by` who did it.
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
    LED = "led"
    RESIGNED = "resigned"
    WORKER = "worker"
    WITHDRAWN = "withdrawn"
    BENCH = "bench"
    SIGNED_IN = "signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    SIGNED_OUT = "signed-out"
    USER_ADDED = "user-added"
    USER_CHANGED = "user-changed"
    USER_REMOVED = "user-removed"
    TOKEN_MADE = "token-made"
    TOKEN_REVOKED = "token-revoked"
    PASSWORD_CHANGED = "password-changed"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: `id` is the stream's (`<ms>-<n>`, an SSE id too), `ms` its time on Redis's clock."""

    id: str
    kind: Kind
    run_id: str
    bench: str
    ms: int
    fields: dict[str, str] = field(default_factory=dict)


def last_id(connection: Connection) -> str:
    """Id of the newest event, `0-0` when there was none: read on from here, and nothing is missed."""
    with translated():
        newest: Any = connection.client.xrevrange(keys.EVENTS, count=1)
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


def _event(stream_id: str, fields: dict[str, str]) -> Event:
    kind = Kind(fields.pop("kind"))
    run_id, bench = fields.pop("run", ""), fields.pop("bench", "")
    return Event(stream_id, kind, run_id, bench, int(stream_id.partition("-")[0]), fields)
