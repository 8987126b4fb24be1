"""What the queue adds: a run whose test is empty against a plain RQ job and RQ's own RateLimit, interleaved in one run.

    .venv/bin/python -m benchmarks.queue_latency [--rounds 300]

All three have one SimpleWorker on an idle server. submit→start: from before the submitter's call to the first line
of the test. submit→finished: until the submitter, blocked on it, knows of the end. freed→next: with two submitted
together for one slot, from the last line of the first test to the first line of the second.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

from rq import Queue, SimpleWorker
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.serializers import JSONSerializer

from benchmarks import stand_ins
from benchmarks.private_server import connect, private_server
from benchmarks.tables import ms, table
from compat_dispatcher.loop import Dispatcher
from ledger.events import Kind
from ledger.runs.requests import RunRequest
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from netlab.results.codec import decode
from workers.host import main as pool

HOLD_S = 0.005
Times = tuple[float, list[float], float]
"""Submitted, [began, ended], end observed."""


class Plain:
    """Plain RQ, with or without its RateLimit of one."""

    def __init__(self, path: str, name: str, limit: RateLimit | None = None) -> None:
        self._queue = Queue(name, connection=connect(path), serializer=JSONSerializer)
        self._more: dict[str, Any] = {"rate_limit": limit} if limit else {}

    def submit(self, hold_s: float) -> tuple[float, Job]:
        """Enqueue one job."""
        return time.monotonic(), self._queue.enqueue("benchmarks.stand_ins.held", hold_s, **self._more)

    def wait(self, submitted: tuple[float, Job]) -> Times:
        """Block until RQ has stored the job's result."""
        outcome = submitted[1].latest_result(timeout=10)
        assert outcome is not None, "RQ did not finish the job"
        assert outcome.return_value is not None, "the job failed"
        return submitted[0], outcome.return_value, time.monotonic()


class Reachq:
    """A run, submitted and waited for through the ledger."""

    def __init__(self, settings: Settings) -> None:
        self._ledger = Ledger.connect(settings)
        self._after = self._ledger.last_event_id()
        self._ended: dict[str, float] = {}

    def submit(self, hold_s: float) -> tuple[float, str]:
        """Submit one run."""
        begun = time.monotonic()
        request = RunRequest.parse("10.1.10.20", "10.3.20.8", "443", source_port=int(hold_s * 10_000) or None)
        return begun, self._ledger.submit(request)[0].id

    def wait(self, submitted: tuple[float, str]) -> Times:
        """Block on the event stream until the run has finished."""
        while submitted[1] not in self._ended:
            assert time.monotonic() - submitted[0] < 10, "reachq did not finish the run"
            for event in self._ledger.events(self._after, block_ms=10_000):
                self._after = event.id
                if event.kind is Kind.FINISHED:
                    self._ended[event.run_id] = time.monotonic()
        result = self._ledger.result(submitted[1])
        assert result is not None
        times = decode(result).timing_ms
        return submitted[0], [times["began"], times["ended"]], self._ended.pop(submitted[1])


def rq_worker(path: str, name: str) -> None:
    """A plain RQ worker."""
    logging.disable(logging.CRITICAL)
    SimpleWorker([name], connection=connect(path), serializer=JSONSerializer).work()


def dispatcher(settings: Settings) -> None:
    """A dispatcher, as `python -m compat_dispatcher` runs it."""
    Dispatcher(Ledger.connect(settings), settings, "benchmark").run(threading.Event())


def measure(ways: dict[str, Any], rounds: int) -> dict[str, dict[str, list[float]]]:
    """{measure: {way: seconds}}; each round measures every way in turn."""
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(rounds):
        for name, way in ways.items():
            begun, (started, _ended), known = way.wait(way.submit(0))
            times["submit→start"][name].append(started - begun)
            times["submit→finished"][name].append(known - begun)
    for _ in range(rounds // 2):
        for name, way in ways.items():
            pair = [way.submit(HOLD_S), way.submit(HOLD_S)]
            first, second = (way.wait(one) for one in pair)
            times["freed→next start"][name].append(second[1][0] - first[1][1])
    return times


def main() -> None:
    """Start the three, measure in turn, print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=300)
    rounds = options.parse_args().rounds
    fork = multiprocessing.get_context("fork")
    logging.disable(logging.WARNING)
    with private_server() as path:
        settings = load_settings(redis_url=f"unix://{path}", quick=1, detailed=0)
        roles: list[tuple[Callable[..., None], tuple[object, ...]]] = [
            (rq_worker, (path, "plain")),
            (rq_worker, (path, "limited")),
            (dispatcher, (settings,)),
            (pool, (settings, stand_ins.test)),
        ]
        processes = [fork.Process(target=target, args=args) for target, args in roles]
        for process in processes:
            process.start()
        ways = {
            "plain RQ": Plain(path, "plain"),
            "RQ RateLimit": Plain(path, "limited", RateLimit("bench", 1)),
            "reachq": Reachq(settings),
        }
        try:
            measure(ways, 20)
            measured = measure(ways, rounds)
        finally:
            for process in processes:
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
    rows = [
        [what, way, *ms(times), f"{median(times) / median(by_way['plain RQ']):.2f}x"]
        for what, by_way in measured.items()
        for way, times in by_way.items()
    ]
    print(table(f"Empty tests, {rounds} rounds", ["", "way", "p50 ms", "p90 ms", "to plain RQ"], rows))


if __name__ == "__main__":
    main()
