"""Bulk runs on a bench: questions a second, and what an interactive run notices of them.

    .venv/bin/python -m benchmarks.bulk [--rounds 5]

Reference of the bulk run: the same 256 questions asked one after the other, as quick runs of one connection each.
Reference of the interactive run: the same on an idle bench. The rounds of all rows alternate, because a machine that
others use as well changes its speed within seconds.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from statistics import median

from benchmarks.tables import ms, ratio, table
from netlab.service.client import AskedQuestion, RequestedService
from tests.bench.conftest import Bench, running_bench

CAMPUS = Path("networks/campus")
HOSTS = ("10.1.10.20", "10.1.99.10", "10.2.10.9", "10.3.20.8", "10.3.40.5", "192.0.2.77")
PORTS = (443, 22, 80, 53, 5432, 25, 8080, 3306, 3389, 8443)
QUESTIONS = 256
LIMITS = {(1, False): 4000, (10, False): 800, (10, True): 400}
"""(services, with rules) -> questions a second on an idle machine."""
LONGER_MS = 3
INTERACTIVE = 40
"""Number of interactive runs of each row in a round."""
PAUSE_S = 0.02
"""Pause between two interactive runs. It is shorter than the second for which the slices stay short after each."""
Kind = tuple[int, bool]
KINDS: tuple[Kind, ...] = ((1, False), (1, True), (10, False), (10, True))


def questions(services: int) -> list[AskedQuestion]:
    """256 questions between six hosts of campus, each with this number of tcp ports."""
    pairs = list(permutations(HOSTS, 2))
    made = []
    for number in range(QUESTIONS):
        again, pair = divmod(number, len(pairs))
        ports = [PORTS[(again + n) % len(PORTS)] for n in range(services)]
        made.append(AskedQuestion(*pairs[pair], tuple(RequestedService(port, "tcp") for port in ports)))
    return made


def quick(bench: Bench, asked: AskedQuestion, *, rules: bool) -> float:
    """Seconds from connect to the answer of one quick run."""
    services = [(service.port, service.protocol) for service in asked.services]
    started = time.perf_counter()
    with bench.client.attempt(run_id="quick", mode="quick", lane=33, fence=next(bench.fences)) as attempt:
        attempt.quick(asked.source, asked.destination, services, rules=rules)
    return time.perf_counter() - started


def bulk(bench: Bench, asked: list[AskedQuestion], *, rules: bool) -> float:
    """Seconds from connect to the last answer of one bulk run."""
    started = time.perf_counter()
    with bench.client.attempt(run_id="bulk", mode="bulk", lane=32, fence=next(bench.fences)) as attempt:
        for _ in attempt.bulk(asked, rules=rules):
            pass
    return time.perf_counter() - started


def speed(bench: Bench, rounds: int) -> None:
    """Measure bulk runs, and the same questions one after the other."""
    together: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    apart: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for services, rules in KINDS:
            asked = questions(services)
            together[services, rules].append(bulk(bench, asked, rules=rules))
            apart[services, rules].append(sum(quick(bench, one, rules=rules) for one in asked))
            time.sleep(1)  # until slices are long again
    rows = [
        [
            named(*kind),
            *ms(together[kind]),
            *ms(apart[kind]),
            ratio(together[kind], apart[kind]),
            f"{QUESTIONS / median(together[kind]):.0f}",
            f">= {LIMITS[kind]}" if kind in LIMITS else "",
        ]
        for kind in KINDS
    ]
    columns = ["256 questions (ms)", "median", "p90", "reference", "p90", "ratio", "questions/s", "limit"]
    print(table("Bulk run on the bench; reference: the same questions as quick runs, one by one", columns, rows))


def interactive(bench: Bench, rounds: int) -> None:
    """Measure quick runs of one service on an idle bench, and beside bulk runs."""
    (asked,) = [one for one in questions(1)[:30] if (one.source, one.destination) == (HOSTS[0], HOSTS[3])]
    idle: list[float] = []
    beside: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            idle += some(bench, asked)
            with endless_bulk(bench, *kind):
                beside[kind] += some(bench, asked)
    rows = [
        [
            f"beside bulk, {named(*kind)}",
            *ms(beside[kind]),
            *ms(idle),
            f"{(median(beside[kind]) - median(idle)) * 1e3:.2f}",
            f"<= {LONGER_MS}",
        ]
        for kind in KINDS
    ]
    columns = ["quick run, 1 service (ms)", "median", "p90", "idle", "p90", "longer", "limit"]
    print(table("Interactive run, from connect to answer; reference: on an idle bench", columns, rows))


def some(bench: Bench, asked: AskedQuestion) -> list[float]:
    """Durations of interactive runs. The first is left out: it may meet a long slice."""
    durations = []
    for _ in range(INTERACTIVE + 1):
        durations.append(quick(bench, asked, rules=True))
        time.sleep(PAUSE_S)
    return durations[1:]


@contextmanager
def endless_bulk(bench: Bench, services: int, rules: bool) -> Iterator[None]:
    """Run bulk runs one after the other during the body."""
    asked, enough = questions(services), threading.Event()

    def run() -> None:
        while not enough.is_set():
            bulk(bench, asked, rules=rules)

    running = threading.Thread(target=run)
    running.start()
    try:
        yield
    finally:
        enough.set()
        running.join()


def named(services: int, rules: bool) -> str:
    """Name of a row."""
    return f"{services} service{'s' * (services > 1)}" + (", with rules" if rules else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with running_bench(CAMPUS) as bench:
        speed(bench, options.rounds)
        interactive(bench, options.rounds)
