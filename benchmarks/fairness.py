"""What a flood of runs from one user costs another user, and what the fair order costs in throughput.

    .venv/bin/python -m benchmarks.fairness [--quick 30000] [--detailed 2500] [--rounds 100]

A real server, dispatcher and pool (32 quick workers and one detailed) run tests that answer at once. First bob submits
one run after another to an idle system. Then ann submits the flood, and bob does the same during it. `submit→start` is from
before bob's call to the first line of his test. `ann's runs/s` is measured over as many of ann's runs before bob
comes (alone) and while he submits (beside). The last run of the flood shows how long another user waited when
all runs were in one line.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import signal
import time
from statistics import median

from benchmarks import stand_ins
from benchmarks.private_server import private_server
from benchmarks.promotion import fill
from benchmarks.queue_latency import dispatcher
from benchmarks.tables import ms, table
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Mode, State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from netlab.results.codec import decode
from workers.host import main as pool

PAUSE_S = 0.02
"""Pause between two of bob's runs."""


def request(mode: Mode) -> RunRequest:
    """The request of every run."""
    return RunRequest.parse("10.1.10.20", "10.3.20.8", "443", mode)


def one(ledger: Ledger, mode: Mode) -> float:
    """Seconds from bob's submission to the start of his test."""
    begun = time.monotonic()
    run, _ = ledger.submit(request(mode), user="bob")
    after = f"{run.submitted_ms - 1}-0"
    while (state := ledger.run(run.id).state) not in ENDED:
        assert time.monotonic() - begun < 600, "the run was not answered"
        for event in ledger.events(after, block_ms=1000):
            after = event.id
    assert state is State.DONE, state
    result = ledger.result(run.id)
    assert result is not None
    return decode(result).timing_ms["began"] - begun


def waiting(ledger: Ledger) -> int:
    """Number of waiting runs."""
    return ledger.queue(limit=1).waiting_total


def rate(ledger: Ledger, count: int) -> float:
    """Runs that start per second, over this many of the flood."""
    first, begun = waiting(ledger), time.monotonic()
    while (left := waiting(ledger)) > first - count:
        time.sleep(0.02)
    return (first - left) / (time.monotonic() - begun)


def idle(ledger: Ledger, mode: Mode, rounds: int) -> list[str]:
    """A row: bob alone."""
    return [f"{mode}, idle", *ms([one(ledger, mode) for _ in range(rounds)]), "", ""]


def flood(ledger: Ledger, settings: Settings, mode: Mode, count: int, rounds: int) -> list[list[str]]:
    """Two rows: bob during ann's flood of this many runs, and the last run of that flood."""
    ledger.pause("benchmark", "the flood is filled in")
    fill(settings, count, user="ann", mode=mode)
    begun = time.monotonic()
    ledger.resume("benchmark")
    alone = rate(ledger, count // 5)
    before, since, spent = waiting(ledger), time.monotonic(), []
    for _ in range(rounds):
        spent.append(one(ledger, Mode.QUICK))
        time.sleep(PAUSE_S)
        if waiting(ledger) < count // 10:
            break
    beside = (before - waiting(ledger)) / (time.monotonic() - since)
    assert waiting(ledger), "the flood was over too soon to say anything: ask for a larger one"
    while waiting(ledger):
        time.sleep(0.02)
    behind = time.monotonic() - begun
    assert median(spent) < behind
    return [
        [f"quick, beside {count} {mode}", *ms(spent), f"{alone:.0f}", f"{beside:.0f}"],
        [f"the last of {count} {mode}", f"{behind * 1e3:.0f}", "", "", ""],
    ]


def main() -> None:
    """Start everything, measure, print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", type=int, default=30_000)
    options.add_argument("--detailed", type=int, default=2_500)
    options.add_argument("--rounds", type=int, default=100)
    asked = options.parse_args()
    fork = multiprocessing.get_context("fork")
    logging.disable(logging.WARNING)
    with private_server() as path:
        settings = load_settings(redis_url=f"unix://{path}", quick=32, detailed=1)
        processes = [
            fork.Process(target=dispatcher, args=(settings,)),
            fork.Process(target=pool, args=(settings, stand_ins.test)),
        ]
        for process in processes:
            process.start()
        try:
            with Ledger.connect(settings) as ledger:
                one(ledger, Mode.QUICK)
                one(ledger, Mode.DETAILED)
                rows = [idle(ledger, mode, asked.rounds) for mode in Mode]
                rows += flood(ledger, settings, Mode.QUICK, asked.quick, asked.rounds)
                rows += flood(ledger, settings, Mode.DETAILED, asked.detailed, asked.rounds)
        finally:
            for process in processes:
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
    columns = ["", "submit→start p50 ms", "p90 ms", "ann's runs/s alone", "beside"]
    print(table(f"One user's flood and another user's runs, {asked.rounds} rounds", columns, rows))


if __name__ == "__main__":
    main()
