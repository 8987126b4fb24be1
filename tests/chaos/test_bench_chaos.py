"""The real workers with a real bench that comes late, dies or hangs: the queue waits for it or moves on."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.events import Kind
from ledger.runs.fair_order import BEYOND_LINE
from ledger.runs.run import Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support import history
from tests.support.bench_report import reported
from tests.support.bench_system import System
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.results import stored
from tests.support.waiting import wait_until


@pytest.fixture
def system(settings: Settings, ledger: Ledger, tmp_path: Path) -> Iterator[System]:
    with Parts(settings) as parts:
        yield System(parts, ledger)


def answers(system: System, runs: list[Run]) -> set[str]:
    """The findings of a result, without the fields of the run itself."""
    results = [stored(system.ledger, run.id) for run in runs]
    return {str([result[name] for name in ("verdict", "path", "services")]) for result in results if result}


def test_runs_survive_a_bench_killed_in_their_middle(system: System) -> None:
    bench = system.bench()
    system.workers(8)
    (alone,) = system.submit()
    wait_until(lambda: system.ended([alone]), 10, "one is answered")
    runs = system.submit(150)
    wait_until(lambda: len(history.count(system.ledger, Kind.FINISHED)) > 20, 10, "some are answered")
    bench.kill()
    bench.wait()
    system.bench()
    wait_until(lambda: system.ended(runs), 20, "all are answered")
    assert history.count(system.ledger, Kind.FINISHED) == {run.id: 1 for run in [alone, *runs]}
    assert len(answers(system, [alone, *runs])) == 1
    assert not any(lane.leased for lane in system.ledger.lanes())


def test_a_run_waits_for_a_bench_that_comes_late(system: System) -> None:
    system.workers()
    wait_until(lambda: reported(system.ledger).state == "away", 5, "the bench is known to be down")
    (run,) = system.submit()
    wait_until(lambda: system.ledger.run(run.id).wait_code == "bench-down", 5, "the run says why it waits")
    assert system.ledger.run(run.id).wait_reason.startswith("the bench is down: no bench answers at @reachq-chaos-")
    system.bench()
    assert system.parts.in_state(run, State.DONE).attempt == 1


def test_no_run_fails_or_loses_an_attempt_because_the_bench_is_down(system: System) -> None:
    bench = system.bench()
    system.workers(8)
    (first,) = system.submit()
    wait_until(lambda: system.ended([first]), 10, "one is answered")
    bench.kill()
    bench.wait()
    runs = system.submit(60)  # the first ones are promoted before the dispatcher knows that the bench is down
    assert system.ledger.run(runs[0].id).state is not State.DONE

    def all_wait_for_the_bench() -> bool:
        now = [system.ledger.run(run.id) for run in runs]  # beyond the user's first 32, another reason comes first
        reasons = {run.wait_code for run in now} - {BEYOND_LINE}
        return {run.state for run in now} == {State.PENDING} and reasons == {"bench-down"}

    wait_until(all_wait_for_the_bench, 10, "all wait, and say that the bench is down")
    promoted = history.count(system.ledger, Kind.PROMOTED)
    before_ms = reported(system.ledger).reported_ms
    wait_until(lambda: reported(system.ledger).reported_ms > before_ms + 4000, 15, "two reports have come")
    assert history.count(system.ledger, Kind.PROMOTED) == promoted, "nothing is promoted meanwhile"
    system.bench()
    wait_until(lambda: system.ended(runs), 20, "all are answered")
    assert {system.ledger.run(run.id).attempt for run in runs} == {1}


def test_a_run_can_be_cancelled_while_the_bench_hangs(system: System) -> None:
    bench = system.bench()
    system.workers(run_timeout_s=2)
    bench.send_signal(signal.SIGSTOP)
    (run,) = system.submit()
    system.parts.in_state(run, State.RUNNING)
    system.ledger.cancel(run.id)
    asked = time.monotonic()
    system.parts.in_state(run, State.CANCELLED)
    assert time.monotonic() - asked < patience(4)  # the opening of an attempt cannot be interrupted, only time out
    bench.send_signal(signal.SIGCONT)
    (next_run,) = system.submit()
    assert system.parts.in_state(next_run, State.DONE).attempt == 1


def test_a_bench_that_hangs_fails_the_run_in_time(system: System) -> None:
    bench = system.bench()
    system.workers(run_timeout_s=1)
    bench.send_signal(signal.SIGSTOP)
    (run,) = system.submit()
    failed = system.parts.in_state(run, State.FAILED, timeout_s=10)
    assert failed.error
    bench.send_signal(signal.SIGCONT)


def test_what_the_bench_says_of_itself_is_in_the_ledger(system: System) -> None:
    system.workers(1)
    wait_until(lambda: reported(system.ledger).state == "away", 5, "it is away")
    bench = system.bench()
    wait_until(lambda: reported(system.ledger).state == "up", 5, "up")
    assert reported(system.ledger).facts
    bench.kill()
    wait_until(lambda: reported(system.ledger).state == "away", 5, "it is away again")
    assert reported(system.ledger).error
