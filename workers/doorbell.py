"""The RQ worker: rung by its own queue, it answers with the one permitted job and nothing else.

RQ 3 spends about eighteen round trips on each job. Most keep books that reachq keeps itself, better, in the run's
record: what was started, how it ended, its result, who retries it. This subclass keeps of RQ what it is here for, the
crash-safe hand-over (BLMOVE), reconnection, signals, and what `rq info` and rq-dashboard show of a worker.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from types import FrameType

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from ledger.handoff import FUNCTION
from ledger.settings import Settings

HEARTBEAT_S = 15
WORKER_TTL_S = 45
"""RQ blocks for its TTL less 15 s, so an idle worker shows a sign of life to RQ twice a minute."""

log = logging.getLogger("reachq.workers")


class Doorbell(SimpleWorker):
    """Serves one queue; `answer` is called with the run id of each ring."""

    max_connection_wait_time = 1.0
    log_result_lifespan = False

    def __init__(
        self, queue: str, connection: Redis, answer: Callable[[str], None], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(
            [queue],
            name=queue,
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self.log.setLevel(logging.ERROR)
        self._answer = answer
        self._on_stop = on_stop
        self._beaten = 0.0
        self._asked_to_pause = 0.0

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Answer the ring, or drop what is not one."""
        run_id = permitted(job)
        if run_id is None:
            log.warning("%s: refused job %s, which is not a run; dropped", self.name, job.id)
            queue.intermediate_queue.remove(job.id)
            job.delete(remove_from_queue=False)
            return
        with self.connection.pipeline(transaction=False) as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, run_id)
            self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            pipeline.execute()
        self._answer(run_id)
        self.successful_job_count += 1

    def ring_again(self) -> None:
        """Put back what a predecessor on this queue took but may not have begun; `begin` decides what it is worth."""
        queue = self.queues[0]
        for run_id in queue.intermediate_queue.get_job_ids():
            queue.push_job_id(run_id, at_front=True)
            queue.intermediate_queue.remove(run_id)

    def register_birth(self) -> None:
        """Take over the name: a predecessor that was killed still stands there, and its queue is ours alone."""
        self.connection.delete(self.key)
        super().register_birth()  # type: ignore[no-untyped-call]
        self.ring_again()

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ beats three times a job; once in HEARTBEAT_S is enough for what only a dashboard reads."""
        if time.monotonic() - self._beaten >= HEARTBEAT_S:
            self._beaten = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` is honoured, but asked for once a second, not before each job."""
        if time.monotonic() - self._asked_to_pause >= 1:
            super().check_for_suspension(burst)
            self._asked_to_pause = time.monotonic()

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never: RQ would repair jobs whose state is not its business (requeue, fail); the reaper does."""
        return False

    def subscribe(self) -> None:
        """No remote commands: stopping a run is the ledger's `cancel`, and 33 connections are saved."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the run in hand; the pulse bounds how long that takes. An idle worker stops at once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stop_requested = True
        self._on_stop()
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested


def rq_client(settings: Settings) -> Redis:
    """RQ's own client: RQ reads bytes, and a BLMOVE must not be repeated after a lost reply (two ids would move)."""
    return Redis.from_url(settings.redis_address, retry=Retry(NoBackoff(), 0), socket_timeout=WORKER_TTL_S, protocol=2)


def permitted(job: Job) -> str | None:
    """The run id when this is the one permitted job (this function, its own id, nothing else), else None."""
    try:
        called = (job.func_name, job.instance, tuple(job.args), job.kwargs)
    except (DeserializationError, TypeError, ValueError):
        return None
    return job.id if called == (FUNCTION, None, (job.id,), {}) else None
