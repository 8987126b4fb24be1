"""The bench's journal: which run used the network when. It keeps the latest entries in memory."""

from __future__ import annotations

import time
from collections import deque

from netlab.service.replies import JournalEntry

ENTRIES = 2000


class Journal:
    """A bounded log."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=ENTRIES)

    def write(self, what: str, run_id: str) -> None:
        """Add an entry with the current time."""
        self._entries.append(JournalEntry(time.monotonic_ns(), time.time_ns() // 1_000_000, what, run_id))

    def entries(self) -> tuple[JournalEntry, ...]:
        """Return all entries, oldest first."""
        return tuple(self._entries)
