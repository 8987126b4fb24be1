"""Reaps the runs of dead, stopped or disconnected workers. It wakes exactly when the first lease ends."""

from __future__ import annotations

import logging
import time

from compat_dispatcher.server_clock import ServerClock
from ledger.runs.records import DispatchView
from ledger.runs.run import State
from ledger.settings import Settings
from ledger.store import DispatcherLedger

TRIM_EVERY = 100
"""Number of ended runs after which the history is trimmed. It is also trimmed with every reaping."""

log = logging.getLogger("reachq.dispatcher")


class Reaper:
    """Tracks when the next lease ends. Times are seconds on the monotonic clock."""

    def __init__(self, ledger: DispatcherLedger, settings: Settings) -> None:
        self._ledger = ledger
        self._attempts_max = settings.attempts_max
        self._shortest_ms = min(settings.begin_ms, settings.lease_ms)
        self._longest_s = max(settings.begin_ms, settings.lease_ms) / 1000
        self._clock = ServerClock(self._longest_s)
        self._due: float | None = None
        self._ended = 0

    @property
    def due_s(self) -> float | None:
        """Seconds until `step` should run, or None while no run holds a lease."""
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def note(self, view: DispatchView, *, started: int, ended: int) -> None:
        """Read the next deadline from a new view, because a renewal may have extended it since the last view.

        `started` is the number of runs that got leases after that view. `ended` is the number of ended runs, counted
        for `tidy`.
        """
        self._ended += ended
        self._clock.see(view.now_ms)
        deadlines_ms = [view.deadline_ms] if view.deadline_ms is not None else []
        if started:
            deadlines_ms.append(view.now_ms + self._shortest_ms)
        # Add 1 ms, because a lease ends after its deadline and not at it. No lease lasts longer than `_longest_s`, so a
        # deadline beyond that is from before the clock was set.
        left_s = (min(deadlines_ms, default=0) - self._clock.now_ms + 1) / 1000
        self._due = time.monotonic() + min(left_s, self._longest_s) if deadlines_ms else None

    def step(self, epoch: int) -> bool:
        """Reap overdue runs. Returns whether one of them is damaged. Raises StaleEpoch if another dispatcher leads."""
        damaged = False
        for reaped in self._ledger.reap(epoch, self._clock.now_ms):
            if reaped.status is None:
                damaged = True
            elif reaped.status is State.FAILED:
                log.warning("run %s failed: attempt %d was lost too", reaped.run_id, self._attempts_max)
            else:
                log.warning("run %s: its worker was lost, and the run is now %s", reaped.run_id, reaped.status)
        self._due = None
        return damaged

    def tidy(self) -> None:
        """Trim the history if enough runs have ended."""
        if self._ended >= TRIM_EVERY:
            self._ended = 0
            self._ledger.trim()
            self._ledger.sweep()
