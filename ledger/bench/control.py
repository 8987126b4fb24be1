"""The operator's side: pause the bench, resume it, have it started anew."""

from __future__ import annotations

from typing import Any

from ledger.errors import BadInput
from ledger.redis import keys
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import PAUSE, RESTART, RESUME
from ledger.runs.soundness import number

WHY_MAX = 200
"""Characters of a reason: it is shown with every run that waits for it."""

RESTART_LAPSE_MS = 60_000
"""A request to start the bench anew that nobody has taken by then is forgotten: it would surprise whoever starts one."""


class BenchControl(LedgerPart):
    """What a person does to the bench as a whole; each is an event that says who it was."""

    def pause(self, by: str, why: str = "") -> bool:
        """From now on nothing starts; what runs goes on to its end (so the bench drains). Runs may still be submitted.

        False when the bench is paused already: who paused it first, and why, stays. BadInput for a `why` that is too long.
        """
        reason = " ".join(why.split())
        if len(reason) > WHY_MAX or not reason.isprintable():
            raise BadInput("why", why, f"must be at most {WHY_MAX} printable characters")
        args = {"bench": self.bench, "by": by, "why": reason, **self._capped}
        status = self.connection.run(PAUSE, {"paused": self.keys.paused, "events": keys.EVENTS}, args)[0]
        return bool(status == "paused")

    def resume(self, by: str) -> bool:
        """What waits may start again, at once. False when the bench was not paused."""
        args = {"bench": self.bench, "by": by, **self._capped}
        status = self.connection.run(RESUME, {"paused": self.keys.paused, "events": keys.EVENTS}, args)[0]
        return bool(status == "resumed")

    def restart_bench(self, by: str) -> bool:
        """Ask for the bench to end, so that what keeps it alive starts it anew, with the facts as they are by then.

        The worker pool beside it passes that on. While no bench is up the request waits, for a minute. The runs on the
        bench are asked again there, in the same attempt. False when it has been asked for already.
        """
        args = {"bench": self.bench, "by": by, "lapse_ms": RESTART_LAPSE_MS, **self._capped}
        status = self.connection.run(RESTART, {"restart": self.keys.restart, "events": keys.EVENTS}, args)[0]
        return bool(status == "requested")

    def paused(self) -> dict[str, Any] | None:
        """Who paused the bench, why, and since when: {by, why, since_ms}; None when it is not paused."""
        held = self.connection.lenient(lambda pipe: pipe.hgetall(self.keys.paused))
        if not held:
            return None
        return {"by": held.get("by", ""), "why": held.get("why", ""), "since_ms": number(held.get("since_ms"))}
