"""Finds and repairs damage in Redis, so that one damaged record or key does not stop other runs.

Every AUDIT_S, the leader examines the runs that hold something and those next in line. It does so at once if a script
finds damage. It also scans all keys in small slices. The first scan of a term has no pauses; later slices are SCAN_S
apart.
"""

from __future__ import annotations

import logging
import time

from ledger.store import DispatcherLedger

AUDIT_S = 2.0
SCAN_S = 0.25
"""Time between two slices of 200 keys. The 40,000 keys of 10,000 runs take about 50 s."""
URGENT_S = 0.2
"""Time between two requested audits, so that damage that cannot be repaired yet does not keep the leader busy."""

log = logging.getLogger("reachq.dispatcher")


class Auditor:
    """Schedules the audits. Times are seconds on the monotonic clock."""

    def __init__(self, ledger: DispatcherLedger) -> None:
        self._ledger = ledger
        self._audited = self._scanned = 0.0
        self._urgent = True
        self._cursor = 0
        self._hurry = True
        self.audited = False
        """Whether the last step was a full audit. The leader then also views the bench, in case an event was lost."""

    @property
    def due_s(self) -> float:
        """Seconds until `step` should run."""
        now = time.monotonic()
        scan = 0.0 if self._hurry else self._scanned + SCAN_S - now
        return max(0.0, min(self._audited + (URGENT_S if self._urgent else AUDIT_S) - now, scan))

    def begin(self) -> None:
        """Start a new term, in which everything is examined once without pauses."""
        self._audited, self._urgent, self._cursor, self._hurry = 0.0, True, 0, True

    def urge(self) -> None:
        """Schedule an audit as soon as possible because a script found damage."""
        self._urgent = True

    def step(self, epoch: int, *, at_once: bool = False) -> bool:
        """Do the audits that are due. Returns whether the lines must be counted again.

        That is so after a repair, and after each complete scan. Raises StaleEpoch if another dispatcher leads.
        """
        now = time.monotonic()
        repaired = self.audited = counted = False
        if at_once or now >= self._audited + (URGENT_S if self._urgent else AUDIT_S):
            self._audited, self._urgent, self.audited = now, False, True
            repaired = self._ledger.repair_keys()
            repaired |= self._ledger.repair_runs(epoch)
        if self._hurry or now >= self._scanned + SCAN_S:
            self._scanned = now
            self._cursor, slice_repaired = self._ledger.repair_slice(epoch, self._cursor)
            counted = self._cursor == 0
            self._hurry = self._hurry and not counted
            repaired |= slice_repaired
        if repaired:
            log.warning("damage in Redis was repaired; `reachq bench status` names what was set aside")
        return repaired or counted
