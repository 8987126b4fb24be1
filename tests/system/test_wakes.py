"""Each event after which a run may start wakes the dispatcher: with leases of a minute nothing else does so in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from compat_dispatcher.loop import Dispatcher
from ledger.errors import StaleEpoch
from ledger.runs.run import Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.runs import QUICK, announced, queue_of, submitted, worker_of
from tests.support.waiting import wait_until

QUEUE, WORKER = queue_of(QUICK), worker_of(queue_of(QUICK))
Case = Callable[[Ledger], Run]


@pytest.fixture
def patient(settings: Settings) -> Iterator[Ledger]:
    """A ledger and a dispatcher that leads, neither with a reason to look again within a minute."""
    long = settings.model_copy(update={"lease_ms": 60_000, "begin_ms": 60_000})
    with Ledger.connect(long) as led, Parts(long) as parts:
        parts.dispatcher(lease_ms=60_000, begin_ms=60_000)
        wait_until(parts.leader_pid, 10, "it leads")
        yield led


def in_state(led: Ledger, run: Run, state: State) -> Run:
    wait_until(lambda: led.run(run.id).state is state, 5, f"the run is {state}")
    return led.run(run.id)


def waiting(led: Ledger, code: str) -> Run:
    run = submitted(led)
    wait_until(lambda: led.run(run.id).wait_code == code, 5, f"it waits: {code}")
    return run


def begun(led: Ledger) -> Run:
    """A run that the only worker has begun."""
    announced(led)
    run = submitted(led)
    in_state(led, run, State.PROMOTED)
    found = led.begin(run.id, WORKER, QUEUE)
    assert found is not None
    return found


def returned(led: Ledger) -> Run:
    run = begun(led)
    led.give_back(run.id, run.token, "the worker was stopped")
    return run


def worker(led: Ledger) -> Run:
    run = waiting(led, "no-worker")
    announced(led)
    return run


def resumed(led: Ledger) -> Run:
    announced(led)
    led.pause("anna", "")
    run = waiting(led, "paused")
    led.resume("anna")
    return run


def bench(led: Ledger) -> Run:
    announced(led)
    led.report_bench({"state": "away"})
    run = waiting(led, "bench-down")
    led.report_bench({"state": "up"})
    return run


def ended_by(end: Callable[[Ledger, Run], object]) -> Case:
    def case(led: Ledger) -> Run:
        first = begun(led)
        second = waiting(led, "no-worker")
        end(led, first)
        return second

    return case


CASES: dict[str, Case] = {
    "returned": returned,
    "worker": worker,
    "resumed": resumed,
    "bench": bench,
    "finished": ended_by(lambda led, run: led.finish(run.id, run.token, {"verdict": "YES"})),
    "failed": ended_by(lambda led, run: led.fail(run.id, run.token, "no")),
    "cancelled": ended_by(lambda led, run: led.stopped(run.id, run.token)),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_run_starts_after(patient: Ledger, kind: str) -> None:
    """Each fails when its kind is missing in WAKES of compat_dispatcher/loop.py."""
    run = CASES[kind](patient)
    in_state(patient, run, State.PROMOTED)
    patient.cancel(run.id)


class OneTurn:
    """Stops the loop after one turn, and notes whether the dispatcher thought that it led by then."""

    def __init__(self) -> None:
        self.dispatcher: Dispatcher | None = None
        self.led: list[int | None] = []

    def is_set(self) -> bool:
        assert self.dispatcher is not None
        self.led.append(self.dispatcher._leadership.epoch)
        return len(self.led) > 1

    def wait(self, timeout: float, /) -> bool:
        return False


def test_one_that_is_told_that_another_leads_stops_acting_at_once(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when Dispatcher.run does not depose after StaleEpoch."""
    stop = OneTurn()
    stop.dispatcher = Dispatcher(ledger, settings, "d1")

    def stale(_: object, epoch: int) -> None:
        assert epoch == 1
        raise StaleEpoch

    monkeypatch.setattr(Dispatcher, "_act", stale)
    stop.dispatcher.run(stop)
    assert stop.led == [None, None]
    assert stop.dispatcher._leadership.epoch is None
