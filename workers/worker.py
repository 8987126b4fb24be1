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
"""How long one BLMOVE waits on the server, which gives up a client that has vanished after this long."""
REPLY_S = 1.5
"""How much later than that the reply may come; then the connection is dead and is made again."""
RECONNECT_S = 0.5
LATE_S = 0.5
"""By how much a wait may be late for a worker that listens."""

REFUSED = RedisError
"""What `work` ends with when Redis takes no writes."""

log = logging.getLogger("reachq.workers")


class RunWorker(SimpleWorker):
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
        """Whether Redis has answered the last wait for a run in time. Safe from another thread."""
        return time.monotonic() - self._heard < WAIT_S + LATE_S

    @property
    def connection_timeout(self) -> float:  # type: ignore[override] # RQ would make it 40 s
        """Seconds a reply may take on the blocking connection."""
        return WAIT_S + REPLY_S

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for the id of a run, on a connection that is known to live: RQ's own loop blocks for half a minute.

        The job is a bare one that knows its id and its queue; what RQ's job hash says of it is not even read.
        """
        queue, quiet, trouble = self.queues[0], False, ""
        while not self._stop_requested:
            try:
                if self.get_state() != WorkerStatus.IDLE:
                    self.set_state(WorkerStatus.IDLE)
                self.heartbeat()
                if quiet:
                    self.requeue_intermediate()  # a connection that died may have taken an id with it
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
        """Answer the ring, then clear it from RQ's books."""
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
            self.increment_successful_job_count(pipeline)
            self._job = self._shown = None
            with suppress(ResponseError):  # a full server refuses to count, after it has removed the id
                pipeline.execute()

    def show(self) -> None:
        """Enter the job in hand in RQ's books as started. The pulse calls it: only runs that last appear there."""
        with self._books, self.connection.pipeline(transaction=False) as pipeline, suppress(RedisError):
            if self._job is not None and self._shown is None:
                ttl_s = self.get_heartbeat_ttl(self._job)
                self._shown = Execution.create(self._job, ttl_s, pipeline, worker_name=self.name)
                self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
                pipeline.execute()

    def leave(self) -> None:
        """Stop after the run in hand: another worker has claimed the queue. Safe from another thread."""
        self._replaced = True
        self._stop_requested = True

    def requeue_intermediate(self) -> None:
        """Put back what was taken from this queue and perhaps not begun, by a predecessor or over a connection that
        died; `begin` decides what it is worth. Only for an idle worker."""
        queue = self.queues[0]
        for run_id in queue.intermediate_queue.get_job_ids():
            queue.push_job_id(run_id, at_front=True)
            queue.intermediate_queue.remove(run_id)

    def register_birth(self) -> None:
        """Take over the name: the entry of a predecessor that was killed is still there, and its queue is ours alone.

        Waits while Redis takes no writes (no memory, a full disk): it may last, and a restart would not help.
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
        """RQ's entry belongs to the new worker of the queue, when there is one."""
        if not self._replaced:
            with suppress(ResponseError):
                super().register_death()  # type: ignore[no-untyped-call]

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """The state is for dashboards: a server that refuses to store it stops nothing."""
        with suppress(ResponseError):
            super().set_state(state, pipeline)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ beats three times a job; once in HEARTBEAT_S is enough for what only a dashboard reads."""
        if time.monotonic() - self._beat_at >= HEARTBEAT_S:
            self._beat_at = time.monotonic()
            with suppress(ResponseError):
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
    return open_client(settings.redis_address, timeout_s=WAIT_S + REPLY_S, text=False)


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
