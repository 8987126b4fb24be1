"""Decides which attempt may use a lane. The bench checks fences itself and does not rely on the workers. Pure.

One connection is one attempt. The bench remembers the highest fence for each lane. It refuses an attempt whose fence is
not higher, and a higher fence ends the older attempt at once. A worker that was paused, lost its lease and then
continued can therefore change nothing on the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netlab.errors import NetlabError

ALONE = 0
"""The lane number for a detailed attempt, which has no lane. Only one such attempt can be open at a time."""


class StaleFence(NetlabError):
    """The attempt must stop, because a newer one has used its lane. `seen` is the highest fence used on any lane."""

    def __init__(self, message: str, seen: int) -> None:
        super().__init__(message)
        self.seen = seen


@dataclass(eq=False)
class ActiveAttempt:
    """One open attempt. `end` closes its connection."""

    run_id: str
    mode: str
    lane: int
    fence: int
    since_ms: int
    end: Callable[[], None]
    live: bool = True


class Attempts:
    """All open attempts of one bench."""

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}
        self._open: dict[int, ActiveAttempt] = {}

    def open(self, attempt: ActiveAttempt) -> None:
        """Admit the attempt and end an older one on its lane.

        Raises StaleFence if an attempt with the same or a higher fence has used the lane.
        """
        highest = self._highest.get(attempt.lane, 0)
        if attempt.fence <= highest:
            message = f"lane {attempt.lane} has seen fence {highest}; {attempt.fence} is too old"
            raise StaleFence(message, self.highest)
        older = self._open.get(attempt.lane)
        if older:
            self.close(older)
            older.end()
        self._highest[attempt.lane] = attempt.fence
        self._open[attempt.lane] = attempt

    @property
    def highest(self) -> int:
        """The highest fence used on any lane; 0 before the first attempt."""
        return max(self._highest.values(), default=0)

    def close(self, attempt: ActiveAttempt) -> None:
        """End an attempt because its connection has closed or a newer attempt has its lane."""
        attempt.live = False
        if self._open.get(attempt.lane) is attempt:
            del self._open[attempt.lane]

    def __iter__(self) -> Iterator[ActiveAttempt]:
        return iter(sorted(self._open.values(), key=lambda attempt: attempt.lane))
