"""Leadership: at most one dispatcher acts for a bench at a time, and it knows when it must stop.

The lock is valid for `leader_ms` on Redis's clock and is renewed every `leader_renew_ms`. A leader relies on a renewal
for less than that time, counted from *before* the request, so it stops acting before another dispatcher can take the
lock. Redis refuses calls that arrive later, because their epoch is old.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ledger.errors import ReachqError, StoreUnavailable
from ledger.settings import Settings
from ledger.store import DispatcherLedger

TRUST = 0.8
"""Fraction of the lock's lifetime for which a leader relies on a renewal.

The rest allows for clock drift and late scheduling.
"""

log = logging.getLogger("reachq.dispatcher")


class Leadership:
    """The leadership of one dispatcher over its bench. Times are seconds on the monotonic clock."""

    def __init__(
        self, ledger: DispatcherLedger, dispatcher: str, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._network = settings.bench
        self._renew_s = settings.leader_renew_ms / 1000
        self._trust_s = settings.leader_ms / 1000 * TRUST
        self._clock = clock
        self._epoch: int | None = None
        self._trusted_until = 0.0
        self._next = 0.0

    @property
    def epoch(self) -> int | None:
        """The term in which this dispatcher may act now, or None if it does not lead or is no longer sure to lead."""
        return self._epoch if self._clock() < self._trusted_until else None

    @property
    def due_s(self) -> float:
        """Seconds until `keep` should be called again, or 0 if it is overdue."""
        return max(0.0, self._next - self._clock())

    def keep(self) -> int | None:
        """Take or renew the lock when that is due, and return `epoch`. An unreachable Redis is not an error here."""
        asked = self._clock()
        if asked < self._next:
            return self.epoch
        try:
            epoch = self._ledger.lead(self._dispatcher)
            if epoch is None:
                self._follow(asked)
            else:
                self._lead(asked, epoch)
        except StoreUnavailable as away:
            if self._epoch is not None and self.epoch is None:
                log.warning("%s no longer leads network %s: %s", self._dispatcher, self._network, away)
                self._epoch = None
            self._next = asked + self._renew_s / 4
        return self.epoch

    def resign(self) -> None:
        """Release the lock at the end, so that another dispatcher can lead at once."""
        if self._epoch is None:
            return
        self._epoch = None
        try:
            self._ledger.resign(self._dispatcher)
        except ReachqError as away:
            log.info("%s could not resign; the lock expires: %s", self._dispatcher, away)

    def depose(self) -> None:
        """Stop acting because StaleEpoch showed that another dispatcher leads. The next `keep` asks again at once."""
        self._epoch = None
        self._next = 0.0

    def _lead(self, asked: float, epoch: int) -> None:
        if epoch != self._epoch:
            log.info("%s leads network %s, epoch %d", self._dispatcher, self._network, epoch)
        self._epoch = epoch
        self._trusted_until = asked + self._trust_s
        self._next = asked + self._renew_s

    def _follow(self, asked: float) -> None:
        """Follow another leader.

        Ask again when its lock would expire, or earlier after one renewal interval in case it resigns.
        """
        if self._epoch is not None:
            log.warning("%s no longer leads network %s", self._dispatcher, self._network)
        self._epoch = None
        other = self._ledger.leader()
        left_s = other.ttl_ms / 1000 if other else 0.0
        self._next = min(asked + self._renew_s, self._clock() + left_s + 0.002)
