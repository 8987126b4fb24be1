"""The keeper of a host: has benches built from the snapshots that a network needs, and gives runs the current one.

It reads from the ledger which snapshot is current, which are not checked yet and which bulk runs ask for. It writes their
files into folders, and asks the service of the machine's benches (`netlab.benches`) to open a bench for each. Workers
reach the current bench at one address, which is a link. When another snapshot becomes current, its bench is built first,
and then the link is replaced in one step: no run waits, and a run that is on the earlier bench ends there.

If the network of the settings has no snapshot at all, the keeper stores the folder in REACHQ_NETWORK as the first one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ledger.errors import ReachqError, SnapshotNotFound, StoreDamaged
from ledger.settings import Settings
from ledger.snapshots.records import FIRST_START, NewSnapshot, SnapshotState, is_facts
from ledger.store import WorkerLedger
from netlab.benches.client import BenchesClient, service_address
from netlab.errors import FactsError
from netlab.facts import reader
from netlab.facts.sample import network_folder
from netlab.facts.sources import stored
from netlab.facts.sources.files import Unreadable
from netlab.facts.sources.folder import NetworkFolder
from netlab.service.address import is_abstract
from netlab.service.client import BenchClient
from netlab.service.line import BenchError
from netlab.service.replies import OpenBench
from workers.bench_tests import bench_address
from workers.bulk import snapshot_address

LOOK_S = 0.1
"""Interval between two looks at what is needed."""
IDLE_S = 60.0
"""How long a bench that is not needed and has no attempt stays open. A snapshot that was just checked often becomes
current next."""
IDLE_MAX = 2
"""Maximum number of benches that stay open although they are not needed: the earlier one, and one just checked."""
RETRY_S = 2.0
"""Pause before a bench that could not be opened is opened again."""
SENTENCES_MAX, SENTENCE_MAX = 100, 1000
"""Maximum number of problems or warnings that a snapshot's record keeps, and of characters of each."""
TOGETHER = 2
"""Number of benches that are opened at the same time."""
log = logging.getLogger("reachq.workers")


def keep(settings: Settings) -> None:
    """Keep the benches of this host until the process ends."""
    if is_abstract(bench_address(settings)):
        log.info("keeper: snapshots are not used here, because REACHQ_BENCH_SOCKET is not a path")
        while True:
            time.sleep(3600)
    with WorkerLedger.connect(settings) as ledger:
        keeper, last = Keeper(ledger, settings), ""
        while True:
            try:
                keeper.step()
                last = ""
            except (ReachqError, BenchError, OSError) as trouble:
                if str(trouble) != last:
                    log.warning("keeper: %s", trouble)
                last = str(trouble)
            time.sleep(LOOK_S)


class Keeper:
    """The benches of one network on this host."""

    def __init__(self, ledger: WorkerLedger, settings: Settings) -> None:
        self._ledger = ledger
        self._network = settings.bench
        self._link = Path(bench_address(settings))
        self._service = BenchesClient(service_address(str(self._link)), timeout_s=10.0)
        self._folder = self._link.parent / "facts" / settings.bench
        self._threads = ThreadPoolExecutor(TOGETHER, thread_name_prefix="open")
        self._opening: dict[str, Future[OpenBench]] = {}
        self._retry_at: dict[str, float] = {}
        self._needed_at: dict[str, float] = {}
        self._tidied = False
        self._source = network_folder(settings.network) if settings.bench == settings.own_network else None
        self._store_at, self._bad_source = 0.0, ""

    def step(self) -> None:
        """Compare what is needed with what is open, and act on the difference. Raises ReachqError or BenchError."""
        needed = self._ledger.wanted_snapshots()
        current, unchecked = needed.current, needed.unchecked
        wanted = list(dict.fromkeys(filter(None, (current, *unchecked, *needed.asked))))
        try:
            benches = {self._facts(bench): bench for bench in self._service.benches() if self._is_ours(bench)}
        except BenchError:
            if wanted:
                raise
            return  # without a service, one bench serves the folder that it was started with
        for facts in wanted:
            self._needed_at[facts] = time.monotonic()
            self._see_to(facts, benches.get(facts), unchecked=facts in unchecked)
        if not wanted and self._source and time.monotonic() >= self._store_at:
            self._store_at = time.monotonic() + RETRY_S
            self._store_first()
        if current and (bench := benches.get(current)) and bench.state == "ready":
            self._use(bench)
        self._close_idle(benches, wanted)
        if not self._tidied:
            self._tidied = True
            self._tidy({*benches, *wanted})

    def _see_to(self, facts: str, bench: OpenBench | None, *, unchecked: bool) -> None:
        """Open a bench that is needed, or take the result of opening it."""
        opening = self._opening.get(facts)
        if opening is None:
            needed = bench is None or bench.state in ("failed", "refused") or unchecked
            if needed and time.monotonic() >= self._retry_at.get(facts, 0.0):
                self._opening[facts] = self._threads.submit(self._open, facts)
            return
        if not opening.done():
            return
        del self._opening[facts]
        try:
            opened = opening.result()
        except BenchError as error:
            self._retry_at[facts] = time.monotonic() + RETRY_S
            if error.code != "refused":
                raise
            self._settle(facts, SnapshotState.REFUSED, problems=error.problems or (str(error),))
        except (SnapshotNotFound, StoreDamaged, Unreadable) as error:
            self._retry_at[facts] = time.monotonic() + RETRY_S
            self._settle(facts, SnapshotState.REFUSED, problems=(str(error),))
        except Exception:
            self._retry_at[facts] = time.monotonic() + RETRY_S
            raise
        else:
            if unchecked:
                warnings: tuple[str, ...] = ()
                with contextlib.suppress(BenchError):
                    warnings = BenchClient(opened.address, timeout_s=30.0).warnings()
                self._settle(facts, SnapshotState.READY, warnings=warnings)

    def _settle(
        self, facts: str, outcome: SnapshotState, *, problems: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
    ) -> None:
        host = socket.gethostname()
        if self._ledger.settle_check(facts, outcome, host=host, problems=_some(problems), warnings=_some(warnings)):
            log.info("snapshot %s of %s is checked: %s", facts, self._network, outcome)
            for problem in problems:
                log.warning("snapshot %s: %s", facts, problem)

    def _store_first(self) -> None:
        """Store the facts folder of the settings, if the network has no snapshot. It becomes current when it is ready."""
        if self._source is None or self._ledger.snapshots(limit=1):
            return
        try:
            with contextlib.closing(NetworkFolder(self._source)) as folder:
                taken = reader.capture(folder, self._source.resolve().name, shown=str(self._source))
        except (FactsError, Unreadable) as bad:
            if str(bad) != self._bad_source:
                log.error("the facts in %s cannot be used: %s", self._source, bad)
            self._bad_source = str(bad)
            return
        facts = taken.facts
        new = NewSnapshot(facts.digest, taken.files, taken.others, len(facts.routers), facts.name)
        self._ledger.push_snapshot(new, by=FIRST_START)

    def _open(self, facts: str) -> OpenBench:
        """Write the files of a snapshot, and open a bench for them. Runs in a thread of its own."""
        folder = self._folder / facts
        snapshot = self._ledger.snapshot(facts)
        if not folder.is_dir():
            files = self._ledger.snapshot_files(facts)
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            stored.write(folder, files.contents, files.others)
        name = f"{self._network}-{facts}"
        network = snapshot.origin or self._network
        opened = self._service.open(name, folder, network=network, address=str(self._address(facts)))
        found = BenchClient(opened.address, timeout_s=10.0).status().facts
        if found != facts:
            self._service.close(name)
            self._remove_files(facts)
            why = f"the stored files are those of another network: their facts hash is {found}; push the network again"
            raise BenchError("refused", why)
        return opened

    def _use(self, bench: OpenBench) -> None:
        """Have the workers' address lead to this bench, in one step."""
        if self._is_linked(bench):
            return
        target = Path(bench.address).name
        draft = self._link.with_name(f"{self._link.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        draft.replace(self._link)
        log.info("runs of %s are tested on %s now", self._network, bench.name)

    def _is_linked(self, bench: OpenBench) -> bool:
        """Whether the workers' address leads to this bench. It is kept until the current one has taken its place."""
        try:
            return os.readlink(self._link) == Path(bench.address).name
        except OSError:
            return False

    def _close_idle(self, benches: Mapping[str, OpenBench], wanted: list[str]) -> None:
        """Close the benches that have not been needed for a while and that no run uses, and remove their files."""
        now = time.monotonic()
        idle = [facts for facts, bench in benches.items() if facts not in wanted and not self._is_linked(bench)]
        idle.sort(key=lambda facts: self._needed_at.setdefault(facts, now), reverse=True)
        for place, facts in enumerate(idle):
            bench = benches[facts]
            if place < IDLE_MAX and now - self._needed_at[facts] < IDLE_S:
                continue
            if bench.state == "ready" and self._has_attempts(bench):
                continue
            self._service.close(bench.name)
            del self._needed_at[facts]
            self._remove_files(facts)
        for facts in [facts for facts in self._needed_at if facts not in benches and facts not in wanted]:
            del self._needed_at[facts]
            self._opening.pop(facts, None)

    def _has_attempts(self, bench: OpenBench) -> bool:
        try:
            return bool(BenchClient(bench.address, timeout_s=2.0).status().attempts)
        except BenchError:
            return False

    def _tidy(self, needed: set[str]) -> None:
        """Remove the files of benches that ended while no keeper was there."""
        left = {path.name for path in self._folder.glob("*")}
        left |= {path.stem.rpartition("-")[2] for path in self._link.parent.glob(f"{self._link.stem}-*.sock")}
        for facts in filter(is_facts, left - needed):
            self._remove_files(facts)

    def _remove_files(self, facts: str) -> None:
        """Remove the files of a bench that is closed."""
        shutil.rmtree(self._folder / facts, ignore_errors=True)
        for path in (self._address(facts), self._address(facts).with_suffix(".sock.lock")):
            path.unlink(missing_ok=True)

    def _address(self, facts: str) -> Path:
        return Path(snapshot_address(str(self._link), facts))

    def _facts(self, bench: OpenBench) -> str:
        return bench.name.rpartition("-")[2]

    def _is_ours(self, bench: OpenBench) -> bool:
        return bench.name.rpartition("-")[0] == self._network


def _some(sentences: tuple[str, ...]) -> list[str]:
    """Return what the record keeps of a list of sentences: the first SENTENCES_MAX, each cut to SENTENCE_MAX characters."""
    kept = [sentence[:SENTENCE_MAX] for sentence in sentences[:SENTENCES_MAX]]
    more = len(sentences) - len(kept)
    return [*kept, f"and {more} more"] if more else kept
