"""RQ's keys, as rq 3.0 lays them out: how `rq info` and rq-dashboard show a run, and how a worker gets it.

A pending run is a *deferred* job of the queue `<bench>-<mode>`, which no worker serves. Promotion changes the job to
*queued* and moves it to the queue of one worker. The job has the id of the run, and its hash contains only what
`Job.restore` needs. RQ's JSONSerializer reads `data`. RQ does not keep results (`result_ttl` 0), and keeps a failure
for a minute.

| key | |
|---|---|
| `rq:queues` SET | keys of all queues |
| `rq:queue:<queue>` LIST | job ids, RPUSH to wake its worker (BLMOVE into `…:intermediate`) |
| `rq:job:<id>` HASH | data, origin, status, created_at; once promoted timeout, enqueued_at, result_ttl, failure_ttl |
| `rq:deferred:<queue>` ZSET | job id -> time |
| `rq:executions:<id>` ZSET, `rq:execution:<id>:<execution>` HASH, `rq:wip:<queue>` ZSET | attempts that RQ considers live |
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from redis.client import Pipeline

from ledger.redis.keys import MODES
from ledger.settings import Settings

FUNCTION = "workers.jobs.run"
"""The one job function; its only argument is the run id."""
QUEUES = "rq:queues"
JOB = "rq:job:"
QUEUE = "rq:queue:"
EXECUTIONS = "rq:executions:"
STARTED = "rq:wip:"
LEFTOVERS = (JOB, EXECUTIONS, "rq:results:", "rq:dependents:")
"""Prefixes of keys that RQ may leave behind after a failed job."""
_MARGIN_S = 60
_LONG_S = 3600
"""For detailed and bulk runs."""


def waiting_queue(bench: str, mode: str) -> str:
    """Return the name of the queue whose deferred jobs are the pending runs of a mode."""
    return f"{bench}-{mode}"


def deferred(bench: str, mode: str) -> str:
    """Return the key of the registry of a mode's deferred jobs, which are its pending runs (ZSET)."""
    return f"rq:deferred:{waiting_queue(bench, mode)}"


def worker_queues(bench: str) -> tuple[str, ...]:
    """Return name patterns of the queues that workers serve, one for each mode."""
    return tuple(f"{waiting_queue(bench, mode)}-*" for mode in MODES)


def data(run_id: str) -> str:
    """Return the job's call as RQ's JSONSerializer writes it: function, instance, args, kwargs."""
    return json.dumps([FUNCTION, None, [run_id], {}], separators=(",", ":"))


def clock() -> str:
    """Return the current time in RQ's format. It is only for display."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def timeout_s(settings: Settings, mode: str) -> int:
    """Return RQ's own time limit of a job, in s.

    It is far above the time limit of the run, so it only ends a job that hangs forever.
    """
    return int(settings.run_timeout_s) + _MARGIN_S if mode == "quick" else _LONG_S


def forget_attempts(pipe: Pipeline, run_id: str, queue: str, executions: list[str]) -> None:
    """Remove the attempts of a dead worker from RQ's registries, so that RQ's clean-up does not fail the next attempt."""
    for execution in executions:
        pipe.zrem(f"{STARTED}{queue}", f"{run_id}:{execution}")
        pipe.delete(f"rq:execution:{run_id}:{execution}")
        pipe.zrem(EXECUTIONS + run_id, execution)
    pipe.lrem(f"{QUEUE}{queue}:intermediate", 1, run_id)
