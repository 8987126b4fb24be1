"""The board's live part, made once for all who look at it: when something happened, and at most twice a second.

Two hundred boards cost one rendering and two hundred sends; nobody looking costs nothing. A picture is the whole state, so
one that a slow listener never gets is no loss: the next one says more. Pictures carry no stream id and are not resumed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from ledger.errors import ReachqError

PAUSE_S = 0.5
IDLE_S = 5.0
"""Without events the board is still painted so often: silence (a bench that stopped reporting) is news too."""

log = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A frame of the stream; `number` grows, 0 is none yet."""

    number: int
    frame: bytes


class Painter:
    """`paint` gives the markup; it is set by whoever knows how the board looks. `done` is called after each picture."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.paint: Callable[[], str] | None = None
        self.picture = Picture(0, b"")
        self.lookers = 0
        self._done = done
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board painter", daemon=True)

    def start(self) -> None:
        """Begin, if there is anything to paint."""
        if self.paint is not None:
            self._thread.start()

    def close(self) -> None:
        """End soon."""
        self._closing.set()
        self._news.set()

    def touch(self) -> None:
        """Something happened."""
        self._news.set()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE_S):
            self._news.wait(IDLE_S)
            self._news.clear()
            if self.lookers and self.paint is not None and not self._closing.is_set():
                self._try(self.paint)

    def _try(self, paint: Callable[[], str]) -> None:
        try:
            markup = paint()
        except ReachqError as error:
            log.warning("board: %s", error)
            return
        self.picture = Picture(self.picture.number + 1, frame(markup))
        self._done()


def frame(markup: str) -> bytes:
    """`event: board` with the markup as its data; a line of data ends at a line break, so there are none."""
    return f"event: board\ndata: {' '.join(markup.split())}\n\n".encode()
