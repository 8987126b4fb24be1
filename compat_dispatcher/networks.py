"""Dispatches for every network of the installation, each in a thread of its own.

A thread has its own connection and competes for its own leadership, so damage or a flood in one network does not delay
the others. A network that is added or removed is noticed within LOOK_S.
"""

from __future__ import annotations

import logging
import threading

from compat_dispatcher.loop import Dispatcher, Stop
from ledger.errors import ReachqError, UnsuitableStore
from ledger.settings import Settings
from ledger.store import DispatcherLedger

LOOK_S = 1.0
"""Interval between two looks at the list of networks."""
END_S = 5.0
"""How long a thread may take to end, in s."""
log = logging.getLogger("reachq.dispatcher")


class Dispatchers:
    """The dispatchers of one process: one for each network, all with the same name."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._threads: dict[str, DispatcherThread] = {}
        self._said = ""

    def run(self, stop: Stop) -> None:
        """Dispatch until `stop` is set, then resign everywhere. Raises UnsuitableStore.

        Raises RuntimeError if a thread ended with a traceback, so that the process is started again.
        """
        with DispatcherLedger.connect(self._settings) as ledger:
            try:
                while not stop.is_set():
                    self._match(self._names(ledger))
                    stop.wait(LOOK_S)
            finally:
                self._match([])

    def _names(self, ledger: DispatcherLedger) -> list[str]:
        """Return the names of the networks: the known ones while Redis cannot be asked."""
        try:
            names = ledger.network_names()
            self._said = ""
        except ReachqError as error:
            if str(error) != self._said:
                log.log(logging.WARNING if self._threads else logging.DEBUG, "the list of networks: %s", error)
            self._said = str(error)
            return list(self._threads) or [self._settings.own_network]
        return names

    def _match(self, names: list[str]) -> None:
        """Have one thread for each of these networks. Raises UnsuitableStore or RuntimeError if one has ended."""
        gone = [self._threads.pop(name) for name in list(self._threads) if name not in names]
        for thread in gone:
            thread.stop.set()
        for thread in gone:
            thread.join(END_S)
        for name in names:
            if name not in self._threads:
                self._threads[name] = DispatcherThread(self._settings.for_network(name), self._name)
                self._threads[name].start()
        for thread in self._threads.values():
            if not thread.is_alive():
                raise thread.unsuitable or RuntimeError(f"the {thread.name} ended: its traceback is above")


class DispatcherThread(threading.Thread):
    """Dispatches for one network until `stop` is set. `unsuitable` is set if the Redis server ended it before that."""

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(name=f"dispatcher of network {settings.bench}", daemon=True)
        self.stop = threading.Event()
        self.unsuitable: UnsuitableStore | None = None
        self._settings = settings
        self._dispatcher = name

    def run(self) -> None:
        """Dispatch with a connection of its own."""
        try:
            with DispatcherLedger.connect(self._settings) as ledger:
                Dispatcher(ledger, self._settings, self._dispatcher).run(self.stop)
        except UnsuitableStore as error:
            self.unsuitable = error
