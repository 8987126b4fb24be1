"""The newest events, which are rendered once for all listeners and found by stream id."""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

MOVED = "moved"
"""Kind that replaces the kind of an event for users who may not see its content."""
ELSEWHERE = "elsewhere"
"""Kind that replaces the kind of an event of another network."""


class EventLike(Protocol):
    """The fields of ledger's Event that are used here."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def bench(self) -> str: ...
    @property
    def ms(self) -> int: ...
    @property
    def fields(self) -> dict[str, str]: ...


class Position(NamedTuple):
    """A stream id `<ms>-<n>` as numbers. Positions compare in the order of the stream."""

    ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"


_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")


def parse_position(text: str) -> Position | None:
    """Parse a stream id. Returns None if it is invalid."""
    match = _ID.fullmatch(text)
    if not match:
        return None
    position = Position(int(match[1]), int(match[2] or 0))
    return position if max(position) < 2**64 else None


def position_of(event: EventLike) -> Position:
    """Return the position of an event in the stream."""
    ms, _, n = event.id.partition("-")
    return Position(int(ms), int(n or 0))


class Audience(NamedTuple):
    """Who receives a stream, by name and role, and for which network ("" for all).

    An admin gets every event in full, a viewer gets all except those about users, and a user gets those about own runs
    and the bench. Other events are redacted to `{"kind": "moved"}`, so that the stream has no gaps.
    """

    name: str
    role: str
    network: str = ""

    def is_elsewhere(self, event: EventLike) -> bool:
        """Return whether the event is about another network."""
        return bool(self.network and event.bench and event.bench != self.network)

    def may_read(self, event: EventLike) -> bool:
        """Return whether this audience gets the event in full."""
        if self.role == "admin":
            return True
        if not event.run_id:
            return bool(event.bench)  # neither run nor bench: it is about users
        return self.role == "viewer" or event.fields.get("user") == self.name


class Rendered(NamedTuple):
    """One event as bytes: in full, redacted, and for another network."""

    event: EventLike
    whole: bytes
    moved: bytes
    elsewhere: bytes

    def bytes_for(self, audience: Audience) -> bytes:
        """Return the bytes for this audience."""
        if audience.is_elsewhere(self.event):
            return self.elsewhere
        return self.whole if audience.may_read(self.event) else self.moved


def render(event: EventLike) -> Rendered:
    """Render one event in the text/event-stream format. `id:` is the stream id, so Last-Event-ID resumes after it."""
    data = {"kind": event.kind, "run_id": event.run_id, "bench": event.bench, "ms": event.ms, **event.fields}
    less = {"kind": MOVED, "run_id": "", "bench": event.bench, "ms": event.ms}
    other = less | {"kind": ELSEWHERE}
    documents = (data, less, other)
    whole, moved, elsewhere = (f"id: {event.id}\ndata: {json.dumps(each)}\n\n".encode() for each in documents)
    return Rendered(event, whole, moved, elsewhere)


class Batch(NamedTuple):
    """Rendered events and the position of the last of them."""

    data: bytes
    last: Position


class Window:
    """The newest events, at most `size`.

    It contains everything after `floor`. Older events must be read from Redis.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._positions: list[Position] = []
        self._rendered: list[Rendered] = []
        self._floor: Position | None = None

    @property
    def end(self) -> Position | None:
        """Position of the newest known event, or None before the first `begin`."""
        with self._lock:
            return self._positions[-1] if self._positions else self._floor

    def begin(self, floor: Position) -> None:
        """Start with an empty window after `floor`."""
        with self._lock:
            self._floor = floor

    def extend(self, events: Sequence[EventLike]) -> None:
        """Add newer events, and drop the oldest ones beyond the size."""
        positions = [position_of(event) for event in events]
        rendered = [render(event) for event in events]
        with self._lock:
            self._positions += positions
            self._rendered += rendered
            surplus = len(self._positions) - self._size
            if surplus > 0:
                self._floor = self._positions[surplus - 1]
                del self._positions[:surplus]
                del self._rendered[:surplus]

    def after(self, position: Position, count: int, audience: Audience) -> Batch | None:
        """Return up to `count` events after `position`, as this audience may see them.

        The result is empty at the end of the stream, and None if `position` is before the floor.
        """
        with self._lock:
            if self._floor is None or position < self._floor:
                return None
            start = bisect_right(self._positions, position)
            chosen = self._rendered[start : start + count]
            last = self._positions[start + len(chosen) - 1] if chosen else position
        return Batch(b"".join(rendered.bytes_for(audience) for rendered in chosen), last)
