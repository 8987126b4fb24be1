"""The newest events, rendered once for all listeners and found by stream id."""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

MOVED = "moved"
"""The kind of an event as it is told to somebody whom its content does not concern: something moved, and no more."""


class EventLike(Protocol):
    """What is needed of ledger's Event."""

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
    """A stream id `<ms>-<n>` as numbers, so that positions compare as the stream orders them."""

    ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"


_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")


def parse_position(text: str) -> Position | None:
    """The position a stream id names, None when the text is no stream id."""
    found = _ID.fullmatch(text)
    if not found:
        return None
    position = Position(int(found[1]), int(found[2] or 0))
    return position if max(position) < 2**64 else None


def position_of(event: EventLike) -> Position:
    """Where an event stands in the stream."""
    ms, _, n = event.id.partition("-")
    return Position(int(ms), int(n or 0))


class Audience(NamedTuple):
    """For whom a stream is: an admin gets every event whole, a viewer all but those about people, a user those about
    own runs and the bench. What is not theirs comes as `{"kind": "moved"}`: no stream has a hole, so none can be missed."""

    name: str
    role: str

    def may_read(self, event: EventLike) -> bool:
        """Whether the event is told whole."""
        if self.role == "admin":
            return True
        if not event.run_id:
            return bool(event.bench)  # neither run nor bench: it is about people
        return self.role == "viewer" or event.fields.get("user") == self.name


class Rendered(NamedTuple):
    """One event as bytes, whole and for those it does not concern."""

    event: EventLike
    whole: bytes
    moved: bytes

    def told(self, audience: Audience) -> bytes:
        """What this audience is sent."""
        return self.whole if audience.may_read(self.event) else self.moved


def render(event: EventLike) -> Rendered:
    """One event in the text/event-stream format; `id:` is the stream id, so Last-Event-ID resumes after it."""
    data = {"kind": event.kind, "run_id": event.run_id, "bench": event.bench, "ms": event.ms, **event.fields}
    less = {"kind": MOVED, "run_id": "", "bench": event.bench, "ms": event.ms}
    whole, moved = (f"id: {event.id}\ndata: {json.dumps(said)}\n\n".encode() for said in (data, less))
    return Rendered(event, whole, moved)


class Batch(NamedTuple):
    """Rendered events and the position of the last of them."""

    data: bytes
    last: Position


class Window:
    """At most `size` newest events. Everything after `floor` is here; what is older must be read from Redis."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._positions: list[Position] = []
        self._rendered: list[Rendered] = []
        self._floor: Position | None = None

    @property
    def end(self) -> Position | None:
        """Position of the newest event known, None before the first `begin`."""
        with self._lock:
            return self._positions[-1] if self._positions else self._floor

    def begin(self, floor: Position) -> None:
        """Start empty after `floor`."""
        with self._lock:
            self._floor = floor

    def extend(self, events: Sequence[EventLike]) -> None:
        """Add newer events, dropping the oldest beyond the size."""
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
        """Up to `count` events after `position` as `audience` is told them; empty at the end, None before the floor."""
        with self._lock:
            if self._floor is None or position < self._floor:
                return None
            start = bisect_right(self._positions, position)
            chosen = self._rendered[start : start + count]
            last = self._positions[start + len(chosen) - 1] if chosen else position
        return Batch(b"".join(rendered.told(audience) for rendered in chosen), last)
