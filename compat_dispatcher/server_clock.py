"""Redis's clock as a leader believes it: when the clock is set forward, it follows only after every lease was renewed.

A lease is a deadline on Redis's clock. If that clock is set forward by an hour, all deadlines are past at once, although the
workers live. So the slowest offset to the monotonic clock counts that was seen within the time of a lease: by the
end of it each live worker has a deadline on the new time. A clock that is set back is followed at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class ServerClock:
    """Follows one server; `slow_s` is the longest time of a lease in seconds."""

    def __init__(self, slow_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._slow_s = slow_s
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, now_ms: int) -> None:
        """Take note of the server's time, ms since 1970."""
        at = self._clock()
        self._seen.append((at, now_ms - at * 1000))
        while self._seen[0][0] < at - self._slow_s:
            self._seen.popleft()

    @property
    def now_ms(self) -> int:
        """The server's time as believed now; only after `see`."""
        return int(self._clock() * 1000 + min(offset for _, offset in self._seen))
