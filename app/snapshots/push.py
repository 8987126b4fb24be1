"""Reads the facts of a network, stores them as a snapshot, and waits for the check."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import SnapshotNotFound, SnapshotNotReady, StoreDamaged
from ledger.snapshots.records import NewSnapshot, Snapshot, SnapshotState
from ledger.store import AppLedger
from netlab.errors import FactsError, Problem
from netlab.facts import reader
from netlab.facts.changes.compare import changes
from netlab.facts.changes.document import FactsChanges
from netlab.facts.sources.archive import read_archive
from netlab.facts.sources.files import NetworkFiles, Unreadable
from netlab.facts.sources.folder import NetworkFolder

SUMMARY_MAX = 500
"""Maximum length of the stored summary of changes, in characters."""
POLL_S = 0.05
CHECK_S = 120.0
"""How long to wait for the check of a snapshot. A host needs some seconds for a thousand routers."""


@dataclass(frozen=True)
class Pushed:
    """A stored snapshot. `new` is False if it was stored before."""

    facts: str
    new: bool


def push_path(ledger: AppLedger, path: Path, *, by: str, note: str = "") -> Pushed:
    """Push the network in a folder or a tar archive. Raises FactsError with every error found, and ledger.errors."""
    if path.is_dir():
        try:
            with contextlib.closing(NetworkFolder(path)) as folder:
                return push_source(ledger, folder, origin=path.resolve().name, shown=str(path), by=by, note=note)
        except Unreadable as bad:
            raise FactsError([Problem(str(path), 0, str(bad))]) from None
    try:
        with path.open("rb") as stream:
            source = read_archive(stream)
    except OSError as bad:
        raise FactsError([Problem(str(path), 0, f"cannot be read: {bad.strerror}")]) from None
    except Unreadable as bad:
        raise FactsError([Problem(str(path), 0, str(bad))]) from None
    return push_source(ledger, source, origin=archive_name(path.name), shown=str(path), by=by, note=note)


def archive_name(file: str) -> str:
    """Return the name of an archive's file without its ending."""
    return file.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")


def push_source(ledger: AppLedger, source: NetworkFiles, *, origin: str, shown: str, by: str, note: str = "") -> Pushed:
    """Push a network. `origin` is the name to show for it, and `shown` the source in errors.

    Raises FactsError with every error found: nothing was stored. Raises the errors of `AppLedger.push_snapshot`.
    """
    taken = reader.capture(source, origin, shown=shown)
    facts = taken.facts.digest
    previous = ledger.current_snapshot()
    compared = previous if previous and previous != facts else ""
    _, new = ledger.push_snapshot(
        NewSnapshot(
            facts=facts,
            files=taken.files,
            others=taken.others,
            routers=len(taken.facts.routers),
            origin=origin,
            note=note,
            previous=compared,
            changes=_summary(ledger, compared, taken.contents) if compared else "",
            warnings=tuple(map(str, taken.facts.warnings)),
        ),
        by=by,
    )
    ledger.retain_snapshots()
    return Pushed(facts, new)


def changes_between(ledger: AppLedger, before: str, after: str) -> FactsChanges:
    """Return what changed from one snapshot to another. Raises SnapshotNotFound or StoreDamaged."""
    return changes(ledger.snapshot_files(before).contents, ledger.snapshot_files(after).contents)


def _summary(ledger: AppLedger, before: str, after: Mapping[str, bytes]) -> str:
    """Return the changes since a snapshot in one line, or "" if its files are lost: that must not prevent a push."""
    try:
        return changes(ledger.snapshot_files(before).contents, after).summary[:SUMMARY_MAX]
    except (SnapshotNotFound, StoreDamaged):
        return ""


def await_check(ledger: AppLedger, facts: str, *, timeout_s: float) -> Snapshot:
    """Return a snapshot when a host has tried to build a bench from it, or as it is after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while (snapshot := ledger.snapshot(facts)).state is SnapshotState.CHECKING and time.monotonic() < until:
        time.sleep(POLL_S)
    return snapshot


def wait_for_check(ledger: AppLedger, facts: str) -> Snapshot:
    """Wait until a host has tried to build a bench from a snapshot. Raises SnapshotNotReady after CHECK_S."""
    snapshot = await_check(ledger, facts, timeout_s=CHECK_S)
    if snapshot.state is SnapshotState.CHECKING:
        raise SnapshotNotReady(
            f"No host has checked snapshot {facts} within {CHECK_S:g} s. A host needs a worker pool"
            " (python -m workers) and a bench service (python -m netlab --service)."
        )
    return snapshot


def problems_of(snapshot: Snapshot) -> FactsError:
    """Return the error for a refused snapshot."""
    return FactsError([Problem(*_split(sentence)) for sentence in snapshot.problems])


def _split(sentence: str) -> tuple[str, int, str]:
    """Split `file:line: message`."""
    place, _, message = sentence.partition(": ")
    file, _, line = place.rpartition(":")
    return (file, int(line), message) if line.isdigit() else (place, 0, message)
