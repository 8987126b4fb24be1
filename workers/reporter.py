"""Between ledger and bench, so that web and CLI need no way to the bench's socket: what the bench says of itself goes one
way, a request to start it anew the other."""

from __future__ import annotations

import logging
import time
from typing import Any

from ledger.errors import StoreUnavailable
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.client import BenchClient, BenchError
from workers.bench_tests import bench_address

LOOK_S = 0.5
REPORT_S = 2.0
"""Written at once when something changed, otherwise so often, so that a reader can tell a dead reporter."""
RESTLESS = frozenset({"attempts", "uptime_s"})
"""Fields that change all the time; they do not count as a change."""

log = logging.getLogger("reachq.workers")


def report(settings: Settings) -> None:
    """Report for ever. A bench that is away is reported as such: `{"state": "away", "error": …}`."""
    led = Ledger.connect(settings)
    client = BenchClient(bench_address(settings), timeout_s=2.0)
    last: dict[str, Any] = {}
    written = 0.0
    while True:
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
