"""The detailed test: real connections over campus, the rules behind a quick run's NOs, and hosts that are added and removed.

    .venv/bin/python -m benchmarks.detailed_test [--rounds 60]

All times are of the bench's own part, in one process, after the rule map. Allowed services pass five routers each way
(10.1.99.10 to 10.2.10.9), blocked ones end at the fifth of six (10.1.10.20 to 10.3.20.8). Reference of a detailed run: the
same services in a quick walk in the same round. Reference of quick with rules: the same without. Reference of a host: one
process that does nothing (`ip -batch` with nothing to do), which is what any command costs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.running_system import running_system, submit_and_wait
from benchmarks.tables import ms, ratio, table
from ledger.runs.requests import RunRequest
from netlab.detailed.answer import answer_detailed
from netlab.detailed.run import DetailedRun
from netlab.facts import reader
from netlab.kernel import namespaces
from netlab.live.build import LiveNetwork, build
from netlab.live.host_pool import READY
from netlab.live.hosts import HostLocation, HostRegistry
from netlab.quick.flow import Question
from netlab.quick.walk import Walker
from netlab.service.executor import Executor
from netlab.topology.segments import IfaceRef
from tests.bench.conftest import running_bench

CAMPUS = Path("networks/campus")
ALLOWED, BLOCKED = ("10.1.99.10", "10.2.10.9"), ("10.1.10.20", "10.3.20.8")
LIMITS_MS = {1: 5, 10: 15, 40: 50}
QUICK_LIMIT_MS, HOST_LIMIT_MS = 10, 5
COLUMNS = ["median", "p90", "reference", "p90", "ratio", "limit"]


def question(ends: tuple[str, str], services: int) -> Question:
    """Return a request for `services` TCP ports (1000, 1001, …) from the first address in `ends` to the second.

    The rules of campus treat all these ports alike: all accepted for ALLOWED, all dropped for BLOCKED.
    """
    ports = tuple((port, "tcp") for port in range(1000, 1000 + services))
    return Question(IPv4Address(ends[0]), IPv4Address(ends[1]), ports, 50_000, 32, rules=False)


async def detailed(network: LiveNetwork, rounds: int) -> list[list[str]]:
    """Rows: the whole run with its answer, and the part from the first SYN to the last rule."""
    executor, walker = Executor(network), Walker(network)
    rows = []
    for name, ends in (("allowed", ALLOWED), ("blocked", BLOCKED)):
        for services, limit in LIMITS_MS.items():
            asked = question(ends, services)
            whole, connections, walks = [], [], []
            for number in range(rounds):
                run = DetailedRun(network, executor._walker, executor.hosts, executor.locks, lambda *step: None)
                started = time.perf_counter()
                tests = await run.run(asked, f"run-{number}")
                answer_detailed(asked, tests, executor._caveats, "")
                whole.append(time.perf_counter() - started)
                connections.append(run.timing_ms["connections"] / 1e3)
                started = time.perf_counter()
                walker.walk([asked])
                walks.append(time.perf_counter() - started)
                walker.forget()
            for part, samples in (("connections", connections), ("whole run", whole)):
                cells = [*ms(samples), *ms(walks), ratio(samples, walks), f"<= {limit}"]
                rows.append([f"{services} {name}, {part}", *cells])
    return rows


def quick_with_rules(network: LiveNetwork, rounds: int) -> list[list[str]]:
    """Row: ten services, every one a NO with its rule, compared with the same without rules."""
    walker = Walker(network)
    plain = question(BLOCKED, 10)
    explained = replace(plain, rules=True)
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for asked, into in zip((explained, plain), samples, strict=True):
            started = time.perf_counter()
            ((_, flows),) = walker.walk([asked])
            into.append(time.perf_counter() - started)
            walker.forget()
            assert all(flow.result == "NO" for flow in flows)
    cells = [*ms(samples[0]), *ms(samples[1]), ratio(*samples), f"<= {QUICK_LIMIT_MS}"]
    return [["quick, 10 NO with their rules", *cells]]


def hosts(network: LiveNetwork, rounds: int) -> list[list[str]]:
    """Rows: a host added, ready to send, and removed: one from the pool, and one created for comparison."""
    registry, port = HostRegistry(network), IfaceRef("hq-core", "eth1")
    place = HostLocation(network.topology.segment_of[port], port)
    rows = []
    for name in ("host", "third host"):
        samples: tuple[list[float], list[float], list[float]] = ([], [], [])
        for number in range(rounds):
            address = IPv4Address("10.1.10.20") + number % 200
            times = [time.perf_counter()]
            registry.acquire(address, "run", place)
            times.append(time.perf_counter())
            registry.release(address, "run")
            times.append(time.perf_counter())
            subprocess.run(["ip", "-batch", "/dev/null"], check=True)
            times.append(time.perf_counter())
            for into, began, ended in zip(samples, times, times[1:], strict=False):
                into.append(ended - began)
        added, removed, nothing = samples
        for what, taken in ((f"{name} added", added), (f"{name} removed", removed)):
            rows.append([what, *ms(taken), *ms(nothing), ratio(taken, nothing), f"<= {HOST_LIMIT_MS}"])
        for number in range(READY):  # from now on none is ready
            registry.acquire(IPv4Address("10.1.10.240") + number, "others", place)
    registry.release_all("others")
    return rows


def bench_part(rounds: int) -> None:
    """Measure the bench's part, in a child that leaves the machine's network."""
    namespaces.isolate()
    started = time.perf_counter()
    network = build(reader.load(CAMPUS))
    built = time.perf_counter() - started
    rows = [*asyncio.run(detailed(network, rounds)), *quick_with_rules(network, rounds), *hosts(network, rounds)]
    title = (
        f"Detailed test on the bench (built with its rule map in {built * 1e3:.0f} ms); load {os.getloadavg()[0]:.1f}"
    )
    print(table(title, ["ms", *COLUMNS], rows))


def whole_system(rounds: int) -> None:
    """Measure a detailed run from submit to its record, and the same run sent directly to a bench."""
    rows = []
    with running_system() as ledger, running_bench(CAMPUS) as bench:
        for services in (1, 10, 40):
            ports = ["443", *map(str, range(1000, 1000 + services - 1))]
            request = RunRequest.parse("10.1.10.20", "10.3.20.8", ",".join(ports), "detailed")
            asked = ",".join(map(str, request.services))
            through, direct = [], []
            for _ in range(max(10, rounds // 2)):
                began = time.perf_counter()
                submit_and_wait(ledger, request, 1)
                submitted = time.perf_counter()
                bench.detailed(request.source, request.destination, asked)
                through.append(submitted - began)
                direct.append(time.perf_counter() - submitted)
            rows.append([f"{services} services", *ms(through), *ms(direct), ratio(through, direct)])
    columns = ["whole system (ms)", "submit→finished", "p90", "bench alone", "p90", "ratio"]
    print(table("A detailed run through submit, dispatcher, RQ, worker and bench", columns, rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--bench-part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bench_part:
        bench_part(options.rounds)
    else:
        again = [sys.executable, "-m", "benchmarks.detailed_test", "--bench-part", "--rounds", str(options.rounds)]
        subprocess.run(again, check=True)
        whole_system(options.rounds)
