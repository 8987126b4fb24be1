"""The newest events, rendered once for all listeners and found by stream id."""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol


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


def render(event: EventLike) -> bytes:
    """One event in the text/event-stream format; `id:` is the stream id, so Last-Event-ID resumes after it."""
    data = {"kind": event.kind, "run_id": event.run_id, "bench": event.bench, "ms": event.ms, **event.fields}
    return f"id: {event.id}\ndata: {json.dumps(data)}\n\n".encode()


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
        self._rendered: list[bytes] = []
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

    def after(self, position: Position, count: int) -> Batch | None:
        """Up to `count` events after `position`, an empty batch at the end, None when it lies before the floor."""
        with self._lock:
            if self._floor is None or position < self._floor:
                return None
            start = bisect_right(self._positions, position)
            chosen = self._rendered[start : start + count]
            last = self._positions[start + len(chosen) - 1] if chosen else position
        return Batch(b"".join(chosen), last)
