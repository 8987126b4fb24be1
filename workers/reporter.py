"""The link between the ledger and the bench.

It stores the bench's status in the ledger, and forwards restart requests to the bench. So the web server and the
command line do not need access to the bench's socket.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import msgspec

from ledger.errors import ReachqError, StoreDamaged, StoreUnavailable, UnsuitableStore
from ledger.settings import Settings
from ledger.store import WorkerLedger
from netlab.service.client import BenchClient, BenchError
from netlab.service.status import BenchReport
from workers.bench_tests import bench_address

LOOK_S = 0.5
LOOK_DOWN_S = 0.1
"""Interval between two looks at a bench that is down. It is short because runs wait for the bench to return."""
RESTART_S = 10.0
"""How long a bench that was asked to restart and is down counts as restarting. After that it counts as away."""
REPORT_S = 2.0
"""Interval between reports without a change, so that readers can detect a dead reporter.

A change is written at once.
"""
VET_S = 5.0
"""Interval between two examinations of the Redis server, whose warnings are logged."""
NO_SNAPSHOT = "network {0} has no snapshot; push one: reachq facts push FOLDER --use --network {0}"
log = logging.getLogger("reachq.workers")


def report(settings: Settings) -> None:
    """Report until the process ends.

    A bench that is down is reported as `away` with its error, or as `restarting`.
    """
    ledger = WorkerLedger.connect(settings)
    client = BenchClient(bench_address(settings), timeout_s=2.0)
    last, complaint = BenchReport(), ""
    written = restarting_until = 0.0
    vet_at = time.monotonic() + VET_S
    while True:
        if time.monotonic() >= vet_at:
            vet_at = time.monotonic() + VET_S
            with suppress(StoreUnavailable, StoreDamaged, UnsuitableStore):  # an unsuitable server ends the whole pool
                ledger.vet(log.warning)
        seen = look(client)
        if seen.state == "away" and lacks_snapshot(ledger):
            seen = BenchReport(state="away", error=NO_SNAPSHOT.format(ledger.bench))
        if seen.state == "away" and time.monotonic() < restarting_until:
            seen = BenchReport(state="restarting")
        if _settled(seen) != _settled(last) or time.monotonic() - written >= REPORT_S:
            try:
                ledger.report_bench(seen.fields())
                last, written = seen, time.monotonic()
                complaint = ""
            except ReachqError as away:
                if str(away) != complaint:
                    log.warning("the status of the bench cannot be stored: %s", away)
                complaint = str(away)
        up = seen.state == "up"
        if up and restart_if_asked(ledger, client):
            restarting_until = time.monotonic() + RESTART_S
            continue
        time.sleep(LOOK_S if up else LOOK_DOWN_S)


def restart_if_asked(ledger: WorkerLedger, client: BenchClient) -> bool:
    """Ask the bench to end if an operator requested a restart. Its supervisor then starts it again.

    Returns whether the bench received a request.
    """
    try:
        by = ledger.take_restart()
        if by is not None:
            log.warning("bench: ended for the restart that %s requested", by)
            client.quit()
        return by is not None
    except ReachqError as away:
        log.debug("restart requests cannot be read: %s", away)
    except BenchError as gone:
        log.warning("bench: ended before the restart request reached it: %s", gone)
    return False


def lacks_snapshot(ledger: WorkerLedger) -> bool:
    """Return whether a network has no facts to build a bench from. That of the settings has those of a folder."""
    try:
        return ledger.bench != ledger.settings.own_network and not ledger.current_snapshot()
    except ReachqError:
        return False


def look(client: BenchClient) -> BenchReport:
    """Return the bench's report, with `state` up or away."""
    try:
        return BenchReport.of(client.status())
    except BenchError as error:
        return BenchReport(state="away", error=str(error))


def _settled(report: BenchReport) -> BenchReport:
    """Return the report without the fields that change all the time: a new value in them does not count as a change."""
    return msgspec.structs.replace(report, attempts=(), fence=0)
