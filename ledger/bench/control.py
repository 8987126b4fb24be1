"""The operator's control of a bench: pause, resume, restart."""

from __future__ import annotations

from ledger.errors import BadInput
from ledger.redis import keys
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import PAUSE, RESTART, RESUME
from ledger.runs.records import Pause
from ledger.runs.soundness import number

WHY_MAX = 200
"""Maximum length of a pause reason, in characters. It is limited because the reason is shown with every waiting run."""

RESTART_LAPSE_MS = 60_000
"""Lifetime of a restart request, in ms.

It expires if no bench takes it, so that it cannot restart a bench started later.
"""


class BenchControl(LedgerPart):
    """Operations on the bench as a whole. Each one adds an event that names the user."""

    def pause(self, by: str, why: str = "") -> bool:
        """Stop starting runs. Running ones finish, and new ones are queued.

        Returns False if the bench is already paused; the first user and reason are then kept. Raises BadInput if `why`
        is too long or contains characters that are not printable.
        """
        reason = " ".join(why.split())
        if len(reason) > WHY_MAX or not reason.isprintable():
            raise BadInput("why", why, f"must be at most {WHY_MAX} printable characters")
        args = {"bench": self.bench, "by": by, "why": reason, **self._capped}
        status = self.connection.run(PAUSE, {"paused": self.keys.paused, "events": keys.EVENTS}, args)[0]
        return bool(status == "paused")

    def resume(self, by: str) -> bool:
        """Start waiting runs again. Returns False if the bench was not paused."""
        args = {"bench": self.bench, "by": by, **self._capped}
        status = self.connection.run(RESUME, {"paused": self.keys.paused, "events": keys.EVENTS}, args)[0]
        return bool(status == "resumed")

    def restart_bench(self, by: str) -> bool:
        """Request a restart of the bench, which then loads the current facts. Returns False if one is already pending.

        The worker pool forwards the request to the bench. While no bench is up, the request stays valid for
        RESTART_LAPSE_MS. Runs on the bench are tested again on the new bench, in the same attempt.
        """
        args = {"bench": self.bench, "by": by, "lapse_ms": RESTART_LAPSE_MS, **self._capped}
        status = self.connection.run(RESTART, {"restart": self.keys.restart, "events": keys.EVENTS}, args)[0]
        return bool(status == "requested")

    def paused(self) -> Pause | None:
        """Return the pause of the bench, or None if it is not paused."""
        fields = self.connection.lenient(lambda pipe: pipe.hgetall(self.keys.paused))
        if not fields:
            return None
        return Pause(fields.get("by", ""), fields.get("why", ""), number(fields.get("since_ms")))
