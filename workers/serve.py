"""The main function of a worker process."""

from __future__ import annotations

import logging
import os
import time
from functools import partial

from ledger.runs.run import Mode
from ledger.settings import Settings
from ledger.store import WorkerLedger
from workers import jobs
from workers.claim import claim
from workers.heartbeat import Heartbeat
from workers.jobs import Test, WorkerContext
from workers.worker import REFUSED, RunWorker, rq_client

REFUSED_PAUSE_S = 1.0

log = logging.getLogger("reachq.workers")


def serve(settings: Settings, mode: Mode, number: int, test: Test) -> None:
    """Serve an RQ queue until asked to stop, or until another worker has claimed the queue."""
    ledger = WorkerLedger.connect(settings)
    own = claim(ledger, mode, number)
    heartbeat = Heartbeat(settings, own.worker, own.queue, mode, os.getpid())
    context = WorkerContext(own.worker, own.queue, ledger, heartbeat, test)
    bell = RunWorker(own.queue, rq_client(settings), partial(jobs.run, context=context), heartbeat.stopping)
    heartbeat.on_heartbeat = bell.show
    heartbeat.on_taken = bell.leave
    heartbeat.listens = bell.listens
    heartbeat.start()
    try:
        bell.work(logging_level="ERROR")
    except REFUSED as refused:  # full memory or a full disk can last, and 33 tracebacks a second do not help
        log.warning("%s: Redis refuses: %s. Starting again in %g s", own.worker, refused, REFUSED_PAUSE_S)
        time.sleep(REFUSED_PAUSE_S)
    finally:
        heartbeat.close()
        ledger.close()
