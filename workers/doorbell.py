"""The RQ worker: rung by its own queue, it answers with the one permitted job and nothing else.

A ring is an id. It is looked up as a run in the ledger, never as a job in RQ, so no function RQ's payload names can
be called; what turns out not to be a run is dropped.

RQ 3 spends about eighteen round trips on each job. Most keep books that reachq keeps itself, better, in the run's
record: what was started, how it ended, its result, who retries it. This subclass keeps of RQ what it is here for, the
crash-safe hand-over (BLMOVE), reconnection, signals, and what `rq info` and rq-dashboard show of a worker.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.worker import WorkerStatus

from ledger.address import open_client
from ledger.handoff import FUNCTION
from ledger.settings import Settings

HEARTBEAT_S = 15
WORKER_TTL_S = 45
"""RQ blocks for its TTL less 15 s, so an idle worker shows a sign of life to RQ twice a minute."""

REFUSED = RedisError
"""What `work` ends with when Redis takes no writes."""

log = logging.getLogger("reachq.workers")


class Bell(Queue):
    """RQ's queue of one worker: a ring is the id of a run; what RQ's job hash says of it is not even read."""

    @classmethod
    def dequeue_any(  # type: ignore[override] # what RQ passes besides would only be handed on to Job
        cls, queues: Iterable[Queue], timeout: int | None, connection: Redis, **_more: Any
    ) -> tuple[Job, Queue] | None:
        """Wait for a ring; the job is a bare one that knows its id and its queue."""
        (queue,) = queues
        moved = cls.lmove(connection, queue.key, timeout)
        if moved is None:
            return None
        job = Job(as_text(moved[1]), connection=connection, serializer=JSONSerializer)
        job.origin = queue.name
        return job, queue


class Doorbell(SimpleWorker):
    """Serves one queue; `answer` is called with the id of each ring and says whether it was a run to do."""

    max_connection_wait_time = 1.0
    log_result_lifespan = False

    def __init__(
        self, queue: str, connection: Redis, answer: Callable[[str], bool], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(
            [queue],
            name=queue,
            connection=connection,
            queue_class=Bell,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self.log.setLevel(logging.ERROR)
        self._answer = answer
        self._on_stop = on_stop
        self._job: Job | None = None
        self._shown: Execution | None = None
        self._books = threading.Lock()
        self._beaten = 0.0
        self._asked_to_pause = 0.0

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Answer the ring, then clear it from RQ's books."""
        self._state = WorkerStatus.BUSY
        self._job = job
        answered = self._answer(job.id)
        if not answered and not permitted(job):
            log.warning("%s: refused job %s, which is not a run; dropped", self.name, job.id)
            self.connection.delete(job.key)
        with self._books, self.connection.pipeline(transaction=False) as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            if self._shown is not None:
                self._shown.delete(job, pipeline)
            self.increment_successful_job_count(pipeline)
            self._job = self._shown = None
            pipeline.execute()

    def show(self) -> None:
        """Enter the job in hand in RQ's books as started. The pulse calls it: only runs that last appear there."""
        with self._books, self.connection.pipeline(transaction=False) as pipeline, suppress(RedisError):
            if self._job is not None and self._shown is None:
                ttl_s = self.get_heartbeat_ttl(self._job)
                self._shown = Execution.create(self._job, ttl_s, pipeline, worker_name=self.name)
                self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
                pipeline.execute()

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
    return open_client(settings.redis_address, timeout_s=WORKER_TTL_S, text=False)


def permitted(job: Job) -> bool:
    """Whether RQ's job hash is gone or that of a run: the one function, with its own id and nothing else."""
    try:
        stored = Job.fetch(job.id, connection=job.connection, serializer=JSONSerializer)
        called = (stored.func_name, stored.instance, tuple(stored.args), stored.kwargs)
    except NoSuchJobError:
        return True
    except (DeserializationError, TypeError, ValueError):
        return False
    return called == (FUNCTION, None, (job.id,), {})
