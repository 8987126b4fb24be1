"""What users at the pages notice of bulk runs and of another user's long queue. Needs root.

    .venv/bin/python -m benchmarks.beside_bulk [--rounds 3] [--runs 100]

A user submits one quick run after the other, with a pause. `finished` is from the submission to the end of the run, by
the clock of Redis. Reference: the same on an idle system. `beside bulk runs`: another user has 5,000 questions as bulk
runs under way all the time. `beside 50,000 waiting runs`: another user has submitted that many quick runs.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.running_system import running_system
from benchmarks.tables import ms, ratio, table
from ledger.runs.bulk import in_parts, numbered
from ledger.runs.cancelling import Choice
from ledger.runs.requests import RunRequest
from ledger.store import Ledger

ASKED = RunRequest.parse("10.1.10.20", "10.3.20.8", "443/tcp")
QUESTIONS, WAITING = 5000, 50_000
PAUSE_S = 0.03


def interactive(ledger: Ledger, count: int) -> list[float]:
    """Seconds from submission to end of that many quick runs, one after the other."""
    seconds = []
    for _ in range(count):
        run_id = ledger.submit(ASKED, user="interactive")[0].id
        while not (run := ledger.run(run_id)).finished_ms:
            time.sleep(0.0005)
        seconds.append((run.finished_ms - run.submitted_ms) / 1000)
        time.sleep(PAUSE_S)
    return seconds


@contextmanager
def bulk_runs(ledger: Ledger) -> Iterator[list[int]]:
    """Keep at least 5,000 questions waiting or under way, and count those that are answered."""
    asked = numbered(
        RunRequest.parse(f"10.1.10.{20 + number % 40}", "10.3.20.8", "443/tcp") for number in range(QUESTIONS)
    )
    stop, answered = threading.Event(), [0]

    def feed() -> None:
        with Ledger.connect(ledger.settings) as own:
            while not stop.is_set():
                waiting = {own.submit_bulk(part, user="bulk")[0].id for part in in_parts(asked)}
                while waiting and not stop.is_set():
                    ended = {run_id for run_id in waiting if own.run(run_id).finished_ms}
                    answered[0] += sum(own.run(run_id).questions for run_id in ended)
                    waiting -= ended
                    time.sleep(0.05)

    thread = threading.Thread(target=feed)
    thread.start()
    time.sleep(0.5)
    try:
        yield answered
    finally:
        stop.set()
        thread.join()
        ledger.cancel_matching(Choice(user="bulk"), by="benchmark")
        time.sleep(1)


@contextmanager
def long_queue(ledger: Ledger) -> Iterator[None]:
    """Have 50,000 quick runs of one user wait, and the bench work on them."""
    for _ in range(WAITING - 100):
        ledger.submit(ASKED, user="flood")
    try:
        yield
    finally:
        ledger.cancel_matching(Choice(user="flood"), by="benchmark")
        time.sleep(1)


def main(rounds: int, runs: int) -> None:
    """Measure in turns and print the table."""
    idle: list[float] = []
    beside: list[float] = []
    flooded: list[float] = []
    with running_system() as ledger:
        interactive(ledger, 20)
        for _ in range(rounds):
            idle += interactive(ledger, runs)
            with bulk_runs(ledger) as answered:
                began = time.monotonic()
                beside += interactive(ledger, runs)
                speed = answered[0] / (time.monotonic() - began)
        idle += interactive(ledger, runs)
        with long_queue(ledger):
            flooded += interactive(ledger, runs)
    rows = [
        ["beside bulk runs", *ms(beside), *ms(idle), ratio(beside, idle)],
        ["beside 50,000 waiting runs", *ms(flooded), *ms(idle), ratio(flooded, idle)],
    ]
    columns = ["quick run, submitted to finished (ms)", "median", "p90", "idle", "p90", "ratio"]
    print(table(f"Interactive runs; the bulk runs answered {speed:.0f} questions/s beside them", columns, rows))


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--runs", type=int, default=100)
    given = options.parse_args()
    main(given.rounds, given.runs)
