"""The operations of a worker: announce, begin, renew and finish."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping

from dscp.lanes import LANE_FIRST, LANE_LAST
from ledger.bench.control import RESTART_LAPSE_MS
from ledger.bench.diagnosis import BENCH_SILENT_MS
from ledger.errors import QueueTaken
from ledger.redis import keys, rq_layout
from ledger.redis.keys import of_host
from ledger.redis.scripts import ANNOUNCE, BEGIN, FINISH, PROGRESS, RENEW, REPORT, TAKE_RESTART, WITHDRAW
from ledger.runs import run_hash
from ledger.runs.questions import QuestionReading
from ledger.runs.records import NO_ANSWER, Answer, Renewal
from ledger.runs.run import Mode, Run, State

_LOG_MAX = 1000
_TIMES = frozenset({"reported_ms", "age_ms"})
"""Fields of a report that Redis's clock determines: the reporter does not know them."""
_FORGET_MS = 3_600_000
"""Time after which a silent worker is removed from the list: one hour, in ms."""
_HITS_KEEP_MS = 90 * 86_400_000
"""Time after which the hits of facts that no run has used are deleted: 90 days, in ms."""


class Working(QuestionReading):
    """Operations of one round trip each. Only the holder of a run's token can change the run."""

    def announce(
        self, worker_name: str, queue: str, mode: Mode, pid: int, *, dead: str = "", listens: bool = False
    ) -> bool:
        """Claim `queue` for a live worker, or refresh the claim. Returns True if the claim is new.

        Repeat the call within `lease_ms`. `dead` names a worker whose process is known to have ended. `listens` is true
        if the worker's main loop has recently received a reply from Redis, so the worker may get runs again after it
        failed to begin one. Renewing a lease or finishing a run also counts as a heartbeat. Raises QueueTaken if
        another live worker serves the queue.
        """
        status, *holder = self.connection.run(
            ANNOUNCE,
            {
                "workers": self.keys.workers,
                "worker": self.keys.worker_prefix + queue,
                "rq_queues": rq_layout.QUEUES,
                "events": keys.EVENTS,
                "hosts": self.keys.hosts,
                "free": self.keys.free,
                "leased": self.keys.leased,
            },
            {
                "name": worker_name,
                "queue": queue,
                "mode": str(Mode(mode)),
                "pid": pid,
                "host": socket.gethostname(),
                "host_name": self.settings.host_name,
                "lane_first": LANE_FIRST,
                "lane_last": LANE_LAST,
                "bench": self.bench,
                "alive_ms": self.settings.lease_ms,
                "forget_ms": _FORGET_MS,
                "queue_key": rq_layout.QUEUE + queue,
                "dead": dead,
                "listens": int(listens),
                "version": keys.LAYOUT,
                **self._capped,
                **self._prefixes("worker_prefix"),
            },
        )
        if status == "taken":
            raise _taken(queue, holder)
        return bool(status == "new")

    def withdraw(self, worker_name: str) -> bool:
        """Remove this worker, so that no more runs are promoted to its queue. Returns False if it was not announced."""
        args = {"name": worker_name, "bench": self.bench, **self._capped, **self._prefixes("worker_prefix")}
        status = self.connection.run(WITHDRAW, {"workers": self.keys.workers, "events": keys.EVENTS}, args)[0]
        return bool(status == "withdrawn")

    def begin(self, run_id: str, worker: str, queue: str = "") -> Run | None:
        """Begin a promoted run. Returns the Run with token, fence and dscp, or None if there is nothing to do.

        None means that the run was cancelled or reaped, begun by another worker, or given to the worker of another
        queue. The worker that began it may repeat the call and gets the same Run. Raises QueueTaken if the run was
        given to `queue` but the caller no longer owns that queue. The queue's new worker must then get the run.
        """
        status, *record = self.connection.run(
            BEGIN,
            {
                "run": keys.run(run_id),
                "leases": self.keys.leases,
                "workers": self.keys.workers,
                "events": keys.EVENTS,
            },
            {
                "id": run_id,
                "worker": worker,
                "asked_queue": queue,
                "host": self.settings.host_name,
                "lease_ms": self.settings.lease_ms,
                **self._capped,
                **self._prefixes("worker_prefix", "lane_prefix"),
            },
        )
        if status == "taken":
            raise _taken(queue, record)
        return run_hash.decode(run_id, run_hash.pairs(record)) if status == "begun" else None

    def renew(self, run_id: str, token: str) -> Renewal:
        """Extend the lease. If the result is not `alive`, stop at once; if it is `cancelling`, stop and report that."""
        status = self.connection.run(
            RENEW,
            {"run": keys.run(run_id), "leases": self.keys.leases, "workers": self.keys.workers},
            {"id": run_id, "token": token, "lease_ms": self.settings.lease_ms},
        )[0]
        return Renewal(alive=status != "lost", cancelling=status == "cancelling")

    def finish(self, run_id: str, token: str, answer: Answer) -> bool:
        """End the run in the state `done`, with its answer. Returns True exactly once for each run."""
        return self._end(run_id, token, State.DONE, answer=answer)

    def fail(self, run_id: str, token: str, error: str) -> bool:
        """End the run in the state `failed`, without an answer. Returns False if this is not accepted."""
        return self._end(run_id, token, State.FAILED, error=error)

    def stopped(self, run_id: str, token: str) -> bool:
        """End a run that was being cancelled, in the state `cancelled`. Returns False if this is not accepted."""
        return self._end(run_id, token, State.CANCELLED)

    def progress(self, run_id: str, token: str, phase: str, percent: int, message: str) -> bool:
        """Store the progress for display. Returns False if this attempt no longer holds the run."""
        status = self.connection.run(
            PROGRESS,
            {"run": keys.run(run_id), "log": keys.log(run_id), "events": keys.EVENTS},
            {
                "id": run_id,
                "token": token,
                "phase": phase,
                "percent": percent,
                "message": message,
                "log_max": _LOG_MAX,
                **self._capped,
            },
        )[0]
        return bool(status == "noted")

    def report_bench(self, status: Mapping[str, object]) -> bool:
        """Store the bench's report, one JSON value per field, with the time of Redis's clock.

        Returns True if `state`, `error`, `facts` or `network` has changed, or if the bench had been silent.
        """
        fields = {name: value for name, value in status.items() if name not in _TIMES}
        words = tuple(word for name, value in fields.items() for word in (name, json.dumps(value)))
        digest = json.dumps([status.get(name) for name in ("state", "error", "facts", "network")])
        reply = self.connection.run(
            REPORT,
            {"status": of_host(self.keys.status, self.settings.host_name), "events": keys.EVENTS},
            {"bench": self.bench, "digest": digest, "silent_ms": BENCH_SILENT_MS, **self._capped},
            words,
        )[0]
        return bool(reply == "changed")

    def take_restart(self) -> str | None:
        """Take the pending restart request for the bench of this host.

        Returns the user who made it, or None. Only one caller gets it.
        """
        restart = of_host(self.keys.restart, self.settings.host_name)
        status, *by = self.connection.run(TAKE_RESTART, {"restart": restart}, {"lapse_ms": RESTART_LAPSE_MS})
        return str(by[0]) if status == "taken" else None

    def _end(
        self,
        run_id: str,
        token: str,
        outcome: State,
        *,
        error: str = "",
        answer: Answer = NO_ANSWER,
    ) -> bool:
        hits = answer.hits if answer.facts else {}
        status = self.connection.run(
            FINISH,
            {
                "run": keys.run(run_id),
                "result": keys.result(run_id),
                "job": rq_layout.JOB + run_id,
                "finished": keys.FINISHED,
                "events": keys.EVENTS,
                "workers": self.keys.workers,
                "hits": self.keys.hits_prefix + answer.facts,
                "leases": self.keys.leases,
                "free": self.keys.free,
                "leased": self.keys.leased,
                **self._running_keys,
            },
            {
                "id": run_id,
                "token": token,
                "hits_keep_ms": _HITS_KEEP_MS,
                "outcome": str(outcome),
                "verdict": answer.verdict,
                "stopped_by": answer.stopped_by,
                "error": error,
                "document": answer.document,
                **self._capped,
                **self._prefixes("worker_prefix", "lane_prefix"),
            },
            tuple(word for pair in hits.items() for word in pair),
        )[0]
        return bool(status == "accepted")


def _taken(queue: str, holder: list[str]) -> QueueTaken:
    """Create the error from a reply that contains name, process id and host."""
    name, pid, host = holder
    return QueueTaken(queue, name, int(pid), host)
