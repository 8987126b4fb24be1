"""Submits runs for the app."""

from __future__ import annotations

from ledger.errors import BadInput, IdempotencyConflict, TooManyWaiting
from ledger.people.records import is_name
from ledger.redis import keys, rq_layout
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import SUBMIT
from ledger.runs import run_hash
from ledger.runs.fair_order import BEYOND_LINE, beyond_line
from ledger.runs.requests import RunRequest
from ledger.runs.run import Run, State


class Submitting(LedgerPart):
    """Submit runs. Each call is one round trip."""

    def submit(
        self, request: RunRequest, *, user: str = "api", idempotency_key: str = "", run_id: str = ""
    ) -> tuple[Run, bool]:
        """Store a run at the end of the line. Returns (run, True), or (the existing run, False) for a known key.

        The same user and key always give the same run, whatever its state. With a different request they raise
        IdempotencyConflict. `run_id` sets the id explicitly, for a caller with ids of its own. A run beyond the
        `fair_waiting` ones of its user and mode waits behind other users' runs (`ledger.runs.fair_order`). Raises
        TooManyWaiting if the user has `waiting_max` waiting runs, and StoreFull if Redis has no memory left. Nothing
        was stored in these two cases.
        """
        if not is_name(user):
            raise BadInput("user", user, "is not a valid user name: use 1-31 of a-z, 0-9, dot, dash and underscore")
        run_id = run_id or run_hash.new_id(user, idempotency_key)
        asked, mode = run_hash.asked(request), str(request.mode)
        queue = rq_layout.waiting_queue(self.bench, mode)
        status, *rest = self.connection.run(
            SUBMIT,
            {
                "run": keys.run(run_id),
                "pending": self.keys.pending[mode],
                **self._waiting_keys,
                "surplus": self.keys.surplus(mode, user),
                "seq": self.keys.seq,
                "events": keys.EVENTS,
                "job": rq_layout.JOB + run_id,
                "deferred": rq_layout.deferred(self.bench, mode),
                "rq_queues": rq_layout.QUEUES,
                "networks": keys.NETWORKS,
            },
            {
                "id": run_id,
                "mode": mode,
                **self._its_network,
                "user": user,
                "line_max": self.settings.fair_waiting,
                "waiting_max": self.settings.waiting_max,
                "wait_code": BEYOND_LINE,
                "wait_reason": beyond_line(self.settings.fair_waiting),
                "origin": queue,
                "queue_key": rq_layout.QUEUE + queue,
                "data": rq_layout.data(run_id),
                "created_at": rq_layout.clock(),
                **self._capped,
            },
            tuple(word for pair in asked.items() for word in pair),
        )
        if status == "conflict":
            raise IdempotencyConflict
        if status == "no-network":
            raise self._no_network()
        if status == "too-many":
            raise TooManyWaiting(
                f"{user} has {rest[0]} waiting runs, and {self.settings.waiting_max} are allowed for each user;"
                " submit again when some of them have started, or cancel some."
            )
        if status == "exists":
            return run_hash.decode(run_id, run_hash.pairs(rest)), False
        return self._as_stored(run_id, user, request, *rest), True

    def _as_stored(self, run_id: str, user: str, request: RunRequest, seq: int, now_ms: int, surplus: int) -> Run:
        """Return the run that submit.lua has just stored."""
        return Run(
            id=run_id,
            user=user,
            bench=self.bench,
            state=State.PENDING,
            seq=seq,
            submitted_ms=now_ms,
            wait_code=BEYOND_LINE if surplus else "",
            wait_reason=beyond_line(self.settings.fair_waiting) if surplus else "",
            **{name: getattr(request, name) for name in RunRequest.model_fields},
        )
