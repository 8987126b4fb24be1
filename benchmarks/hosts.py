"""What a lost host costs, and what a second host brings. Needs root: each host has a network namespace.

    .venv/bin/python -m benchmarks.hosts [--rounds 20] [--runs 2000]

Redis and a dispatcher run in one namespace, and the worker pools of two hosts in two others, connected by cables over
which Redis is reached (TCP). The test is a stand-in that is held for 50 ms.

First table, one host against two, with 8, 16 and 32 workers on each: `runs/s` over many runs of four users. Quick runs that
are held are limited by the workers, so two hosts should end twice as many, until the processors of this machine, which
all processes share here, are busy.

Second table, each round with 8 workers on each host and runs that last for 1 s: every process of one host is killed
(`kill -9`) or stopped (SIGSTOP), or its cable is cut.

- slots free: seconds from the fault until no run holds a lane of the lost host.
- answered: seconds until the last of its runs has begun on the other host.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.tables import table
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Run, State
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.two_hosts import Host, TwoHosts
from tests.support.waiting import wait_until

REQUEST = RunRequest.parse("10.1.10.20", "10.3.20.8", "443")
USERS = ("anna", "bob", "carl", "dora")
STAND_IN = "tests.support.stand_in_pool"
WORKERS = 8
FAULTS: dict[str, tuple[Callable[[Host], None], Callable[[Host], None]]] = {
    "kill -9": (lambda host: host.signal_all(signal.SIGKILL), lambda host: start(host, WORKERS, 1000)),
    "SIGSTOP": (lambda host: host.signal_all(signal.SIGSTOP), lambda host: host.signal_all(signal.SIGCONT)),
    "cable cut": (Host.cut, Host.plug),
}
"""Fault -> how it is caused, and how the host is brought back."""


def start(host: Host, quick: int, hold_ms: int) -> None:
    """Start the pool of a host."""
    host.start(STAND_IN, "--hold-ms", str(hold_ms), quick=quick, detailed=1)


def flood(ledger: Ledger, count: int) -> list[str]:
    """Submit this many runs; returns their ids."""
    return [ledger.submit(REQUEST, user=USERS[number % 4])[0].id for number in range(count)]


def end(ledger: Ledger, runs: list[str]) -> list[Run]:
    """Wait until the runs have ended."""
    wait_until(lambda: ledger.run(runs[-1]).state in ENDED, 600, "the last run has ended")
    wait_until(lambda: all(ledger.run(run).state in ENDED for run in runs), 600, "all runs have ended")
    return [ledger.run(run) for run in runs]


def rate(two: TwoHosts, count: int) -> float:
    """Runs that end per second, from the first start to the last end."""
    two.ledger.pause("benchmark")
    runs = flood(two.ledger, count)
    two.ledger.resume("benchmark")
    done = end(two.ledger, runs)
    return count / (max(run.finished_ms for run in done) - min(run.started_ms for run in done)) * 1000


def rates(workers: int, count: int, rounds: int) -> list[list[str]]:
    """The rows of the first table; one host and two hosts take turns, and the second host is drained in between."""
    found: dict[str, list[float]] = {"one host": [], "two hosts": []}
    with tempfile.TemporaryDirectory() as folder, TwoHosts(Path(folder)) as two, Parts(two.settings) as parts:
        parts.dispatcher()
        for name, host in two.hosts.items():
            start(host, workers, 50)
            two.wait_for_workers(name, workers + 1, 60)
        for _ in range(rounds):
            two.ledger.drain_host("west", "benchmark")
            found["one host"].append(rate(two, count))
            two.ledger.resume_host("west", "benchmark")
            found["two hosts"].append(rate(two, count))
    one = median(found["one host"])
    return [
        [f"{name}, {workers} workers each", f"{median(each):.0f}", f"{median(each) / one:.2f}x"]
        for name, each in found.items()
    ]


def lose(two: TwoHosts, fault: str) -> tuple[float, float]:
    """One round: seconds until the slots of host east are free, and until its runs have begun on host west."""
    ledger, east = two.ledger, two.hosts["east"]
    cause, bring_back = FAULTS[fault]
    two.wait_for_workers("east", WORKERS + 1, 60)
    runs = flood(ledger, 4 * WORKERS)
    lost: list[str] = []

    def all_busy() -> bool:
        lost[:] = [run.id for run in map(ledger.run, runs) if run.state is State.RUNNING and run.host == "east"]
        return len(lost) == WORKERS

    wait_until(all_busy, 30, "host east is busy")
    begun = time.monotonic()
    at_ms = int(time.time() * 1000)
    cause(east)
    wait_until(lambda: not ledger.connection.client.scard("reachq:main:dscp:leased:east"), 60, "its lanes are free")
    free = time.monotonic() - begun
    done = {run.id: run for run in end(ledger, runs)}
    bring_back(east)
    moved = [done[run].started_ms - at_ms for run in lost if done[run].attempt > 1]
    assert all(run.attempt <= 2 for run in done.values())
    return free, max(moved, default=0) / 1000


def losses(rounds: int) -> list[list[str]]:
    """The rows of the second table; the faults take turns."""
    found: dict[str, list[tuple[float, float]]] = {fault: [] for fault in FAULTS}
    with tempfile.TemporaryDirectory() as folder, TwoHosts(Path(folder)) as two, Parts(two.settings) as parts:
        parts.dispatcher()
        for host in two.hosts.values():
            start(host, WORKERS, 1000)
        for _ in range(rounds):
            for fault, times in found.items():
                times.append(lose(two, fault))
    rows = []
    for fault, times in found.items():
        free, answered = zip(*times, strict=True)
        rows.append(
            [fault, f"{median(free):.2f}", f"{max(free):.2f}", f"{median(answered):.2f}", f"{max(answered):.2f}"]
        )
    return rows


def main() -> None:
    """Measure, and print both tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--runs", type=int, default=2000)
    asked = options.parse_args()
    rows = [row for workers in (8, 16, 32) for row in rates(workers, asked.runs * workers // 32, 5)]
    print(table(f"Up to {asked.runs} runs held for 50 ms", ["", "runs/s", "to one host"], rows))
    columns = ["fault", "slots free s", "longest", "answered s", "longest"]
    print(table(f"A lost host, {asked.rounds} rounds", columns, losses(asked.rounds)))


if __name__ == "__main__":
    main()
