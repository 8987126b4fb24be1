"""The RQ worker: waits for run ids on its own queue and calls the one permitted job.

A queue entry is an id. It is looked up as a run in the ledger, never as a job in RQ, so no function named in RQ's
payload can be called. An id that is not a run is dropped.

RQ 3 needs about eighteen round trips for each job. Most of them maintain records that reachq keeps itself in the run's
record: what was started, how it ended, its result, who retries it. This subclass keeps only what reachq uses RQ for:
the crash-safe hand-over (BLMOVE), reconnection, signals, and what `rq info` and rq-dashboard show of a worker.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as NoReply
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.worker import WorkerStatus

from ledger.errors import QueueTaken
from ledger.redis.address import open_client
from ledger.redis.rq_layout import FUNCTION
from ledger.settings import Settings

HEARTBEAT_S = 15
WORKER_TTL_S = 45
WAIT_S = 1
"""Server-side timeout of one BLMOVE, in s. After it, the server also drops a client that has vanished."""
REPLY_S = 1.5
"""Extra time for the reply, in s. After it, the connection is considered dead and is opened again."""
RECONNECT_S = 0.5
LATE_S = 0.5
"""How late a wait may end if the worker is still to count as listening, in s."""

REFUSED = RedisError
"""Base class of the errors with which `work` ends if Redis accepts no writes."""

log = logging.getLogger("reachq.workers")


class RunWorker(SimpleWorker):
    """Serves one queue. Calls `answer` with each id; `answer` returns whether there was a run to test."""

    max_connection_wait_time = 1.0
    log_result_lifespan = False

    def __init__(
        self, queue: str, connection: Redis, answer: Callable[[str], bool], on_stop: Callable[[], None]
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
        self._job: Job | None = None
        self._shown: Execution | None = None
        self._books = threading.Lock()
        self._beat_at = 0.0
        self._asked_to_pause = 0.0
        self._replaced = False
        self._heard = 0.0

    def listens(self) -> bool:
        """Return whether Redis answered the last wait for a run in time. Safe to call from another thread."""
        return time.monotonic() - self._heard < WAIT_S + LATE_S

    @property
    def connection_timeout(self) -> float:  # type: ignore[override] # RQ would make it 40 s
        """Timeout for a reply on the blocking connection, in seconds."""
        return WAIT_S + REPLY_S

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a run id on a connection that is known to be alive. RQ's own loop would block for half a minute.

        Returns a bare job with only its id and origin, and its queue. RQ's job hash is not read.
        """
        queue, quiet, trouble = self.queues[0], False, ""
        while not self._stop_requested:
            try:
                if self.get_state() != WorkerStatus.IDLE:
                    self.set_state(WorkerStatus.IDLE)
                self.heartbeat()
                if quiet:
                    self.requeue_intermediate()  # a dead connection may have taken an id with it
                run_id = self.connection.blmove(queue.key, queue.intermediate_queue_key, WAIT_S)
                quiet, trouble, self._heard = True, "", time.monotonic()
                if run_id is not None:
                    job = Job(as_text(run_id), connection=self.connection, serializer=JSONSerializer)
                    job.origin = queue.name
                    return job, queue
            except RedisError as error:
                if not trouble:
                    log.warning("%s: cannot take runs: %s", self.name, error)
                quiet, trouble = True, str(error)
                if not isinstance(error, NoReply):
                    time.sleep(RECONNECT_S)
        raise StopRequested

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Process the id, and then remove it from RQ's registries."""
        self._state = WorkerStatus.BUSY
        self._job = job
        try:
            answered = self._answer(job.id)
        except QueueTaken as taken:
            log.warning("%s: run %s goes to the new worker of the queue: %s", self.name, job.id, taken)
            queue.push_job_id(job.id, at_front=True)
            answered = True
            self.leave()
        if not answered and not permitted(job):
            log.warning("%s: refused job %s, which is not a run; dropped", self.name, job.id)
            self.connection.delete(job.key)
        with self._books, self.connection.pipeline(transaction=False) as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            if self._shown is not None:
                self._shown.delete(job, pipeline)
                pipeline.hset(self.key, "state", WorkerStatus.IDLE)
            self.increment_successful_job_count(pipeline)
            self._job = self._shown = None
            # A full server refuses to count after it has removed the id. If the connection is dead, the id stays, and
            # is put back while the queue is quiet.
            with suppress(RedisError):
                pipeline.execute()
                self._state = WorkerStatus.IDLE  # Redis says so already; otherwise the next wait writes it

    def show(self) -> None:
        """Register the current job in RQ as started. The heartbeat calls this, so only longer runs appear there."""
        with self._books, self.connection.pipeline(transaction=False) as pipeline, suppress(RedisError):
            if self._job is not None and self._shown is None:
                ttl_s = self.get_heartbeat_ttl(self._job)
                self._shown = Execution.create(self._job, ttl_s, pipeline, worker_name=self.name)
                self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
                pipeline.execute()

    def leave(self) -> None:
        """Stop after the current run, because another worker has claimed the queue.

        Safe to call from another thread.
        """
        self._replaced = True
        self._stop_requested = True

    def requeue_intermediate(self) -> None:
        """Put back ids that were taken from this queue but perhaps not begun. Call it only for an idle worker.

        A predecessor took them, or they were lost with a dead connection. `begin` decides whether there is still
        something to do.
        """
        queue = self.queues[0]
        for run_id in queue.intermediate_queue.get_job_ids():
            queue.push_job_id(run_id, at_front=True)
            queue.intermediate_queue.remove(run_id)

    def register_birth(self) -> None:
        """Register under this name, and overwrite the entry of a killed predecessor. The queue has only one worker.

        Waits while Redis accepts no writes (no memory, a full disk), because that can take long and a restart would not
        help.
        """
        waiting = False
        while True:
            try:
                self.connection.delete(self.key)
                super().register_birth()  # type: ignore[no-untyped-call]
                return self.requeue_intermediate()
            except ResponseError as refused:
                if not waiting:
                    log.warning("%s: Redis refuses: %s. Waiting until it takes writes again.", self.name, refused)
                waiting = True
                time.sleep(RECONNECT_S)

    def register_death(self) -> None:
        """Remove RQ's entry, unless it already belongs to the queue's new worker."""
        if not self._replaced:
            with suppress(ResponseError):
                super().register_death()  # type: ignore[no-untyped-call]

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Store the state for dashboards. A server that refuses the write does not stop the worker."""
        with suppress(ResponseError):
            super().set_state(state, pipeline)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Send RQ's heartbeat at most once in HEARTBEAT_S instead of three times for each job.

        Only dashboards read it.
        """
        if time.monotonic() - self._beat_at >= HEARTBEAT_S:
            self._beat_at = time.monotonic()
            with suppress(RedisError):
                super().heartbeat(timeout, pipeline)

    def check_for_suspension(self, burst: bool) -> None:
        """Obey `rq suspend`, but check it at most once a second instead of before each job."""
        if time.monotonic() - self._asked_to_pause >= 1:
            with suppress(RedisError):  # the wait for a run follows, and opens a dead connection again
                super().check_for_suspension(burst)
            self._asked_to_pause = time.monotonic()

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Always False, because RQ would requeue or fail jobs that it does not manage. The reaper does that."""
        return False

    def subscribe(self) -> None:
        """Skip RQ's remote commands.

        They are not needed, because `cancel` in the ledger stops a run, and this saves 33 connections.
        """

    def unsubscribe(self) -> None:
        """Do nothing, because there was no subscription."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the current run. The heartbeat limits how long that may take. An idle worker stops at once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stop_requested = True
        self._on_stop()
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested


def rq_client(settings: Settings) -> Redis:
    """Return a client for RQ.

    Its replies are bytes, as RQ expects. It does not retry, because repeating a BLMOVE after a lost reply would move
    two ids.
    """
    return open_client(settings.redis_address, timeout_s=WAIT_S + REPLY_S, text=False)


def permitted(job: Job) -> bool:
    """Return whether RQ's job hash is missing, or calls the one permitted function with its own id and nothing else."""
    try:
        stored = Job.fetch(job.id, connection=job.connection, serializer=JSONSerializer)
        called = (stored.func_name, stored.instance, tuple(stored.args), stored.kwargs)
    except NoSuchJobError:
        return True
    except (DeserializationError, TypeError, ValueError):
        return False
    return called == (FUNCTION, None, (job.id,), {})
