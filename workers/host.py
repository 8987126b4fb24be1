"""The main function of a host's pool, and its children: workers, a reporter and a keeper for each network."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ledger.errors import ReachqError, StoreUnavailable, UnsuitableStore
from ledger.runs.run import Mode
from ledger.settings import Settings
from ledger.snapshots.records import is_facts
from ledger.store import WorkerLedger
from netlab.benches.client import BenchesClient, service_address
from netlab.service.address import is_abstract
from netlab.service.line import BenchError
from workers.bench_tests import BenchTest, bench_address
from workers.claim import RETRY_S
from workers.jobs import Test
from workers.keeper import keep
from workers.pool import Pool
from workers.reporter import report
from workers.serve import serve

BY = "workers"
"""Who adds the network of the settings, for the event."""
VET_S = 5.0
"""Interval between two examinations of the Redis server while the pool runs. It may be replaced, or processes of another
version may be started.
"""
log = logging.getLogger("reachq.workers")


def main(settings: Settings, test: Test | None = None) -> None:
    """Run the pool until SIGTERM or SIGINT. Raises UnsuitableStore if the Redis server is unsuitable.

    If it becomes unsuitable while the pool runs, the workers give their runs back and end first.

    `test` replaces the real test, for tests of the queue.
    """
    _wait_for_redis(settings)
    log.info(
        "%d quick, %d detailed and %d bulk workers for each network", settings.quick, settings.detailed, settings.bulk
    )
    Pool(NetworkRoles(settings, test)).run()


class NetworkRoles:
    """Called by the pool: returns {name of a child: its main function} for the networks that there are now.

    A network that was removed leaves no bench and no file on this host.
    """

    def __init__(self, settings: Settings, test: Test | None) -> None:
        """`test` replaces the real test, for tests of the queue."""
        self._settings = settings
        self._test = test
        self._names: list[str] = []
        self._said = ""
        self._vet_at = time.monotonic() + VET_S
        self._one_bench = is_abstract(bench_address(settings))

    def __call__(self) -> dict[str, Callable[[], None]]:
        """Return the wanted children. Raises UnsuitableStore if the Redis server has become unsuitable."""
        if time.monotonic() >= self._vet_at:
            self._vet()
            self._vet_at = time.monotonic() + VET_S
        names = self._read() or self._names or [self._settings.own_network]
        for name in set(self._names) - set(names):
            log.info("network %s was removed", name)
            self._close(name)
        self._names = names
        return {role: main for name in names for role, main in self._of(self._settings.for_network(name)).items()}

    def _vet(self) -> None:
        """Examine the Redis server for each network. Raises UnsuitableStore. The reporters log warnings."""
        try:
            with WorkerLedger.connect(self._settings) as ledger:
                for name in self._names:
                    of_network = WorkerLedger(ledger.connection, self._settings.for_network(name))
                    of_network.vet(lambda warning: None)
        except UnsuitableStore:
            raise
        except ReachqError as error:
            log.debug("Redis cannot be examined: %s", error)  # `_read` reports it

    def _read(self) -> list[str]:
        """Return the names of the networks, or an empty list if Redis cannot be asked."""
        try:
            with WorkerLedger.connect(self._settings) as ledger:
                if not self._names:
                    ledger.add_own_network(by=BY)
                names = ledger.network_names()
            self._said = ""
        except ReachqError as error:
            if str(error) != self._said:
                log.warning("the list of networks: %s", error)
            self._said = str(error)
            return []
        if self._one_bench and len(names) > 1 and not self._names:
            log.warning(
                "only network %s is tested here: a REACHQ_BENCH_SOCKET that is not a path has one bench",
                self._settings.own_network,
            )
        return [self._settings.own_network] if self._one_bench else names

    def _of(self, settings: Settings) -> dict[str, Callable[[], None]]:
        """Return the children of one network."""
        network = settings.bench
        chosen = self._test or BenchTest(settings)
        sizes = {Mode.QUICK: settings.quick, Mode.DETAILED: settings.detailed, Mode.BULK: settings.bulk}
        roles: dict[str, Callable[[], None]] = {
            f"{mode} {number} {network}": partial(serve, settings, mode, number, chosen)
            for mode, count in sizes.items()
            for number in range(1, count + 1)
        }
        if self._test is None:
            roles[f"reporter {network}"] = partial(report, settings)
            roles[f"keeper {network}"] = partial(keep, settings)
        return roles

    def _close(self, name: str) -> None:
        """Close the benches of a network that was removed, and remove its files."""
        link = Path(bench_address(self._settings.for_network(name)))
        service = BenchesClient(service_address(str(link)), timeout_s=10.0)
        with contextlib.suppress(BenchError):  # without the service, its benches have ended
            for bench in service.benches():
                if bench.name.rpartition("-")[0] == name:
                    service.close(bench.name)
        shutil.rmtree(link.parent / "facts" / name, ignore_errors=True)
        link.unlink(missing_ok=True)
        for path in link.parent.glob(f"{link.stem}-*"):
            if is_facts(path.name.removeprefix(f"{link.stem}-").partition(".")[0]):
                path.unlink(missing_ok=True)


def _wait_for_redis(settings: Settings) -> None:
    """Wait until Redis answers. Raises UnsuitableStore for an unsuitable server."""
    waiting = False
    while True:
        try:
            with WorkerLedger.connect(settings) as ledger:
                ledger.vet(log.warning)
                return
        except StoreUnavailable as down:
            if not waiting:
                log.warning("%s Waiting for it.", down)
            waiting = True
            time.sleep(RETRY_S)
