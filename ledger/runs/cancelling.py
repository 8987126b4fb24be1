"""Cancels runs for the app: one, or all that match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.errors import BadInput, RunEnded, RunNotFound
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import CANCEL
from ledger.runs import run_hash
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.runs.searching import TEXT_MAX

AT_ONCE = 500
"""Number of runs that are read, and cancelled, in one round trip."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs to cancel: those that have all of these. None and "" match every run.

    `text` is as in `Searching.search`: each of its words is the start of the id or of an address, or a service.
    """

    user: str | None = None
    mode: Mode | None = None
    state: State | None = None
    text: str = ""

    def check(self) -> None:
        """Raise BadInput for a choice that no run that can be cancelled has, or that is too long."""
        if self.state in ENDED:
            raise BadInput(
                "state", self.state, "is the state of runs that have ended: use pending, promoted or running"
            )
        if len(self.text) > TEXT_MAX:
            raise BadInput("text", self.text, f"must be at most {TEXT_MAX} characters")

    def fits(self, run: Run) -> bool:
        """Return whether the run has everything that is asked."""
        wanted = ((self.user, run.user), (self.mode, run.mode), (self.state, run.state))
        return all(want is None or want == has for want, has in wanted) and all(
            _says(word, run) for word in self.text.lower().split()
        )


@dataclass(frozen=True, slots=True)
class CancelCount:
    """Number of runs that have been cancelled, and of running ones whose workers were asked to stop them."""

    cancelled: int
    cancelling: int


class Cancelling(LedgerPart):
    """Cancel runs."""

    def cancel(self, run_id: str, *, by: str = "") -> Run:
        """Cancel a run. A waiting or promoted run ends at once; a running one is marked `cancelling` for its worker.

        `by` is the user, who is recorded in the event. Raises RunNotFound or RunEnded.
        """
        status, *record = self.connection.run(CANCEL, *self._cancellation(run_id, by))
        if status == "missing":
            raise RunNotFound(f"There is no run {run_id}.")
        if status == "ended":
            raise RunEnded(f"Run {run_id} has already ended; there is nothing left to cancel.")
        return run_hash.decode(run_id, run_hash.pairs(record))

    def matching(self, choice: Choice) -> Iterator[list[Run]]:
        """Yield the runs that `cancel_matching` would cancel now, in parts of at most AT_ONCE. Raises BadInput."""
        choice.check()
        newest = int(self.connection.lenient(lambda pipe: pipe.get(self.keys.seq)) or 0)
        for ids in self._unfinished(choice):
            for at in range(0, len(ids), AT_ONCE):
                part = ids[at : at + AT_ONCE]
                with self.connection.reading() as pipe:
                    for run_id in part:
                        pipe.hgetall(keys.run(run_id))
                    records = answers(pipe)
                runs = run_hash.sound(zip(part, records, strict=True))
                yield [
                    run
                    for run in runs
                    if run.state not in ENDED and not run.cancelling and run.seq <= newest and choice.fits(run)
                ]

    def cancel_matching(self, choice: Choice, *, by: str) -> CancelCount:
        """Cancel all runs of this network that match and were submitted before this call. Takes about 0.1 ms for each.

        A run with a damaged record is left to the dispatcher, which sets it aside. Raises BadInput.
        """
        count = {"cancelled": 0, "cancelling": 0}
        for runs in self.matching(choice):
            calls = [self._cancellation(run.id, by) for run in runs]
            for status in self.connection.run_each(CANCEL, calls):
                if status in count:
                    count[status] += 1
        return CancelCount(**count)

    def _unfinished(self, choice: Choice) -> Iterator[list[str]]:
        """Yield ids in the order in which a run moves on, so that none is missed: surplus, line, slot."""
        modes = [choice.mode] if choice.mode else list(Mode)
        for mode in modes:
            for user in [choice.user] if choice.user else self._owners(mode):
                yield self._surplus(mode, user)
        yield from map(self._line, modes)
        yield from map(self._slots, modes)

    def _owners(self, mode: Mode) -> list[str]:
        return self.connection.lenient(lambda pipe: pipe.hkeys(self.keys.waiting[mode])) or []

    def _surplus(self, mode: Mode, user: str) -> list[str]:
        return self.connection.lenient(lambda pipe: pipe.zrange(self.keys.surplus(mode, user), 0, -1)) or []

    def _line(self, mode: Mode) -> list[str]:
        return self.connection.lenient(lambda pipe: pipe.lrange(self.keys.pending[mode], 0, -1)) or []

    def _slots(self, mode: Mode) -> list[str]:
        return list(self.connection.lenient(lambda pipe: pipe.smembers(self.keys.running[mode])) or ())

    def _cancellation(self, run_id: str, by: str) -> tuple[dict[str, str], dict[str, object]]:
        """Return the KEYS and ARGV of `cancel.lua`."""
        found = {"run": keys.run(run_id), "seq": self.keys.seq}
        asked = {"id": run_id, "by": by, "line_max": self.settings.fair_waiting, **self._capped}
        prefixes = ("surplus_prefix", "run_prefix", "worker_prefix", "lane_prefix", "job_prefix", "queue_prefix")
        return found | self._slot_keys | self._end_keys | self._count_keys, asked | self._prefixes(*prefixes)


def _says(word: str, run: Run) -> bool:
    services = [str(service) for service in run.services]
    return any(text.startswith(word) for text in (run.id, run.source, run.destination)) or any(
        word in (service, service.partition("/")[0]) for service in services
    )
