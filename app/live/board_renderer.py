"""The board's live part, made once for all who look at it: when something happened, and at most twice a second.

Two hundred boards cost one rendering and two hundred sends; nobody looking costs nothing. A picture is the whole state, so
one that a slow listener never gets is no loss: the next one says more. Pictures carry no stream id and are not resumed.
What was painted before anybody looked is never shown: it may be as old as the last look.
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


class BoardSnapshot(NamedTuple):
    """A frame of the stream, empty while there is none; `number` grows."""

    number: int
    frame: bytes


class BoardRenderer:
    """`paint` gives the markup; it is set by whoever knows how the board looks. `done` is called after each picture."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.paint: Callable[[], str] | None = None
        self.picture = BoardSnapshot(0, b"")
        self._lookers = 0
        self._done = done
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board renderer", daemon=True)

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

    def look(self, lookers: int) -> None:
        """So many look now; the first of them is painted a picture of its own."""
        first = lookers and not self._lookers
        self._lookers = lookers
        if first:
            self.picture = BoardSnapshot(self.picture.number + 1, b"")
            self._news.set()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE_S):
            self._news.wait(IDLE_S)
            self._news.clear()
            if self._lookers and self.paint is not None and not self._closing.is_set():
                self._try(self.paint)

    def _try(self, paint: Callable[[], str]) -> None:
        try:
            markup = paint()
        except ReachqError as error:
            log.warning("board: %s", error)
            return
        except Exception:  # what it cannot show now must not end all that is shown later
            log.exception("the board could not be painted")
            return
        self.picture = BoardSnapshot(self.picture.number + 1, frame(markup))
        self._done()


def frame(markup: str) -> bytes:
    """`event: board` with the markup as its data; a line of data ends at a line break, so there are none."""
    return f"event: board\ndata: {' '.join(markup.split())}\n\n".encode()
