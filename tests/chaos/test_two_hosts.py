"""Two hosts in network namespaces, with Redis over TCP: a host that dies, freezes or is cut off."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.runs.run import Mode, State
from netlab.results.codec import decode
from tests.chaos.hosts_checker import check
from tests.support.invariants import violations
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.runs import a_request
from tests.support.two_hosts import TwoHosts
from tests.support.waiting import wait_until
from tests.system.test_hosts import at_once, ended, flood

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoHosts]:
    with TwoHosts(tmp_path) as hosts:
        yield hosts


@pytest.mark.parametrize("fault", ["kill -9", "SIGSTOP", "cable"])
def test_the_runs_of_a_lost_host_are_answered_on_the_other(two: TwoHosts, fault: str) -> None:
    ledger, east = two.ledger, two.hosts["east"]
    with Parts(two.settings) as parts:
        parts.dispatcher()
        for host in two.hosts.values():
            host.start("tests.support.stand_in_pool", "--hold-ms", "1000", quick=8, detailed=1)
        for name in two.hosts:
            two.wait_for_workers(name, 9)
        runs = flood(ledger, 40)
        wait_until(lambda: ledger.hosts()[0].lanes_in_use >= 8, 10, "host east tests runs")
        if fault == "kill -9":
            east.signal_all(signal.SIGKILL)
        elif fault == "SIGSTOP":
            east.signal_all(signal.SIGSTOP)
        else:
            east.cut()
        done = ended(ledger, runs, timeout_s=60)
        assert Counter(run.host for run in done if run.attempt > 1) == {"west": 8}
        wait_until(lambda: ledger.hosts()[0].lanes_in_use == 0, 10, "its lanes are free again")
        if fault != "kill -9":
            east.signal_all(signal.SIGCONT)
            east.plug()
            two.wait_for_workers("east", 9)
            assert {run.host for run in ended(ledger, flood(ledger, 40), timeout_s=60)} == {"east", "west"}
        assert violations(two.client) == []


def test_real_benches_on_two_hosts_answer_64_runs_at_once(two: TwoHosts) -> None:
    """The snapshot comes from Redis; each host builds a bench from it. A detailed run leaves the other host working."""
    ledger = two.ledger
    with Parts(two.settings) as parts:
        parts.dispatcher()
        for host in two.hosts.values():
            host.start("netlab", "--service")
            host.start("tests.support.held_pool", "--hold-ms", str(int(patience(2) * 1000)), bulk=0)
        for name in two.hosts:
            two.wait_for_workers(name, 33)
        wait_until(lambda: {host.bench for host in ledger.hosts()} == {"up"}, 60, "both benches are up")
        facts = {host.facts for host in ledger.hosts()}
        assert len(facts) == 1
        runs = ended(ledger, flood(ledger, 64, services="443/tcp"), timeout_s=60)
        assert Counter(run.host for run in runs) == {"east": 32, "west": 32}
        assert at_once(runs) == 64
        answers = [decode(str(ledger.result(run.id))) for run in runs]
        assert {answer.verdict for answer in answers} == {"YES"}
        assert {answer.facts for answer in answers} == facts
        deep, _ = ledger.submit(a_request(Mode.DETAILED))
        parts.in_state(deep, State.RUNNING)
        beside = ended(ledger, flood(ledger, 4))
        assert {run.host for run in beside}.isdisjoint({ledger.run(deep.id).host})
        parts.in_state(deep, State.DONE, timeout_s=30)
        assert json.loads(str(ledger.result(deep.id)))["mode"] == "detailed"
        assert violations(two.client) == []


def test_faults_at_random_violate_nothing() -> None:
    """Half a minute of the checker, which `python -m tests.chaos.hosts_checker --minutes 10` runs for longer."""
    report = check(30, seed=os.getpid())
    assert report.problems == []
    assert report.runs > 100
