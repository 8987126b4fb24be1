"""The app's side: a run is handed in, or called off."""

from __future__ import annotations

from ledger import handoff, keys, records
from ledger.errors import IdempotencyConflict, RunEnded, RunNotFound
from ledger.requests import RunRequest
from ledger.role import Role
from ledger.runs import Run, State
from ledger.scripts import CANCEL, SUBMIT


class Submitting(Role):
    """Submit and cancel; one round trip each."""

    def submit(
        self, request: RunRequest, *, user: str = "api", idempotency_key: str = "", run_id: str = ""
    ) -> tuple[Run, bool]:
        """Store a run at the end of its line: (run, True), or (the run that is there, False) for a known key.

        The same user and key give the same run, whatever became of it since; with another request they raise
        IdempotencyConflict. `run_id` names the run outright (for a caller with ids of its own). StoreFull: nothing
        was stored.
        """
        run_id = run_id or records.new_id(user, idempotency_key)
        asked, mode = records.asked(request), str(request.mode)
        waiting = handoff.waiting_queue(self.bench, mode)
        status, *rest = self.connection.run(
            SUBMIT,
            {
                "run": keys.run(run_id),
                "pending": self.keys.pending[mode],
                "seq": self.keys.seq,
                "events": keys.EVENTS,
                "job": handoff.JOB + run_id,
                "deferred": handoff.deferred(self.bench, mode),
                "rq_queues": handoff.QUEUES,
            },
            {
                "id": run_id,
                "mode": mode,
                "bench": self.bench,
                "user": user,
                "origin": waiting,
                "queue_key": handoff.QUEUE + waiting,
                "data": handoff.data(run_id),
                "created_at": handoff.clock(),
                **self._capped,
            },
            tuple(word for pair in asked.items() for word in pair),
        )
        if status == "conflict":
            raise IdempotencyConflict
        if status == "exists":
            return records.decode(run_id, records.pairs(rest)), False
        run = Run(
            id=run_id,
            user=user,
            bench=self.bench,
            state=State.PENDING,
            seq=rest[0],
            submitted_ms=rest[1],
            **{name: getattr(request, name) for name in RunRequest.model_fields},
        )
        return run, True

    def cancel(self, run_id: str, *, by: str = "") -> Run:
        """Call a run off: at once while it waits or was only promoted; a running one is marked `cancelling`.

        `by` names the person who asked; the event carries it. RunNotFound, RunEnded. Looking a run up deep in a long
        line takes Redis time in proportion to its distance from the nearer end: about 3 ms in the middle of 100,000.
        """
        status, *record = self.connection.run(
            CANCEL,
            {"run": keys.run(run_id), **self._slot_keys(), **self._end_keys()},
            {
                "id": run_id,
                "by": by,
                **self._capped,
                **self._prefixes("run_prefix", "worker_prefix", "lane_prefix", "job_prefix", "queue_prefix"),
            },
        )
        if status == "missing":
            raise RunNotFound(f"There is no run {run_id}.")
        if status == "ended":
            raise RunEnded(f"Run {run_id} has already ended; there is nothing left to cancel.")
        return records.decode(run_id, records.pairs(record))
