"""Which RQ worker class: Worker (a fork for each job) or SimpleWorker, on empty jobs, interleaved in one run.

    .venv/bin/python -m benchmarks.worker_class [--rounds 200]

submit→start: from before `enqueue` to the first line of the job. submit→finished: until RQ has stored the outcome and
the submitter, blocked on it, knows. `jobs/s`: one worker draining a full queue. `PSS`: one idle worker, forked from a
preloaded parent.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import signal
import time
from collections import defaultdict

from rq import Queue, SimpleWorker, Worker
from rq.serializers import JSONSerializer

from benchmarks.private_server import connect, private_server
from benchmarks.tables import ms, ratio, table

CLASSES = {"Worker": Worker, "SimpleWorker": SimpleWorker}


EMPTY = "time.monotonic"
"""A job that only returns when it began, by the name by which RQ calls it."""


def work(path: str, name: str) -> None:
    """Serve the queue `name` for ever with the worker class of that name."""
    logging.disable(logging.CRITICAL)
    CLASSES[name]([name], connection=connect(path), serializer=JSONSerializer).work()


def one_job(queue: Queue) -> tuple[float, float]:
    """Seconds submit→start and submit→finished of one empty job on an idle queue."""
    begun = time.monotonic()
    job = queue.enqueue(EMPTY)
    outcome = job.latest_result(timeout=10)
    finished = time.monotonic()
    assert outcome is not None
    assert outcome.return_value is not None
    return outcome.return_value - begun, finished - begun


def throughput(queue: Queue, jobs: int) -> float:
    """Jobs a second of one worker with a full queue."""
    filled = [Queue.prepare_data(EMPTY) for _ in range(jobs)]
    begun = time.monotonic()
    last = queue.enqueue_many(filled)[-1]
    while last.latest_result(timeout=10) is None:
        continue
    return jobs / (time.monotonic() - begun)


def pss_kb(pid: int) -> int:
    """Proportional set size of a process in kB."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def main() -> None:
    """Measure both classes in turn and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=200)
    rounds = options.parse_args().rounds
    fork = multiprocessing.get_context("fork")
    starts, ends = defaultdict(list), defaultdict(list)
    with private_server() as path:
        workers = {name: fork.Process(target=work, args=(path, name), daemon=True) for name in CLASSES}
        for worker in workers.values():
            worker.start()
        client = connect(path)
        queues = {name: Queue(name, connection=client, serializer=JSONSerializer) for name in CLASSES}
        for _ in range(rounds):
            for name, queue in queues.items():
                start, end = one_job(queue)
                starts[name].append(start)
                ends[name].append(end)
        rates = {name: throughput(queue, 5 * rounds // 2) for name, queue in queues.items()}
        memory = {name: pss_kb(worker.pid or 0) for name, worker in workers.items()}
        for worker in workers.values():
            os.kill(worker.pid or 0, signal.SIGKILL)
            worker.join()
    rows = [
        [name, *ms(starts[name]), *ms(ends[name]), ratio(ends[name], ends["SimpleWorker"]), f"{rates[name]:.0f}",
         f"{memory[name] / 1024:.1f}"]
        for name in CLASSES
    ]  # fmt: skip
    columns = ["ms", "submit→start p50", "p90", "submit→finished p50", "p90", "ratio", "jobs/s", "PSS MB"]
    print(table(f"RQ worker classes, {rounds} empty jobs each, one at a time", columns, rows))


if __name__ == "__main__":
    main()
