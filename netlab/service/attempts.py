"""Attempts: who may use which lane. The bench's own check of the fence, independent of the workers. Pure.

One connection is one attempt. A lane remembers the highest fence it has seen: a lower one is refused, a higher one ends
the older attempt at once. So a worker that was stopped, lost its lease and woke up again can change nothing on the
network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netlab.errors import NetlabError

ALONE = 0
"""The lane number of a detailed attempt, which has no lane; there is one such attempt at a time."""


class StaleFence(NetlabError):
    """A newer attempt has used this lane; this one must stop. `seen` is the highest fence of all lanes."""

    def __init__(self, message: str, seen: int) -> None:
        super().__init__(message)
        self.seen = seen


@dataclass(eq=False)
class ActiveAttempt:
    """One open attempt; `end` closes its connection."""

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
        """Admit the attempt, ending an older one on its lane; raises StaleFence."""
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
        """The highest fence seen on any lane, 0 before the first attempt."""
        return max(self._highest.values(), default=0)

    def close(self, attempt: ActiveAttempt) -> None:
        """End an attempt whose connection is gone, or whose lane a newer attempt took."""
        attempt.live = False
        if self._open.get(attempt.lane) is attempt:
            del self._open[attempt.lane]

    def __iter__(self) -> Iterator[ActiveAttempt]:
        return iter(sorted(self._open.values(), key=lambda attempt: attempt.lane))
