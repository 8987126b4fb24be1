"""Submits runs for the app."""

from __future__ import annotations

from typing import Any

from ledger.errors import BadInput, IdempotencyConflict, SnapshotNotFound, SnapshotNotReady, TooManyWaiting
from ledger.people.records import is_name
from ledger.redis import keys, rq_layout
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import SUBMIT
from ledger.runs import run_hash
from ledger.runs.bulk import BulkRequest
from ledger.runs.fair_order import BEYOND_LINE, beyond_line
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run, State
from ledger.snapshots.records import SnapshotState


class Submitting(LedgerPart):
    """Submit runs. Each call is one round trip."""

    def submit(
        self, request: RunRequest, *, user: str = "api", idempotency_key: str = "", run_id: str = ""
    ) -> tuple[Run, bool]:
        """Store a run at the end of the line. Returns (run, True), or (the existing run, False) for a known key.

        The same user and key always give the same run, whatever its state. With a different request they raise
        IdempotencyConflict. `run_id` sets the id explicitly, for a caller with ids of its own. A run beyond the
        `fair_waiting` ones of its user and mode waits behind other users' runs (`ledger.runs.fair_order`). Raises
        TooManyWaiting if the user would have more than `waiting_max` waiting questions, and StoreFull if Redis has no
        memory left. Nothing was stored in these two cases.
        """
        run_id = run_id or run_hash.new_id(user, idempotency_key)
        return self._store(run_id, user, request.mode, run_hash.asked(request))

    def submit_bulk(
        self, request: BulkRequest, *, user: str = "api", idempotency_key: str = "", run_id: str = ""
    ) -> tuple[Run, bool]:
        """Store a bulk run as `submit` stores a run. The bench of the snapshot that it names is built at once.

        Raises SnapshotNotFound or SnapshotNotReady as well.
        """
        if request.snapshot:
            self._check_snapshot(request.snapshot)
        run_id = run_id or run_hash.new_id(user, idempotency_key)
        asked = run_hash.asked_in_bulk(request)
        return self._store(run_id, user, Mode.BULK, asked, document=request.document, snapshot=request.snapshot)

    def _check_snapshot(self, facts: str) -> None:
        state = self.connection.lenient(lambda pipe: pipe.hget(self.keys.snapshot_prefix + facts, "state"))
        if state is None:
            raise SnapshotNotFound(f"There is no snapshot {facts[:20]}; `reachq facts list` shows them.")
        if state != SnapshotState.READY:
            raise SnapshotNotReady(f"Snapshot {facts} cannot be asked: its state is {state}.")

    def _store(
        self, run_id: str, user: str, mode: Mode, asked: dict[str, str], *, document: str = "", snapshot: str = ""
    ) -> tuple[Run, bool]:
        """Store a run of any mode. `asked` has the request fields of its record."""
        if not is_name(user):
            raise BadInput("user", user, "is not a valid user name: use 1-31 of a-z, 0-9, dot, dash and underscore")
        queue = rq_layout.waiting_queue(self.bench, mode)
        status, *rest = self.connection.run(
            SUBMIT,
            {
                "run": keys.run(run_id),
                "pending": self.keys.pending[mode],
                **self._count_keys,
                "surplus": self.keys.surplus(mode, user),
                "seq": self.keys.seq,
                "events": keys.EVENTS,
                "job": rq_layout.JOB + run_id,
                "deferred": rq_layout.deferred(self.bench, mode),
                "rq_queues": rq_layout.QUEUES,
                "networks": keys.NETWORKS,
                "questions": keys.questions(run_id),
                "asked_snapshots": self.keys.asked_snapshots,
            },
            {
                "id": run_id,
                "mode": str(mode),
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
                "document": document,
                "snapshot": snapshot,
                "size": asked.get("questions", 1),
                **self._capped,
            },
            tuple(word for pair in asked.items() for word in pair),
        )
        if status == "conflict":
            raise IdempotencyConflict
        if status == "no-network":
            raise self._no_network()
        if status == "too-many":
            raise self._too_many(user, int(rest[0]))
        if status == "exists":
            return run_hash.decode(run_id, run_hash.pairs(rest)), False
        return self._as_stored(run_id, user, mode, asked, *rest), True

    def _too_many(self, user: str, waiting: int) -> TooManyWaiting:
        return TooManyWaiting(
            f"{user} has {waiting} waiting question{'' if waiting == 1 else 's'}, and {self.settings.waiting_max} are"
            " allowed for each user; submit again when some of them have started, or cancel some."
        )

    def _as_stored(
        self, run_id: str, user: str, mode: Mode, asked: dict[str, str], seq: int, now_ms: int, surplus: int
    ) -> Run:
        """Return the run that submit.lua has just stored."""
        stored: dict[str, Any] = {name: value for name, value in asked.items() if value}
        stored |= {"user": user, "mode": mode, "bench": self.bench, "state": State.PENDING, "seq": seq}
        if surplus:
            stored |= {"wait_code": BEYOND_LINE, "wait_reason": beyond_line(self.settings.fair_waiting)}
        return run_hash.decode(run_id, stored | {"submitted_ms": now_ms})
