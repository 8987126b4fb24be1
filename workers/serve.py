"""What one worker process does, and what a pool is made of."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ledger.errors import StoreUnavailable
from ledger.runs import Mode
from ledger.settings import Settings
from ledger.store import Ledger
from workers import jobs
from workers.bench_tests import BenchTest
from workers.doorbell import REFUSED, Doorbell, rq_client
from workers.jobs import Desk, Test
from workers.pool import Pool
from workers.pulse import Pulse
from workers.reporter import report

REFUSED_PAUSE_S = 1.0

log = logging.getLogger("reachq.workers")


def main(settings: Settings, test: Test | None = None) -> None:
    """Run the pool until SIGTERM or SIGINT; UnsuitableStore for a Redis that cannot be used.

    `test` takes the place of the real test (as tests of the queue do).
    """
    wanted = {Mode.QUICK: settings.quick, Mode.DETAILED: settings.detailed}
    taken = _queues_taken(settings)
    chosen = test or BenchTest(settings)
    roles: list[tuple[str, Callable[[], None]]] = [
        (queue, partial(serve, settings, mode, queue, chosen))
        for mode, count in wanted.items()
        for queue in free_queues(settings.bench, mode, count, taken)
    ]
    if test is None:
        roles.append(("bench-reporter", partial(report, settings)))
    log.info("%d quick and %d detailed workers on bench %s", settings.quick, settings.detailed, settings.bench)
    Pool(roles).run()


def serve(settings: Settings, mode: Mode, queue: str, test: Test) -> None:
    """Be the worker of an RQ queue until told to stop; its name is the queue's and its pid, never used twice."""
    led = Ledger.connect(settings)
    worker = f"{queue}.{os.getpid()}"
    pulse = Pulse(settings, worker, queue, mode, os.getpid())
    desk = Desk(worker, led, pulse, test)
    bell = Doorbell(queue, rq_client(settings), partial(jobs.run, desk=desk), pulse.stopping)
    pulse.on_beat = bell.show
    pulse.announce()
    pulse.start()
    try:
        bell.work(logging_level="ERROR")
    except REFUSED as refused:  # out of memory, a full disk: it may last, and 33 tracebacks a second help nobody
        log.warning("%s: Redis refuses: %s. Starting again in %g s", worker, refused, REFUSED_PAUSE_S)
        time.sleep(REFUSED_PAUSE_S)
    finally:
        pulse.close()
        led.close()


def free_queues(bench: str, mode: Mode, count: int, taken: Iterable[str]) -> list[str]:
    """The first `count` queues `<bench>-<mode>-<n>` that no live worker of another pool serves."""
    others = set(taken)
    names = (f"{bench}-{mode}-{number}" for number in itertools.count(1))
    return list(itertools.islice((name for name in names if name not in others), count))


def _queues_taken(settings: Settings) -> list[str]:
    """Queues of live workers; waits for Redis, and raises UnsuitableStore for a server that cannot be used.

    A worker on this host whose process is gone is no longer alive.
    """
    here, said = socket.gethostname(), False
    while True:
        try:
            led = Ledger.connect(settings)
            try:
                led.vet(log.warning)
                return [
                    worker["queue"]
                    for worker in led.workers()
                    if worker["alive"] and (worker["host"] != here or _alive(worker["pid"]))
                ]
            finally:
                led.close()
        except StoreUnavailable as away:
            if not said:
                log.warning("%s Waiting for it.", away)
            said = True
            time.sleep(0.2)


def _alive(pid: int) -> bool:
    """Whether a process of this host still runs; one that has ended and was not collected does not (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
