"""What RQ's tools show of a worker: it is busy while it tests a run that takes long, and idle afterwards."""

from __future__ import annotations

import redis
from rq.worker import WorkerStatus

from ledger.runs.run import State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.runs import QUICK, a_request, queue_of
from tests.support.waiting import wait_until


def test_a_worker_is_busy_during_a_long_run_and_idle_afterwards(
    settings: Settings, client: redis.Redis, ledger: Ledger
) -> None:
    """Fails when the worker does not write its state after a run that the heartbeat has shown as busy."""

    def is_shown_as(state: WorkerStatus) -> bool:
        return client.hget(f"rq:worker:{queue_of(QUICK, 1)}", "state") == state.value

    with Parts(settings) as parts:
        parts.dispatcher()
        parts.pool(1, hold_ms=0)
        for services in ("443", "2", "443"):
            run, _ = ledger.submit(a_request(services=services))
            if services == "2":
                wait_until(lambda: is_shown_as(WorkerStatus.BUSY), 10, "the worker is shown as busy")
                ledger.cancel(run.id)
                parts.in_state(run, State.CANCELLED)
            else:
                parts.in_state(run, State.DONE)
            wait_until(lambda: is_shown_as(WorkerStatus.IDLE), 10, "the worker is shown as idle")
