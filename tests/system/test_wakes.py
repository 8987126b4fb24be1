"""Each event after which a run may start wakes the dispatcher: with leases of a minute nothing else does so in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from compat_dispatcher.loop import Dispatcher
from ledger.errors import StaleEpoch
from ledger.runs.records import Answer
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
    """A ledger and a leading dispatcher without any other reason to wake within a minute."""
    long = settings.model_copy(update={"lease_ms": 60_000, "begin_ms": 60_000})
    with Ledger.connect(long) as ledger, Parts(long) as parts:
        parts.dispatcher(lease_ms=60_000, begin_ms=60_000)
        wait_until(parts.leader_pid, 10, "it leads")
        yield ledger


def in_state(ledger: Ledger, run: Run, state: State) -> Run:
    wait_until(lambda: ledger.run(run.id).state is state, 5, f"the run is {state}")
    return ledger.run(run.id)


def waiting(ledger: Ledger, code: str) -> Run:
    run = submitted(ledger)
    wait_until(lambda: ledger.run(run.id).wait_code == code, 5, f"it waits: {code}")
    return run


def begun(ledger: Ledger) -> Run:
    """A run that the only worker has begun."""
    announced(ledger)
    run = submitted(ledger)
    in_state(ledger, run, State.PROMOTED)
    found = ledger.begin(run.id, WORKER, QUEUE)
    assert found is not None
    return found


def returned(ledger: Ledger) -> Run:
    run = begun(ledger)
    ledger.give_back(run.id, run.token, "the worker was stopped")
    return run


def worker(ledger: Ledger) -> Run:
    run = waiting(ledger, "no-worker")
    announced(ledger)
    return run


def resumed(ledger: Ledger) -> Run:
    announced(ledger)
    ledger.pause("anna", "")
    run = waiting(ledger, "paused")
    ledger.resume("anna")
    return run


def bench(ledger: Ledger) -> Run:
    announced(ledger)
    ledger.report_bench({"state": "away"})
    run = waiting(ledger, "bench-down")
    ledger.report_bench({"state": "up"})
    return run


def ended_by(end: Callable[[Ledger, Run], object]) -> Case:
    def case(ledger: Ledger) -> Run:
        first = begun(ledger)
        second = waiting(ledger, "no-worker")
        end(ledger, first)
        return second

    return case


CASES: dict[str, Case] = {
    "returned": returned,
    "worker": worker,
    "resumed": resumed,
    "bench": bench,
    "finished": ended_by(lambda ledger, run: ledger.finish(run.id, run.token, Answer("YES"))),
    "failed": ended_by(lambda ledger, run: ledger.fail(run.id, run.token, "no")),
    "cancelled": ended_by(lambda ledger, run: ledger.stopped(run.id, run.token)),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_run_starts_after(patient: Ledger, kind: str) -> None:
    """Each fails when its kind is missing in WAKES of compat_dispatcher/loop.py."""
    run = CASES[kind](patient)
    in_state(patient, run, State.PROMOTED)
    patient.cancel(run.id)


class OneTurn:
    """Stops the loop after one turn, and records whether the dispatcher considered itself the leader."""

    def __init__(self) -> None:
        self.dispatcher: Dispatcher | None = None
        self.ledger: list[int | None] = []

    def is_set(self) -> bool:
        assert self.dispatcher is not None
        self.ledger.append(self.dispatcher._leadership.epoch)
        return len(self.ledger) > 1

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
    assert stop.ledger == [None, None]
    assert stop.dispatcher._leadership.epoch is None
