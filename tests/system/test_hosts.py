"""Two hosts: two pools of real workers with names of their own, on one server, with a dispatcher."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest
import redis

from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.invariants import violations
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.runs import DETAILED, a_request
from tests.support.waiting import wait_until

HOLD_MS = 50.0
USERS = ("anna", "bob", "carl", "dora")


class Two:
    """The hosts east and west."""

    def __init__(self, parts: Parts, hold_ms: float, quick: int = 32) -> None:
        parts.dispatcher()
        self.pools = {
            host: parts.pool(quick, 1, hold_ms=hold_ms, host_name=host, begin_ms=2000) for host in ("east", "west")
        }

    def processes(self, host: str) -> list[psutil.Process]:
        """All processes of a host."""
        pool = psutil.Process(self.pools[host].pid)
        return [pool, *pool.children(recursive=True)]


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with Parts(settings) as parts:
        yield parts


def flood(ledger: Ledger, count: int, mode: Mode = Mode.QUICK, services: str = "443") -> list[Run]:
    """Submit this many runs; several users, because the line holds only 32 runs of each."""
    return [ledger.submit(a_request(mode, services), user=USERS[number % 4])[0] for number in range(count)]


def ended(ledger: Ledger, runs: list[Run], timeout_s: float = 30) -> list[Run]:
    """Wait until all runs are done; returns them as they are then."""

    def open_runs() -> list[State]:
        states = [ledger.run(run.id).state for run in runs]
        return [state for state in states if state is not State.DONE]

    wait_until(lambda: not open_runs(), timeout_s, "all runs are done")
    return [ledger.run(run.id) for run in runs]


def at_once(runs: list[Run]) -> int:
    """The largest number of these ended runs that ran at the same time."""
    edges = sorted([(run.started_ms, 1) for run in runs] + [(run.finished_ms, -1) for run in runs])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def test_64_quick_runs_run_at_once_on_two_hosts(ledger: Ledger, client: redis.Redis, parts: Parts) -> None:
    """Each test is held, so all 64 can have started before the first ends."""
    Two(parts, hold_ms=patience(2) * 1000)
    runs = ended(ledger, flood(ledger, 64))
    assert Counter(run.host for run in runs) == {"east": 32, "west": 32}
    assert at_once(runs) == 64
    assert len({(run.host, run.dscp) for run in runs}) == 64
    assert violations(client) == []


def test_a_detailed_run_takes_one_host_while_quick_runs_continue_on_the_other(
    ledger: Ledger, client: redis.Redis, parts: Parts
) -> None:
    Two(parts, hold_ms=HOLD_MS, quick=4)
    (deep,) = flood(ledger, 1, DETAILED, "2")  # it lasts until it is cancelled
    deep = parts.in_state(deep, State.RUNNING)
    runs = ended(ledger, flood(ledger, 40))
    assert {run.host for run in runs} == {"east", "west"} - {deep.host}
    assert ledger.run(deep.id).state is State.RUNNING
    second, third = flood(ledger, 2, DETAILED)
    second = ended(ledger, [second])[0]
    third = ended(ledger, [third])[0]
    assert {second.host, third.host}.isdisjoint({deep.host})
    assert second.finished_ms <= third.started_ms, "one detailed run at a time has a host"
    ledger.cancel(deep.id)
    parts.in_state(deep, State.CANCELLED)
    assert violations(client) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill -9", "SIGSTOP"])
def test_the_runs_of_a_host_that_dies_or_freezes_are_answered_on_the_other(
    ledger: Ledger, client: redis.Redis, parts: Parts, number: signal.Signals
) -> None:
    two = Two(parts, hold_ms=1500, quick=8)
    runs = flood(ledger, 40)
    wait_until(lambda: any(on_east(ledger.run(run.id)) for run in runs), 10, "host east tests runs")
    victims = two.processes("east")
    for victim in victims:
        victim.send_signal(number)
    done = ended(ledger, runs, timeout_s=60)
    assert {run.host for run in done if run.attempt > 1} == {"west"}
    assert all(run.attempt <= 2 for run in done)
    wait_until(lambda: not any(lane.leased for lane in ledger.lanes()), 10, "its lanes are free again")
    for victim in victims:
        if number is signal.SIGSTOP and victim.is_running():
            victim.send_signal(signal.SIGCONT)
    if number is signal.SIGSTOP:  # the frozen host comes back, and its late answers change nothing
        wait_until(lambda: ledger.hosts()[0].workers[Mode.QUICK] == 8, 20, "it works again")
        assert {run.host for run in ended(ledger, flood(ledger, 32))} == {"east", "west"}
    assert violations(client) == []


def test_a_drained_host_finishes_its_runs_and_gets_no_new_ones(
    ledger: Ledger, client: redis.Redis, parts: Parts
) -> None:
    Two(parts, hold_ms=500, quick=4)
    before = flood(ledger, 8)
    wait_until(lambda: {ledger.run(run.id).state for run in before} == {State.RUNNING}, 10, "all 8 have started")
    assert ledger.drain_host("east", "anna", "new memory")
    during = ended(ledger, flood(ledger, 12))
    assert {run.host for run in during} == {"west"}
    assert {run.attempt for run in ended(ledger, before)} == {1}, "no run was interrupted"
    assert ledger.drain_host("west", "anna")
    (waiting,) = flood(ledger, 1)
    wait_until(lambda: ledger.run(waiting.id).wait_code == "hosts-drained", 5, "it says why it waits")
    assert ledger.health().for_a_new_run.startswith(
        "A new quick run cannot start: every host is drained for maintenance."
    ), "these hosts have no bulk worker"
    assert ledger.resume_host("east", "anna")
    assert ended(ledger, [waiting])[0].host == "east"
    assert violations(client) == []


def test_a_second_host_joins_and_leaves_while_runs_wait(ledger: Ledger, client: redis.Redis, parts: Parts) -> None:
    """The first host has no name, as in an installation that had only one host so far."""
    parts.dispatcher()
    parts.pool(4, 1, hold_ms=20)
    runs = flood(ledger, 400)
    second: subprocess.Popen[str] = parts.pool(4, 1, hold_ms=20, host_name="east")
    wait_until(lambda: any(ledger.run(run.id).host == "east" for run in runs), 20, "the second host tests")
    second.terminate()
    second.wait(timeout=patience(15))
    done = ended(ledger, runs, timeout_s=60)
    assert {run.host for run in done} == {"local", "east"}
    assert max(run.attempt for run in done) == 1, "a pool that ends in order gives no run away for long"
    assert violations(client) == []


def on_east(run: Run) -> bool:
    return run.state is State.RUNNING and run.host == "east"
