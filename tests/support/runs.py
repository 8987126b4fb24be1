"""Helpers that bring a run into a given state."""

from __future__ import annotations

import redis

from ledger.runs.bulk import BulkRequest, numbered
from ledger.runs.records import Choice, Promotion
from ledger.runs.requests import RunRequest
from ledger.runs.run import Mode, Run
from ledger.store import Ledger

QUICK, DETAILED = Mode.QUICK, Mode.DETAILED


def a_request(mode: Mode = QUICK, services: str = "443/tcp,53/udp", **more: object) -> RunRequest:
    """A typical request; `more` replaces fields of RunRequest.parse."""
    given = {"source": "10.1.10.20", "destination": "10.3.20.8", "services": services, "mode": mode, **more}
    return RunRequest.parse(**given)


def submit_any(
    ledger: Ledger,
    mode: Mode = QUICK,
    user: str = "api",
    *,
    services: str = "443/tcp,53/udp",
    run_id: str = "",
    created: bool = True,
) -> Run:
    """Submit a typical run of any mode; a bulk run has two questions."""
    if mode is not Mode.BULK:
        run, new = ledger.submit(a_request(mode, services), user=user, run_id=run_id)
    else:
        questions = numbered([a_request(services=services), a_request(services="80/tcp")])
        run, new = ledger.submit_bulk(BulkRequest(tuple(questions)), user=user, run_id=run_id)
    assert new is created
    return run


def submitted(ledger: Ledger, mode: Mode = QUICK) -> Run:
    """A pending run."""
    return submit_any(ledger, mode)


def queue_of(mode: Mode, number: int = 0) -> str:
    """Name of a worker's queue."""
    return f"main-{mode}-{number}"


def worker_of(queue: str) -> str:
    """Name of the worker of a queue."""
    return f"worker of {queue}"


def announced(ledger: Ledger, mode: Mode = QUICK, count: int = 1) -> list[str]:
    """Announce this many live workers; returns their queues."""
    queues = [queue_of(mode, number) for number in range(count)]
    for queue in queues:
        ledger.announce(worker_of(queue), queue, mode, 1)
    return queues


def leading(ledger: Ledger, dispatcher: str = "d1") -> int:
    """The epoch of a dispatcher that leads."""
    epoch = ledger.lead(dispatcher)
    assert epoch is not None, "another dispatcher leads"
    return epoch


def promoted(ledger: Ledger, mode: Mode = QUICK, number: int = 0) -> Run:
    """A run promoted to the (announced) worker of queue `number`."""
    run = submitted(ledger, mode)
    queue = queue_of(mode, number)
    ledger.announce(worker_of(queue), queue, mode, 1)
    (outcome,) = ledger.promote(leading(ledger), [Choice(run.id, mode, queue)])
    assert outcome.status is Promotion.PROMOTED, outcome
    return ledger.run(run.id)


def running(ledger: Ledger, mode: Mode = QUICK, number: int = 0) -> Run:
    """A run its worker has begun."""
    run = promoted(ledger, mode, number)
    begun = ledger.begin(run.id, worker_of(queue_of(mode, number)))
    assert begun is not None
    return begun


def overdue(client: redis.Redis, run_id: str, bench: str = "main") -> None:
    """Move the deadline of a run's lease into the past."""
    assert client.zadd(f"reachq:{bench}:leases", {run_id: 1}, xx=True, ch=True), f"run {run_id} has no lease"


def kinds(ledger: Ledger, after: str = "0-0") -> list[str]:
    """Kinds of all events after an id."""
    return [str(event.kind) for event in ledger.events(after, count=10_000)]


def all_up(ledger: Ledger) -> None:
    """Refresh the heartbeats of a dispatcher, workers of both modes and the bench."""
    ledger.lead("ops1-1-aa")
    for mode in Mode:
        ledger.announce(f"main-{mode}-1.1", f"main-{mode}-1", mode, 1)
    ledger.report_bench({"state": "up"})


def idle_queues(ledger: Ledger, mode: Mode) -> list[str]:
    """The queues of the workers of a mode that may get a run, as a dispatcher sees them."""
    return [worker.queue for worker in ledger.view().idle[mode]]
