"""The bench's journal: which run used the network when. It keeps the latest entries in memory."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

ENTRIES = 2000


class Journal:
    """A bounded log. Each entry has a monotonic time in ns, for the order, and the time in ms since 1970, for display."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, int, str, str]] = deque(maxlen=ENTRIES)

    def write(self, what: str, run_id: str) -> None:
        """Add an entry with the current time."""
        self._entries.append((time.monotonic_ns(), time.time_ns() // 1_000_000, what, run_id))

    def documents(self) -> list[dict[str, Any]]:
        """Return all entries, oldest first."""
        return [{"ns": ns, "ms": ms, "what": what, "run_id": run} for ns, ms, what, run in self._entries]
