"""Between ledger and bench, so that web and CLI need no way to the bench's socket: what the bench says of itself goes one
way, a request to start it anew the other."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

from ledger.errors import StoreUnavailable, UnsuitableStore
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.client import BenchClient, BenchError
from workers.bench_tests import bench_address

LOOK_S = 0.5
REPORT_S = 2.0
"""Written at once when something changed, otherwise so often, so that a reader can tell a dead reporter."""
VET_S = 5.0
"""How often the Redis server is examined: it may be replaced while we run."""
RESTLESS = frozenset({"attempts", "uptime_s"})
"""Fields that change all the time; they do not count as a change."""

log = logging.getLogger("reachq.workers")


def report(settings: Settings) -> None:
    """Report for ever. A bench that is away is reported as such: `{"state": "away", "error": …}`."""
    led = Ledger.connect(settings)
    client = BenchClient(bench_address(settings), timeout_s=2.0)
    last: dict[str, Any] = {}
    written, vet_at = 0.0, time.monotonic() + VET_S
    while True:
        if time.monotonic() >= vet_at:
            vet_at = time.monotonic() + VET_S
            with suppress(StoreUnavailable):
                vet(led)
        status = look(client)
        if _settled(status) != _settled(last) or time.monotonic() - written >= REPORT_S:
            try:
                led.report_bench(status)
                last, written = status, time.monotonic()
            except StoreUnavailable as away:
                log.debug("bench status not written: %s", away)
        if status["state"] == "up":
            restart_if_asked(led, client)
        time.sleep(LOOK_S)


def vet(led: Ledger) -> None:
    """Log what is wrong with the Redis server since the last look; the workers themselves do not look again."""
    try:
        led.vet(log.warning)
    except UnsuitableStore as unsuitable:
        log.error("%s", unsuitable)


def restart_if_asked(led: Ledger, client: BenchClient) -> None:
    """Tell the bench to end, when somebody has asked for that; what keeps it alive starts it anew."""
    try:
        by = led.take_restart()
        if by is not None:
            log.warning("bench: ended to be started anew, as %s asked", by)
            client.quit()
    except StoreUnavailable as away:
        log.debug("nobody could ask for a restart: %s", away)
    except BenchError as gone:
        log.warning("bench: went before it was told to: %s", gone)


def look(client: BenchClient) -> dict[str, Any]:
    """The bench's status with `state` up or away."""
    try:
        return {"state": "up", **client.status()}
    except BenchError as error:
        return {"state": "away", "error": str(error)}


def _settled(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in RESTLESS}
