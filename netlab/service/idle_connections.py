"""Limits connections to the bench that have no attempt, so that they cannot block workers.

A connection is idle until it opens an attempt. (The number of attempts is limited by the lanes.) An idle connection
must send a complete request, and read the reply to the previous one, within a time limit. If there are too many, the
one that has been silent longest is closed to make room for the newest. The newest is worth keeping, because workers
send a request as soon as they connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

IDLE_MAX = 256
"""More connections than the event loop can accept before it has read from the first of them (see ACCEPTED_TOGETHER)."""
PATIENCE_S = 5.0

Dismiss = Callable[[str], None]
"""Closes a connection after sending this message as its last reply."""


class IdleConnections:
    """All connections without an attempt. Use it only in the event loop's thread."""

    def __init__(self, most: int = IDLE_MAX, patience_s: float = PATIENCE_S) -> None:
        self._most, self._patience_s = most, patience_s
        self._timers: dict[Dismiss, asyncio.TimerHandle] = {}  # the one that has been silent longest is first

    def admit(self, dismiss: Dismiss) -> None:
        """Add a new connection, or restart the time limit of one that has sent a request."""
        self.leave(dismiss)
        if len(self._timers) >= self._most:
            oldest = next(iter(self._timers))
            self.leave(oldest)
            oldest(f"closed to make room for a new connection (at most {self._most} may be idle); connect again")
        loop = asyncio.get_running_loop()
        self._timers[dismiss] = loop.call_later(self._patience_s, self._expire, dismiss)

    def leave(self, dismiss: Dismiss) -> None:
        """Remove a connection that has ended or has opened an attempt."""
        if timer := self._timers.pop(dismiss, None):
            timer.cancel()

    def _expire(self, dismiss: Dismiss) -> None:
        del self._timers[dismiss]
        dismiss(f"no request came, or its answer was not read, for {self._patience_s:g} s; connect again")
