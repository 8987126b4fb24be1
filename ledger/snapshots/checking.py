"""What a host needs: the snapshots to check, their files, and the one that is current."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.scripts import SETTLE_CHECK
from ledger.snapshots.listing import SnapshotReading
from ledger.snapshots.records import FIRST_START, SnapshotState


class SnapshotChecking(SnapshotReading):
    """Operations of a host on the snapshots of one network."""

    def wanted_snapshots(self) -> tuple[str, list[str]]:
        """Return the current snapshot ("" if there is none), and those that no host has checked yet."""
        with self.connection.reading() as pipe:
            pipe.get(self.keys.current)
            pipe.smembers(self.keys.unchecked)
            current, unchecked = answers(pipe)
        return current or "", sorted(unchecked or ())

    def settle_check(
        self, facts: str, outcome: SnapshotState, *, host: str, problems: Iterable[str], warnings: Iterable[str]
    ) -> bool:
        """Store whether a bench can be built from a snapshot. Returns False if that is decided already."""
        status = self.connection.run(
            SETTLE_CHECK,
            {
                "snapshot": self.keys.snapshot_prefix + facts,
                "unchecked": self.keys.unchecked,
                "current": self.keys.current,
                "events": keys.EVENTS,
            },
            {
                "facts": facts,
                "bench": self.bench,
                "outcome": str(outcome),
                "host": host,
                "problems": json.dumps(list(problems)),
                "warnings": json.dumps(list(warnings)),
                "first_start": FIRST_START,
                **self._capped,
            },
        )[0]
        return bool(status == "settled")
