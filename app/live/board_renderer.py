"""Renders the live part of the board once for all viewers: after events, at most twice a second.

Two hundred boards cost one rendering and two hundred sends; without viewers it costs nothing. A snapshot is the whole
state, so a slow viewer that misses one loses nothing: the next one replaces it. Snapshots carry no stream id and are
not resumed. A snapshot made before the first viewer came is never shown, because it may be old.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from ledger.errors import ReachqError

PAUSE_S = 0.5
IDLE_S = 5.0
"""Interval of rendering without events: a bench that stopped reporting causes no event, but must be shown."""

log = logging.getLogger(__name__)


class BoardSnapshot(NamedTuple):
    """A frame of the stream, empty while there is none; `number` grows."""

    number: int
    frame: bytes


class BoardRenderer:
    """Renders the live part of the board in a thread while it has viewers, and calls `done` after each snapshot.

    The board page sets `render`, which returns the markup.
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
        """Start the thread, if there is anything to render."""
        if self.render is not None:
            self._thread.start()

    def close(self) -> None:
        """Stop the thread soon."""
        self._closing.set()
        self._news.set()

    def touch(self) -> None:
        """Note that an event happened."""
        self._news.set()

    def set_viewers(self, count: int) -> None:
        """Set the number of viewers; the first one gets a new snapshot."""
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
    """`event: board` with the markup as its data; line breaks are removed, since they end a line of data."""
    return f"event: board\ndata: {' '.join(markup.split())}\n\n".encode()
