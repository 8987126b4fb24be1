"""The network as the pages show it: the facts of the current snapshot, read again when another one becomes current."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ledger.errors import SnapshotNotFound, StoreDamaged
from ledger.settings import Settings
from ledger.store import AppLedger
from netlab.errors import NetlabError
from netlab.facts import reader
from netlab.facts.sample import network_folder
from netlab.facts.sources.stored import StoredFiles
from netlab.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class NetworkFactsView:
    """The facts as this process has them. If they cannot be read here, `topology` is None and `error` says why."""

    name: str
    topology: Topology | None
    digest: str
    error: str
    facts_ms: int = 0
    """When the snapshot was pushed, or when the newest file of the folder was written, in ms."""

    @property
    def warnings(self) -> list[str]:
        """Warnings about what is probably missing from the facts."""
        return [str(w) for router in self.topology.routers.values() for w in router.warnings] if self.topology else []


class CurrentNetwork:
    """Gives the current facts. Thread-safe. The network of the settings has those of a folder until it has a snapshot."""

    def __init__(self, ledger: AppLedger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._reading = threading.Lock()
        self._facts: str | None = None
        self._view = NetworkFactsView("", None, "", "")

    def view(self) -> NetworkFactsView:
        """Return the facts of the current snapshot. One caller reads them; until then, others get the earlier ones.

        If facts cannot be read, the pages work, but show no locations and pictures. Raises StoreUnavailable.
        """
        facts = self._ledger.current_snapshot()
        if facts != self._facts and self._reading.acquire(blocking=self._facts is None):
            try:
                if facts != self._facts:
                    view = self._read(facts) if facts else self._without_snapshot()
                    if view.error:
                        return view  # it may be repaired: read it again at the next request
                    self._facts, self._view = facts, view
            finally:
                self._reading.release()
        return self._view

    def _without_snapshot(self) -> NetworkFactsView:
        name = self._settings.bench
        if name == self._settings.own_network:
            return read_network(self._settings)
        why = f"network {name} has no snapshot; push one: `reachq facts push FOLDER --use --network {name}`"
        return NetworkFactsView(name, None, "", why)

    def _read(self, facts: str) -> NetworkFactsView:
        try:
            snapshot = self._ledger.snapshot(facts)
            files = self._ledger.snapshot_files(facts)
            found = reader.read(StoredFiles(files.contents, files.others), snapshot.origin, shown=facts)
            return NetworkFactsView(snapshot.origin, Topology(found), facts, "", snapshot.pushed_ms)
        except (NetlabError, SnapshotNotFound, StoreDamaged) as error:
            return NetworkFactsView(facts, None, facts, str(error))


def read_network(settings: Settings) -> NetworkFactsView:
    """Read the facts folder of the settings once."""
    folder = network_folder(settings.network)
    try:
        facts = reader.load(folder)
        newest = max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file())
        return NetworkFactsView(facts.name, Topology(facts), facts.digest, "", int(newest * 1000))
    except (NetlabError, OSError) as error:
        return NetworkFactsView(folder.name, None, "", str(error))
