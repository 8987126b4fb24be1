"""Between ledger and bench, so that web and CLI need no way to the bench's socket: what the bench says of itself goes one
way, a request to start it anew the other."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

from ledger.errors import ReachqError, StoreDamaged, StoreUnavailable, UnsuitableStore
from ledger.settings import Settings
from ledger.store import WorkerLedger
from netlab.service.client import BenchClient, BenchError
from workers.bench_tests import bench_address

LOOK_S = 0.5
LOOK_DOWN_S = 0.1
"""Runs wait for a bench that is down, so its return is noticed sooner."""
RESTART_S = 10.0
"""A bench that was asked to restart and is not there counts as restarting for this long, then as away."""
REPORT_S = 2.0
"""Written at once when something changed, otherwise so often, so that a reader can tell a dead reporter."""
VET_S = 5.0
"""How often the Redis server is examined: it may be replaced while we run."""
RESTLESS = frozenset({"attempts", "fence", "uptime_s"})
"""Fields that change all the time; they do not count as a change."""

log = logging.getLogger("reachq.workers")


def report(settings: Settings) -> None:
    """Report for ever. A bench that is down is reported as `{"state": "away", "error": …}`, or as `restarting`."""
    ledger = WorkerLedger.connect(settings)
    client = BenchClient(bench_address(settings), timeout_s=2.0)
    last: dict[str, Any] = {}
    written = restarting_until = 0.0
    vet_at = time.monotonic() + VET_S
    while True:
        if time.monotonic() >= vet_at:
            vet_at = time.monotonic() + VET_S
            with suppress(StoreUnavailable, StoreDamaged):
                vet(ledger)
        status = look(client)
        if status["state"] == "away" and time.monotonic() < restarting_until:
            status = {"state": "restarting", "error": ""}
        if _settled(status) != _settled(last) or time.monotonic() - written >= REPORT_S:
            try:
                ledger.report_bench(status)
                last, written = status, time.monotonic()
            except ReachqError as away:
                log.debug("bench status not written: %s", away)
        up = status["state"] == "up"
        if up and restart_if_asked(ledger, client):
            restarting_until = time.monotonic() + RESTART_S
            continue
        time.sleep(LOOK_S if up else LOOK_DOWN_S)


def vet(ledger: WorkerLedger) -> None:
    """Log what is wrong with the Redis server since the last look; the workers themselves do not look again."""
    try:
        ledger.vet(log.warning)
    except UnsuitableStore as unsuitable:
        log.error("%s", unsuitable)


def restart_if_asked(ledger: WorkerLedger, client: BenchClient) -> bool:
    """Tell the bench to end, when an operator has asked for that; what keeps it alive starts it again. Whether it was."""
    try:
        by = ledger.take_restart()
        if by is not None:
            log.warning("bench: ended to be started anew, as %s asked", by)
            client.quit()
        return by is not None
    except ReachqError as away:
        log.debug("nobody could ask for a restart: %s", away)
    except BenchError as gone:
        log.warning("bench: went before it was told to: %s", gone)
    return False


def look(client: BenchClient) -> dict[str, Any]:
    """The bench's status with `state` up or away."""
    try:
        return {"state": "up", **client.status()}
    except BenchError as error:
        return {"state": "away", "error": str(error)}


def _settled(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in RESTLESS}
