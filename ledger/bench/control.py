"""The operator's control of a bench (pause, resume, restart) and of the hosts (drain, resume)."""

from __future__ import annotations

from ledger.errors import BadInput
from ledger.redis import keys
from ledger.redis.keys import of_host
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import DRAIN, PAUSE, RESTART, RESUME, UNDRAIN
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
        args = {"bench": self.bench, "by": by, "why": _reason(why), **self._capped}
        status = self.connection.run(PAUSE, {"paused": self.keys.paused, "events": keys.EVENTS}, args)[0]
        return bool(status == "paused")

    def resume(self, by: str) -> bool:
        """Start waiting runs again. Returns False if the bench was not paused."""
        args = {"bench": self.bench, "by": by, **self._capped}
        status = self.connection.run(RESUME, {"paused": self.keys.paused, "events": keys.EVENTS}, args)[0]
        return bool(status == "resumed")

    def restart_bench(self, by: str) -> bool:
        """Request a restart of the bench, which then loads the current facts. Returns False if one is already pending.

        Each host's bench restarts: its worker pool forwards the request. While a bench is not up, its request stays valid
        for RESTART_LAPSE_MS. Runs on a bench are tested again on the new bench, in the same attempt.
        """
        args = {"bench": self.bench, "by": by, "lapse_ms": RESTART_LAPSE_MS, **self._capped}
        wanted = [of_host(self.keys.restart, host) for host in self.host_names()]
        replies = [self.connection.run(RESTART, {"restart": key, "events": keys.EVENTS}, args)[0] for key in wanted]
        return "requested" in replies

    def drain_host(self, host: str, by: str, why: str = "") -> bool:
        """Start no more runs on a host, of any network; running ones finish. Returns False if it is already drained.

        The first user and reason are then kept. Raises HostNotFound, or BadInput for an unsuitable reason.
        """
        self._expect_host(host)
        args = {"host": host, "by": by, "why": _reason(why), "bench": self.bench, **self._capped}
        status = self.connection.run(DRAIN, {"drained": keys.DRAINED, "events": keys.EVENTS}, args)[0]
        return bool(status == "drained")

    def resume_host(self, host: str, by: str) -> bool:
        """Start runs on a drained host again. Returns False if it is not drained. Raises HostNotFound."""
        args = {"host": host, "by": by, "bench": self.bench, **self._capped}
        status = self.connection.run(UNDRAIN, {"drained": keys.DRAINED, "events": keys.EVENTS}, args)[0]
        if status != "resumed":
            self._expect_host(host)
        return bool(status == "resumed")

    def _expect_host(self, host: str) -> None:
        known = self.used_hosts()
        if host not in known:
            raise self._no_host(known)

    def paused(self) -> Pause | None:
        """Return the pause of the bench, or None if it is not paused."""
        fields = self.connection.lenient(lambda pipe: pipe.hgetall(self.keys.paused))
        if not fields:
            return None
        return Pause(fields.get("by", ""), fields.get("why", ""), number(fields.get("since_ms")))


def _reason(why: str) -> str:
    """Return a reason with single spaces. Raises BadInput if it is too long or cannot be printed."""
    reason = " ".join(why.split())
    if len(reason) > WHY_MAX or not reason.isprintable():
        raise BadInput("why", why, f"must be at most {WHY_MAX} printable characters")
    return reason
