"""Renders the live part of the board once for all viewers, after events and at most twice a second.

Two hundred boards cost one rendering and two hundred sends, and without viewers nothing is rendered. A snapshot
contains the whole state, so a slow viewer that misses one loses nothing, because the next one replaces it. Snapshots
carry no stream id and are not resumed. A snapshot from before the first viewer connected is never shown, because it may
be old.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from ledger.errors import ReachqError

PAUSE_S = 0.5
IDLE_S = 5.0
"""Interval of rendering without events, in s.

It is needed because a bench that has stopped reporting causes no event, but must be shown.
"""

log = logging.getLogger(__name__)


class BoardSnapshot(NamedTuple):
    """A frame of the stream, empty while there is none. `number` increases with each snapshot."""

    number: int
    frame: bytes


class BoardRenderer:
    """Renders the live part of the board in a thread while it has viewers, and calls `done` after each snapshot.

    The board page sets `render`, a function that returns the markup.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self.render: Callable[[], str] | None = None
        self.snapshot = BoardSnapshot(0, b"")
        self._viewers = 0
        self._done = done
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board renderer", daemon=True)

    def start(self) -> None:
        """Start the thread if there is anything to render."""
        if self.render is not None:
            self._thread.start()

    def close(self) -> None:
        """Make the thread stop soon."""
        self._closing.set()
        self._news.set()

    def touch(self) -> None:
        """Record that an event has happened, so that the board is rendered again."""
        self._news.set()

    def set_viewers(self, count: int) -> None:
        """Set the number of viewers. The first one gets a new snapshot."""
        first = count and not self._viewers
        self._viewers = count
        if first:
            self.snapshot = BoardSnapshot(self.snapshot.number + 1, b"")
            self._news.set()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE_S):
            self._news.wait(IDLE_S)
            self._news.clear()
            if self._viewers and self.render is not None and not self._closing.is_set():
                self._try(self.render)

    def _try(self, render: Callable[[], str]) -> None:
        try:
            markup = render()
        except ReachqError as error:
            log.warning("board: %s", error)
            return
        except Exception:  # one failed rendering must not stop later ones
            log.exception("the board could not be rendered")
            return
        self.snapshot = BoardSnapshot(self.snapshot.number + 1, frame(markup))
        self._done()


def frame(markup: str) -> bytes:
    """Return an `event: board` with the markup as its data.

    Line breaks are removed, because they would end a line of data.
    """
    return f"event: board\ndata: {' '.join(markup.split())}\n\n".encode()
