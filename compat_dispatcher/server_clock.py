"""A leader's estimate of Redis's clock, which protects leases when that clock is set forward.

A lease is a deadline on Redis's clock. If that clock is set forward by an hour, all deadlines have passed at once,
although the workers are alive. So the estimate uses the smallest offset to the monotonic clock that was seen within the
longest lease time. When that time is over, each live worker has renewed its lease and has a deadline on the new time.
The estimate follows a clock that is set back at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class ServerClock:
    """Follows the clock of one server. `slow_s` is the longest lease time in seconds."""

    def __init__(self, slow_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._slow_s = slow_s
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()
        """(monotonic time in s, offset in ms), both ascending: what a later and smaller offset replaces is dropped."""

    def see(self, now_ms: int) -> None:
        """Record the server's time in ms since 1970."""
        at = self._clock()
        offset = now_ms - at * 1000
        while self._seen and self._seen[-1][1] >= offset:
            self._seen.pop()
        self._seen.append((at, offset))
        while self._seen[0][0] < at - self._slow_s:
            self._seen.popleft()

    @property
    def now_ms(self) -> int:
        """The estimated server time in ms since 1970. It is valid only after `see`."""
        return int(self._clock() * 1000 + self._seen[0][1])
