"""The bench's own log of which run used the network when: the last entries, in memory."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

ENTRIES = 2000


class Journal:
    """A bounded log; times are ns on the monotonic clock, for order, and ms since 1970, for people."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, int, str, str]] = deque(maxlen=ENTRIES)

    def write(self, what: str, run_id: str) -> None:
        """Note what happens now."""
        self._entries.append((time.monotonic_ns(), time.time_ns() // 1_000_000, what, run_id))

    def documents(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [{"ns": ns, "ms": ms, "what": what, "run_id": run} for ns, ms, what, run in self._entries]
