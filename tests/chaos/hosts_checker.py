"""Faults at random on two hosts with real benches: `python -m tests.chaos.hosts_checker --minutes 10 [--seed 1]`.

Two networks on two hosts, so four benches; Redis is reached over TCP, and there are two dispatchers. While runs of both
modes are submitted to both networks, processes are killed or stopped and cables are cut, on one host at a time. In the
end everything works again, and then: each run is done, has been answered once and with the answer of a calm system; no
bench has ever held a forbidden combination; all lanes, slots and leases are free.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from app.snapshots.push import push_path, wait_for_check
from ledger.events import Kind
from ledger.runs.run import ENDED, SINGLE, Mode, Run, State
from ledger.store import Ledger
from netlab.results.codec import decode
from tests.support import history
from tests.support.invariants import violations
from tests.support.parts import ROOT, Parts
from tests.support.runs import a_request
from tests.support.two_hosts import Host, TwoHosts
from tests.support.waiting import wait_until

QUICK, DETAILED = 8, 1
CAMPUS = ROOT / "networks" / "campus"
NETWORKS = ("main", "lab")
QUESTIONS = ("443/tcp", "22/tcp", "53/udp,icmp")
POOL = "tests.support.held_pool"
"""The real pool; each test is held, so that a fault meets many runs."""
HOLD_MS = 150
FAULTS = (
    *("worker killed", "worker stopped", "bench killed", "service killed", "pool killed"),
    *("host killed", "host stopped", "cable cut", "leader killed", "host drained"),
)
KEPT = {"events_max": 1_000_000, "keep_finished": 1_000_000}
"""Settings with which every run and event is still there at the end."""
PAUSE_S = (0.5, 3.0)
"""Between two faults."""
LASTS_S = (0.5, 6.0)
"""How long a process is stopped, or a cable is cut: shorter and longer than a lease."""


@dataclass
class Report:
    """What the checker did and found."""

    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    repeated: int = 0
    problems: list[str] = field(default_factory=list)


class Checker:
    """Submits runs and causes faults until the time is over, then checks everything."""

    def __init__(self, two: TwoHosts, parts: Parts, seed: int) -> None:
        self._two = two
        self._parts = parts
        self._random = random.Random(seed)
        self._runs: dict[str, tuple[Ledger, str]] = {}
        self.report = Report()

    def prepare(self) -> None:
        """Start everything, and wait until all benches are up."""
        ledger = self._two.ledger
        for _ in range(2):
            self._parts.dispatcher(**KEPT)
        for host in self._two.hosts.values():
            self._start(host)
        for name in self._two.hosts:
            self._two.wait_for_workers(name, QUICK + DETAILED, 60)
        wait_until(ledger.current_snapshot, 60, "the sample network is there")
        if "lab" not in ledger.network_names():
            ledger.add_network("lab", by="checker")
            lab = ledger.of_network("lab")
            facts = push_path(lab, CAMPUS, by="checker").facts
            wait_for_check(lab, facts)
            lab.use_snapshot(facts, by="checker")
        for name in NETWORKS:
            wait_until(partial(_all_up, ledger.of_network(name)), 120, f"the benches of {name} are up")

    def _start(self, host: Host) -> None:
        host.start("netlab", "--service")
        self._start_pool(host)

    def _start_pool(self, host: Host) -> None:
        host.start(POOL, "--hold-ms", str(HOLD_MS), quick=QUICK, detailed=DETAILED, **KEPT)

    def calm(self) -> dict[str, str]:
        """{network and question: the answer} without any fault."""
        answers = {}
        for name in NETWORKS:
            ledger = self._two.ledger.of_network(name)
            for question in QUESTIONS:
                for mode in SINGLE:
                    run, _ = ledger.submit(a_request(mode, question), user="calm")
                    wait_until(partial(_has_ended, ledger, run), 60, "a calm run ends")
                    answers[f"{name} {mode} {question}"] = _answer(ledger, run)
        return answers

    def disturb(self, seconds: float) -> None:
        """Submit runs and cause faults for so long, then repair everything."""
        ends = time.monotonic() + seconds
        due = 0.0
        while time.monotonic() < ends:
            self._submit()
            if time.monotonic() > due:
                self._fault()
                due = time.monotonic() + self._random.uniform(*PAUSE_S)
            time.sleep(0.05)

    def _submit(self) -> None:
        name, question = self._random.choice(NETWORKS), self._random.choice(QUESTIONS)
        mode = Mode.DETAILED if self._random.random() < 0.08 else Mode.QUICK
        ledger = self._two.ledger.of_network(name)
        run, _ = ledger.submit(a_request(mode, question), user=self._random.choice(("anna", "bob", "carl")))
        self._runs[run.id] = (ledger, f"{name} {mode} {question}")

    def _fault(self) -> None:
        host = self._random.choice([*self._two.hosts.values()])
        what = self._random.choice(FAULTS)
        self.report.faults[what] += 1
        lasts = self._random.uniform(*LASTS_S)
        processes = host.processes()
        if what == "host killed":
            host.signal_all(signal.SIGKILL)
            self._work_on(lasts)
            self._start(host)
        elif what == "host stopped":
            host.signal_all(signal.SIGSTOP)
            self._work_on(lasts)
            host.signal_all(signal.SIGCONT)
        elif what == "cable cut":
            host.cut()
            self._work_on(lasts)
            host.plug()
        elif what == "leader killed":
            self._kill_leader()
        elif what == "host drained":
            self._two.ledger.drain_host(host.name, "checker")
            self._work_on(lasts)
            self._two.ledger.resume_host(host.name, "checker")
        else:
            kind, _, how = what.partition(" ")
            self._hit([process for process in processes if _is(process, kind)], how, lasts)
            self._restart(host)

    def _work_on(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._submit()
            time.sleep(0.02)

    def _hit(self, candidates: list[psutil.Process], how: str, lasts: float) -> None:
        if not candidates:
            return
        victim = self._random.choice(candidates)
        try:
            victim.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
            if how == "stopped":
                self._work_on(lasts)
                victim.send_signal(signal.SIGCONT)
        except psutil.NoSuchProcess:
            return

    def _restart(self, host: Host) -> None:
        """Start what a supervisor would start again: the service and the pool."""
        time.sleep(0.2)
        commands = [_command(process) for process in host.processes()]
        if not any("netlab --service" in command for command in commands):
            host.start("netlab", "--service")
        if not any(f"-m {POOL}" in command for command in commands):
            self._start_pool(host)

    def _kill_leader(self) -> None:
        pid = self._parts.leader_pid()
        if pid:
            psutil.Process(pid).kill()
            self._parts.dispatcher(**KEPT)

    def check(self, calm: dict[str, str]) -> None:
        """Wait until all runs have ended, and look for problems."""
        report, ledger = self.report, self._two.ledger
        report.runs = len(self._runs)

        def all_ended() -> bool:
            return all(its.run(run).state in ENDED for run, (its, _) in reversed(self._runs.items()))

        try:
            wait_until(all_ended, 120, "all runs have ended")
        except AssertionError:
            waiting = Counter(str(its.run(run).state) for run, (its, _) in self._runs.items())
            report.problems.append(f"runs do not end: {waiting}")
        finished = history.count(ledger, Kind.FINISHED)
        for run_id, (its, question) in self._runs.items():
            run = its.run(run_id)
            report.repeated += run.attempt > 1
            if run.state is not State.DONE:
                report.problems.append(f"run {run_id} is {run.state}: {run.error}")
            elif finished[run_id] != 1:
                report.problems.append(f"run {run_id} was answered {finished[run_id]} times")
            elif _answer(its, run) != calm[question]:
                report.problems.append(f"run {run_id} ({question}): {_answer(its, run)}, calm: {calm[question]}")
        report.problems += [f"a bench held {slots}" for slots in history.incompatible(ledger)]
        for name in NETWORKS:
            report.problems += violations(self._two.client, name)


def _is(process: psutil.Process, kind: str) -> bool:
    """Whether a process is a worker, a bench, the service or the pool of a host."""
    command, own = _command(process), _command(_parent(process))
    if kind == "service":
        return "netlab --service" in command and "netlab" not in own
    if kind == "pool":
        return f"-m {POOL}" in command and f"-m {POOL}" not in own
    if kind == "bench":
        return "netlab --service" in own
    return f"-m {POOL}" in own


def _command(process: psutil.Process | None) -> str:
    """The command line of a process, "" if it has ended."""
    try:
        return " ".join(process.cmdline()) if process else ""
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def _all_up(ledger: Ledger) -> bool:
    return [host.bench for host in ledger.hosts()] == ["up", "up"]


def _has_ended(ledger: Ledger, run: Run) -> bool:
    return ledger.run(run.id).state in ENDED


def _answer(ledger: Ledger, run: Run) -> str:
    document = ledger.result(run.id)
    if document is None:
        return "no answer"
    answer = decode(document)
    return f"{answer.verdict} {answer.path} {[service.result for service in answer.services]}"


def check(seconds: float, seed: int) -> Report:
    """Run the checker on a server of its own."""
    with tempfile.TemporaryDirectory() as folder, TwoHosts(Path(folder), **KEPT) as two, Parts(two.settings) as parts:
        checker = Checker(two, parts, seed)
        checker.prepare()
        calm = checker.calm()
        checker.disturb(seconds)
        checker.check(calm)
        return checker.report


def main() -> int:
    """Check, and print what was found."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    report = check(asked.minutes * 60, asked.seed)
    print(f"{report.runs} runs, {report.repeated} in more than one attempt")
    for fault, count in sorted(report.faults.items()):
        print(f"  {count:4} {fault}")
    for problem in report.problems:
        print(problem)
    print(f"{len(report.problems)} violations")
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())
