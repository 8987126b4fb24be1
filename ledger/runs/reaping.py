"""Ends lost attempts: the leader reaps them, or their worker gives them back."""

from __future__ import annotations

from typing import Any

from ledger.errors import StaleEpoch
from ledger.redis import keys, rq_layout
from ledger.redis.connection import translated
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import REAP, TRIM
from ledger.runs.records import Reaped
from ledger.runs.run import HOLDS_SLOT, State
from ledger.runs.run_hash import groups

_TRIM_AT_ONCE = 500


class Reaping(LedgerPart):
    """The operations that end lost attempts. No others move a run from a slot back to the front of the line."""

    def reap(self, epoch: int, now_ms: int | None = None) -> list[Reaped]:
        """Reap every run past its deadline, and delete history beyond `keep_finished`.

        Each run moves to the front of its line or ends: it fails after `attempts_max` attempts, and is cancelled if a
        user had cancelled it. `now_ms` is the caller's estimate of Redis's clock; a lease ends by the earlier of the
        two clocks, so that setting Redis's clock forward does not end all leases at once. Raises StaleEpoch if another
        dispatcher leads; nothing was done then.
        """
        status, *reply = self.connection.run(
            REAP, *self._reap_words(epoch=str(epoch), now_ms="" if now_ms is None else str(now_ms))
        )
        if status == "stale-epoch":
            raise StaleEpoch
        reaped = [
            Reaped(run_id, None if outcome == "damaged" else State(outcome)) for run_id, _, outcome in groups(reply, 3)
        ]
        self._forget_attempts([(run_id, queue) for run_id, queue, _ in groups(reply, 3) if queue])
        self.trim()
        return reaped

    def give_back(self, run_id: str, token: str, why: str, *, counts: bool = True, fence_seen: int = 0) -> bool:
        """Give a run back because this attempt cannot continue but another may. The run moves to the front of the line.

        This uses up the attempt, so the run fails if it was the last one. If `counts` is false, because the bench has
        not begun the run, the attempt is not used up. `fence_seen` is the highest fence that the bench has seen; later
        attempts get higher ones. Returns False if the request is not accepted.

        RQ must not clean up the job afterwards, as its own workers would: that would delete the hash of a job that is
        pending again, and the next promotion would fail after `begin_ms`. workers.worker leaves the job alone.
        """
        words = self._reap_words(run_id=run_id, token=token, why=why, counts=counts, fence_seen=fence_seen)
        status, *_ = self.connection.run(REAP, *words)
        return bool(status == "reaped")

    def trim(self) -> int:
        """Delete the oldest ended runs beyond `keep_finished`, a few hundred per call.

        Returns how many were deleted.
        """
        args = {
            "keep": self.settings.keep_finished,
            "at_most": _TRIM_AT_ONCE,
            "run_prefix": keys.RUN,
            "result_suffix": keys.RESULT_SUFFIX,
            "log_suffix": keys.LOG_SUFFIX,
            "questions_suffix": keys.QUESTIONS_SUFFIX,
        }
        return int(self.connection.run(TRIM, {"finished": keys.FINISHED}, args, rq_layout.LEFTOVERS)[1])

    def sweep(self) -> int:
        """Remove attempts that are over from RQ's registries, and return how many were removed.

        Such an entry remains when a worker dies after its run has ended, or a leader dies while reaping. Queues without
        a worker are included.
        """
        with translated():
            names: Any = self.connection.client.smembers(rq_layout.QUEUES)
        queues = [name.removeprefix(rq_layout.QUEUE) for name in sorted(names)]
        waiting = [rq_layout.waiting_queue(self.bench, mode) for mode in keys.MODES]
        ours = [queue for queue in queues if queue in waiting or queue.rpartition("-")[0] in waiting]
        with self.connection.reading() as pipe:
            for queue in ours:
                pipe.zrange(rq_layout.STARTED + queue, 0, -1)
            entries = [
                (*entry.split(":", 1), queue)
                for queue, executions in zip(ours, pipe.execute(), strict=True)
                for entry in executions
                if ":" in entry
            ]
        with self.connection.reading() as pipe:
            for run_id, _, _ in entries:
                pipe.hmget(keys.run(run_id), "state", "queue")
            states = pipe.execute()
        over = [
            (run_id, execution, queue)
            for (run_id, execution, queue), (state, holder) in zip(entries, states, strict=True)
            if state not in HOLDS_SLOT or holder != queue
        ]
        with self.connection.reading() as pipe:
            for run_id, execution, queue in over:
                rq_layout.forget_attempts(pipe, run_id, queue, [execution])
            pipe.execute()
        return len(over)

    def _reap_words(
        self,
        *,
        epoch: str = "",
        now_ms: str = "",
        run_id: str = "",
        token: str = "",
        why: str = "",
        counts: bool = True,
        fence_seen: int = 0,
    ) -> tuple[dict[str, str], dict[str, object]]:
        """Return the KEYS and ARGV of reap.lua.

        They are for everything overdue (`epoch`), or for one attempt (`run_id` and `token`).
        """
        prefixes = ("run_prefix", "worker_prefix", "lane_prefix", "job_prefix", "queue_prefix")
        return (
            {
                "leader": self.keys.leader,
                "fence": self.keys.fence,
                **self._slot_keys,
                **self._end_keys,
                **self._count_keys,
            },
            {
                "epoch": epoch,
                "now_ms": now_ms,
                "id": run_id,
                "token": token,
                "why": why,
                "counts": int(counts),
                "fence_seen": fence_seen,
                "attempts_max": self.settings.attempts_max,
                **{f"origin_{mode}": rq_layout.waiting_queue(self.bench, mode) for mode in keys.MODES},
                **self._capped,
                **self._prefixes(*prefixes),
            },
        )

    def _forget_attempts(self, attempts: list[tuple[str, str]]) -> None:
        """Remove dead attempts, given as (run id, queue), from RQ's registries.

        Only RQ and its dashboard read these.
        """
        if not attempts:
            return
        with self.connection.reading() as pipe:
            for run_id, _ in attempts:
                pipe.zrange(f"{rq_layout.EXECUTIONS}{run_id}", 0, -1)
            replies: list[Any] = pipe.execute()
        with self.connection.reading() as pipe:
            for (run_id, queue), executions in zip(attempts, replies, strict=True):
                rq_layout.forget_attempts(pipe, run_id, queue, executions)
            pipe.execute()
