"""What a host needs: the snapshots to check, their files, and the one that is current."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.scripts import SETTLE_CHECK
from ledger.snapshots.listing import SnapshotReading
from ledger.snapshots.records import FIRST_START, SnapshotState

ASKED_MS = 60_000
"""How long the bench of a snapshot stays open after a bulk run named it. submit.lua uses the same time."""


@dataclass(frozen=True)
class WantedSnapshots:
    """The snapshots for which a host needs a bench: the current one ("": none), those to check, those that runs name."""

    current: str
    unchecked: tuple[str, ...]
    asked: tuple[str, ...]


class SnapshotChecking(SnapshotReading):
    """Operations of a host on the snapshots of one network."""

    def wanted_snapshots(self) -> WantedSnapshots:
        """Return the snapshots for which a host needs a bench now."""
        with self.connection.reading() as pipe:
            pipe.time()
            pipe.get(self.keys.current)
            pipe.smembers(self.keys.unchecked)
            pipe.zrange(self.keys.asked_snapshots, 0, -1, withscores=True)
            now, current, unchecked, asked = answers(pipe)
        now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
        needed = sorted(str(facts) for facts, until_ms in asked or () if until_ms > now_ms)
        return WantedSnapshots(str(current or ""), tuple(sorted(unchecked or ())), tuple(needed))

    def ask_snapshot(self, facts: str) -> None:
        """Have the hosts keep a bench for this snapshot open for another minute, because a bulk run needs it."""
        with self.connection.reading() as pipe:
            pipe.time()
            (now,) = answers(pipe)
        until_ms = int(now[0]) * 1000 + ASKED_MS
        self.connection.lenient(lambda pipe: pipe.zadd(self.keys.asked_snapshots, {facts: until_ms}))

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
