"""Worker, leading dispatcher or bench killed in every phase of a detailed run: nothing is left, nothing is lost.

The bench stops at the beginning of the phase (tests/support/holding_bench.py); then one process is killed, and the
bench continues. What is left in it is read from outside, in every namespace that it holds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from ledger.events import Kind
from ledger.runs.run import SINGLE, Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.detailed.run import PHASES
from netlab.service.client import BenchClient, BenchError
from netlab.service.replies import JournalEntry
from netlab.service.status import BenchStatus
from tests.conftest import missing
from tests.support import history
from tests.support.bench_inside import differences, held, in_use, inside, network_namespaces
from tests.support.lost_replies import CAMPUS, UNANSWERED, lossy_campus
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.results import stored
from tests.support.runs import a_request
from tests.support.waiting import wait_until

SERVICES = "22,443,53/udp,icmp"
EXPECTED = {
    (22, "tcp"): ("NO", "TIMEOUT", ["dc-fw"]),
    (443, "tcp"): ("YES", "CONNECTED", []),
    (53, "udp"): ("NO", "TIMEOUT", ["dc-gw"]),
    (None, "icmp"): ("YES", "CONNECTED", []),
}
"""What is right for a user at headquarters and a server (see tests/bench/campus_cells.py)."""
_numbers = count(1)


class System:
    """Two dispatchers, workers, and a bench that stops in a chosen phase."""

    def __init__(self, parts: Parts, ledger: Ledger, folder: Path, network: Path = CAMPUS) -> None:
        self.parts, self.ledger = parts, ledger
        self._network = network
        self.mark = f"REACHQ_DATA={folder}"
        self._address = f"@reachq-held-{os.getpid()}-{next(_numbers)}"
        self._hold = folder / "hold"
        self._client = BenchClient(self._address, 5)
        self.dispatchers = {process.pid: process for process in (parts.dispatcher(), parts.dispatcher())}
        self.add_pool(quick=1)
        self.bench = self.start_bench()
        wait_until(lambda: parts.alive() == 2, 10, "the workers are there")
        wait_until(parts.leader_pid, 5, "one leads")
        self.before = inside(self.bench.pid)

    def add_pool(self, quick: int, **settings: object) -> None:
        """Start a pool with one worker for detailed runs."""
        self.parts.start("workers", quick=quick, detailed=1, bench_socket=self._address, **settings)

    def start_bench(self) -> subprocess.Popen[str]:
        """Start the bench and wait until it answers."""
        options = ("--hold", str(self._hold), "--network", str(self._network), "--socket", self._address)
        self.bench = self.parts.start("tests.support.holding_bench", *options)
        wait_until(lambda: self._answers() or self.bench.poll() is not None, 15, "the bench answers")
        if self.bench.poll() is not None:
            missing("no bench can be built on this machine")
        return self.bench

    def _answers(self) -> bool:
        try:
            return bool(self._client.status())
        except BenchError:
            return False

    def held_in(self, phase: str) -> Run:
        """A detailed run that has reached `phase`, where the bench has stopped."""
        self._hold.write_text(phase)
        run = self.ledger.submit(a_request(Mode.DETAILED, SERVICES))[0]
        process = psutil.Process(self.bench.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 10, f"the bench stops in {phase}")
        wait_until(lambda: self._phases(run)[-1:] == [phase], 5, f"the run's log says {phase}")
        return run

    def connecting(self) -> Run:
        """A detailed run during two seconds of waiting for an answer."""
        run = self.ledger.submit(a_request(Mode.DETAILED, "443", source=UNANSWERED))[0]
        wait_until(lambda: self._phases(run)[-1:] == ["connect"], 10, "it connects")
        return run

    def _phases(self, run: Run) -> list[str]:
        return [entry.phase for entry in self.ledger.log(run.id)]

    def go_on(self) -> None:
        """Let the bench continue."""
        self.bench.send_signal(signal.SIGCONT)

    def status(self) -> BenchStatus:
        """The bench's status."""
        return self._client.status()

    def journal(self) -> tuple[JournalEntry, ...]:
        """The bench's journal of the network's use."""
        return self._client.journal()

    def left(self) -> list[Any]:
        """What is in the bench that was not there before any run, according to its status and to an outside inspection."""
        return in_use(self.status()) + differences(self.before, inside(self.bench.pid))

    def answered(self, run: Run, attempt: int) -> None:
        """Check that the run is answered correctly, once, on that attempt, that nothing of it is left, and that the
        bench accepts more runs.
        """
        assert self.parts.in_state(run, State.DONE, timeout_s=15).attempt == attempt
        result = stored(self.ledger, run.id)
        assert result is not None
        found = {(s["port"], s["protocol"]): (s["result"], s["outcome"], s["blocked_by"]) for s in result["services"]}
        assert found == EXPECTED
        assert self._phases(run)[-len(PHASES) :] == list(PHASES)
        wait_until(lambda: self.left() == [], 5, "nothing of it stays")
        after = [self.ledger.submit(a_request(mode, "443"))[0] for mode in SINGLE]
        assert [self.parts.in_state(one, State.DONE).verdict for one in after] == ["YES", "YES"]
        assert history.count(self.ledger, Kind.FINISHED) == {one.id: 1 for one in (run, *after)}
        assert history.incompatible(self.ledger) == []

    @contextlib.contextmanager
    def undispatched(self) -> Iterator[None]:
        """Stop all dispatchers inside the block."""
        for process in self.dispatchers.values():
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self.dispatchers.values():
                process.send_signal(signal.SIGCONT)

    def returned(self, run: Run) -> bool:
        """Whether the run's slot has been released."""
        return history.count(self.ledger, Kind.RETURNED)[run.id] == 1


@pytest.fixture
def system(settings: Settings, ledger: Ledger, tmp_path: Path) -> Iterator[System]:
    with Parts(settings) as parts:
        yield System(parts, ledger, tmp_path)


@pytest.mark.parametrize("phase", PHASES)
def test_the_worker_is_killed(system: System, phase: str) -> None:
    run = system.held_in(phase)
    with system.undispatched():  # so that no further attempt begins, which would also clean the bench
        system.parts.worker_of(run).kill()
        system.go_on()
        wait_until(lambda: system.left() == [], 5, "the bench has put everything back")
    wait_until(lambda: system.returned(run), 5, "its slot is back")
    system.answered(run, attempt=2)


@pytest.mark.parametrize("phase", PHASES)
def test_the_leading_dispatcher_is_killed(system: System, phase: str) -> None:
    run = system.held_in(phase)
    leader = system.parts.leader_pid()
    system.dispatchers[leader].kill()
    waiting = system.ledger.submit(a_request(Mode.QUICK, "443"))[0]
    wait_until(lambda: system.parts.leader_pid() not in (0, leader), 3, "the other leads")
    wait_until(lambda: system.ledger.run(waiting.id).wait_code == "detailed-running", 3, "it knows of the run")
    system.ledger.cancel(waiting.id)
    system.go_on()
    system.answered(run, attempt=1)


@pytest.mark.parametrize("phase", PHASES)
def test_the_bench_is_killed(system: System, phase: str) -> None:
    run = system.held_in(phase)
    its_own = set(network_namespaces(system.bench.pid))
    system.bench.kill()
    killed = time.monotonic()
    system.bench.wait()
    wait_until(lambda: system.returned(run), 5, "its slot is back")
    assert time.monotonic() - killed < patience(5)
    assert held(its_own, system.mark) == []
    system.start_bench()
    system.answered(run, attempt=2)


@pytest.fixture
def lossy(settings: Settings, ledger: Ledger, tmp_path: Path) -> Iterator[System]:
    """On a network where a run from UNANSWERED lasts two seconds."""
    with Parts(settings) as parts:
        yield System(parts, ledger, tmp_path, lossy_campus(tmp_path / "network"))


def test_a_run_whose_worker_dies_is_off_the_bench_at_once(lossy: System) -> None:
    run = lossy.connecting()
    with lossy.undispatched():
        lossy.parts.worker_of(run).kill()
        wait_until(lambda: lossy.status().attempts == (), 1, "its attempt has ended")
        assert lossy.status().hosts == ()
        assert lossy.status().locks == {}
    begun, ended, *_ = (entry.ns for entry in lossy.journal() if entry.run_id == run.id)
    assert ended - begun < 2e9, "it ended because its time was over"
    wait_until(lambda: lossy.left() == [], 5, "nothing of it stays")  # the kernel removes hosts in the background
    assert lossy.parts.in_state(run, State.DONE, timeout_s=15).attempt == 2


def test_a_worker_stopped_and_woken_changes_nothing(lossy: System) -> None:
    lossy.add_pool(quick=0)
    wait_until(lambda: lossy.parts.alive() == 3, 10, "another worker is there")
    run = lossy.connecting()
    worker = lossy.parts.worker_of(run)
    worker.suspend()
    wait_until(lambda: lossy.ledger.run(run.id).attempt == 2, 6, "another worker has it")
    fence = lossy.ledger.run(run.id).fence  # the older attempt stays open until this one reaches the bench
    wait_until(lambda: [one.fence for one in lossy.status().attempts] == [fence], 3, "it has ended the older attempt")
    worker.resume()
    answered = lossy.parts.in_state(run, State.DONE)
    assert (answered.attempt, answered.verdict) == (2, "UNKNOWN")
    assert not answered.worker.endswith(f".{worker.pid}")
    wait_until(lambda: lossy.parts.alive() == 3, 5, "the one that woke up is back")
    assert lossy.ledger.run(run.id) == answered
    assert history.count(lossy.ledger, Kind.FINISHED) == {run.id: 1}
    wait_until(lambda: lossy.left() == [], 5, "nothing of it stays")


THERE: dict[str, set[str]] = {
    "path": set(),
    "lock": set(),
    "hosts": {"gate"},
    "listen": {"gate", "link", "address"},
    "connect": {"gate", "link", "address", "listens"},
    "collect": {"gate", "link", "address", "listens", "connection", "neighbour"},
    "clean": {"gate", "link", "address", "listens", "connection", "neighbour"},
}
"""What exists at least when a phase begins; phases that are not listed have nothing."""


def test_what_a_run_has_in_the_bench_is_seen_from_outside(system: System) -> None:
    """Without this, the tests above would prove nothing."""
    for phase in PHASES:
        run = system.held_in(phase)
        changes = differences(system.before, inside(system.bench.pid))
        seen = {line.split()[1] for line in changes if line.startswith("new: ")}
        assert THERE[phase] <= seen, phase
        assert THERE[phase] or not seen, phase
        system.go_on()
        system.parts.in_state(run, State.DONE)
        # The kernel removes hosts in the background: the next inspection must not find those of this run.
        wait_until(lambda: system.left() == [], 5, "nothing stays")
