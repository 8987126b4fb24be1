"""How long the system takes to recover from `kill -9` of each of its processes.

    .venv/bin/python -m benchmarks.recovery [--rounds 30] [--faults leader,worker,pool,bench,server]

The whole system runs as `reachq up` on the sample network. Each time is from the kill to the answer of a run:

- leader: the leading dispatcher is killed; a run submitted then is answered.
- worker: the worker that tests a run is killed; that run is answered by another worker.
- pool: the pool of all workers is killed while one of them tests a run; that run is answered by the next pool.
- bench: the bench is killed; a run submitted then is answered by the next bench.
- server: the Redis server is killed; a run submitted as soon as it is accepted again is answered.

No run may fail, and only the runs of a killed worker may take a second attempt. Reference: the medians measured before the
names of queues were claimed and dead connections noticed (leader 1.3, worker 3.0, pool 3.0, bench 0.9 s).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import median
from typing import TypeVar

import psutil

from benchmarks.running_system import running_system
from benchmarks.tables import table
from ledger.errors import StoreUnavailable
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run, State
from ledger.store import Ledger

T = TypeVar("T")

SETTLED_S = 10.5
"""`reachq up` waits longer each time with a process that dies within 10 s of its start."""
PAUSE_S = 0.002
LIMIT_S = 60.0
BEFORE_S = {"leader": 1.3, "worker": 3.0, "pool": 3.0, "bench": 0.9}
REQUEST = RunRequest.parse("10.1.10.20", "10.3.20.8", "443")


class System:
    """The processes of a running system, found below this process."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def process(self, *words: str) -> psutil.Process:
        """The settled process whose command line has these words; of a pool, the parent."""
        return _until(lambda: self._settled(words), f"{' '.join(words)} has settled")

    def _settled(self, words: tuple[str, ...]) -> psutil.Process | None:
        settled = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if all(word in process.cmdline() for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                    settled.append(process)
        pids = {process.pid for process in settled}
        first = [process for process in settled if process.ppid() not in pids]
        ready = first and all(time.time() - process.create_time() >= SETTLED_S for process in first)
        return first[0] if ready else None

    def server(self) -> psutil.Process:
        """The embedded server."""

        def find() -> psutil.Process | None:
            for process in psutil.Process().children(recursive=True):
                if "valkey" in process.name() or "redis" in process.name():
                    return process if time.time() - process.create_time() >= SETTLED_S else None
            return None

        return _until(find, "the server has settled")

    def whole(self) -> None:
        """Wait until everything that the last fault ended is back, so that no two faults overlap."""
        settings = self.ledger.settings

        def there() -> bool:
            with contextlib.suppress(StoreUnavailable):
                counts = self.ledger.counts()
                alive = counts.workers_alive
                everyone = alive[Mode.QUICK] >= settings.quick and alive[Mode.DETAILED] >= settings.detailed
                return everyone and counts.bench_up and counts.leader_epoch > 0
            return False

        _until(there, "the whole system runs")

    def submit(self) -> Run:
        """Submit a run, as soon as it is accepted."""

        def accepted() -> Run | None:
            with contextlib.suppress(StoreUnavailable):
                return self.ledger.submit(REQUEST)[0]
            return None

        return _until(accepted, "a run is accepted")

    def answered(self, run: Run) -> None:
        """Wait until the run is done."""
        _until(lambda: self._state(run) is State.DONE, f"run {run.id} is done")

    def _state(self, run: Run) -> State | None:
        with contextlib.suppress(StoreUnavailable):
            state = self.ledger.run(run.id).state
            assert state not in (State.FAILED, State.CANCELLED), f"run {run.id} is {state}"
            return state
        return None

    @contextlib.contextmanager
    def run_under_test(self) -> Iterator[Run]:
        """A run under test inside the block: the bench is stopped for that time."""
        bench = self.process("-m", "netlab")
        bench.suspend()
        try:
            run = self.submit()
            _until(lambda: self._state(run) is State.RUNNING, "the run has begun")
            yield run
        finally:
            bench.resume()


def kill_leader(system: System) -> tuple[float, Run]:
    """Kill the leading dispatcher; returns when, and the run to wait for."""
    system.process("-m", "compat_dispatcher")
    leader = _until(system.ledger.leader, "a dispatcher leads")
    return _kill(int(str(leader.dispatcher).split("-")[-2])), system.submit()


def kill_worker(system: System) -> tuple[float, Run]:
    """Kill the worker of a run."""
    system.process("-m", "workers")
    with system.run_under_test() as run:
        worker = psutil.Process(int(system.ledger.run(run.id).worker.rpartition(".")[2]))
        return _kill_all(worker.pid, [worker]), run


def kill_pool(system: System) -> tuple[float, Run]:
    """Kill the pool while one of its workers tests a run."""
    pool = system.process("-m", "workers")
    with system.run_under_test() as run:
        return _kill_all(pool.pid, pool.children()), run


def kill_bench(system: System) -> tuple[float, Run]:
    """Kill the bench."""
    return _kill(system.process("-m", "netlab").pid), system.submit()


def kill_server(system: System) -> tuple[float, Run]:
    """Kill the Redis server."""
    return _kill(system.server().pid), system.submit()


FAULTS: dict[str, Callable[[System], tuple[float, Run]]] = {
    "leader": kill_leader,
    "worker": kill_worker,
    "pool": kill_pool,
    "bench": kill_bench,
    "server": kill_server,
}


def _kill(pid: int) -> float:
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def _kill_all(pid: int, ends: list[psutil.Process]) -> float:
    """Kill a process and wait for all that end with it: until then they may still answer a run."""
    killed = _kill(pid)
    psutil.wait_procs(ends, timeout=LIMIT_S)
    return killed


def _until(ask: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {LIMIT_S:g} s: {what}"
        time.sleep(PAUSE_S)
    return answer


def measure(system: System, faults: list[str], rounds: int) -> dict[str, list[float]]:
    """{fault: seconds}; each round takes every fault in turn."""
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for fault in faults:
            system.whole()
            killed, run = FAULTS[fault](system)
            system.answered(run)
            times[fault].append(time.monotonic() - killed)
            most = 2 if fault in ("worker", "pool") else 1
            attempt = system.ledger.run(run.id).attempt
            events = [event for event in system.ledger.events("0-0", count=100_000) if event.run_id == run.id]
            assert attempt <= most, f"after {fault}: run {run.id} took {attempt} attempts: {events}"
    return times


def main() -> None:
    """Measure, print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--faults", default=",".join(FAULTS), help="which, separated by commas")
    given = options.parse_args()
    with running_system() as ledger:
        measured = measure(System(ledger), given.faults.split(","), given.rounds)
    rows = [
        [fault, f"{median(times):.2f}", f"{max(times):.2f}", f"{BEFORE_S[fault]:.1f}" if fault in BEFORE_S else "-"]
        for fault, times in measured.items()
    ]
    columns = ["killed", "median s", "max s", "before s"]
    print(table(f"Recovery, {given.rounds} rounds, seconds from the kill to an answer", columns, rows))


if __name__ == "__main__":
    main()
