"""The main function of a worker process, and the members of a pool."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial

from ledger.errors import StoreUnavailable
from ledger.runs.run import Mode
from ledger.settings import Settings
from ledger.store import WorkerLedger
from workers import jobs
from workers.bench_tests import BenchTest
from workers.claim import RETRY_S, claim
from workers.heartbeat import Heartbeat
from workers.jobs import Test, WorkerContext
from workers.keeper import keep
from workers.pool import Pool
from workers.reporter import report
from workers.worker import REFUSED, RunWorker, rq_client

REFUSED_PAUSE_S = 1.0

log = logging.getLogger("reachq.workers")


def main(settings: Settings, test: Test | None = None) -> None:
    """Run the pool until SIGTERM or SIGINT. Raises UnsuitableStore if the Redis server is unsuitable.

    `test` replaces the real test, for tests of the queue.
    """
    _wait_for_redis(settings)
    sizes = {Mode.QUICK: settings.quick, Mode.DETAILED: settings.detailed}
    chosen = test or BenchTest(settings)
    roles: list[tuple[str, Callable[[], None]]] = [
        (f"worker {mode} {number}", partial(serve, settings, mode, number, chosen))
        for mode, count in sizes.items()
        for number in range(1, count + 1)
    ]
    if test is None:
        roles.append(("bench-reporter", partial(report, settings)))
        roles.append(("keeper", partial(keep, settings)))
    log.info("%d quick and %d detailed workers on bench %s", settings.quick, settings.detailed, settings.bench)
    Pool(roles).run()


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


def _wait_for_redis(settings: Settings) -> None:
    """Wait until Redis answers. Raises UnsuitableStore for an unsuitable server."""
    waiting = False
    while True:
        try:
            with WorkerLedger.connect(settings) as ledger:
                ledger.vet(log.warning)
                return
        except StoreUnavailable as down:
            if not waiting:
                log.warning("%s Waiting for it.", down)
            waiting = True
            time.sleep(RETRY_S)
