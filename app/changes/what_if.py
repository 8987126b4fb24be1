"""A what-if: the current snapshot with one file replaced, stored as a snapshot of its own."""

from __future__ import annotations

from contextlib import suppress

from app.snapshots.push import push_source
from ledger.changes.records import KEPT
from ledger.errors import BadInput, SnapshotInUse, SnapshotNotFound
from ledger.store import AppLedger
from netlab.facts.sources.stored import StoredFiles

NOTE = "what-if: "
"""Beginning of the note of such a snapshot."""


def editable_files(ledger: AppLedger) -> dict[str, str]:
    """Return {path: text} of the files of the current snapshot that are text. Raises SnapshotNotFound or StoreDamaged."""
    texts = {}
    for path, content in ledger.snapshot_files(ledger.snapshot("current").facts).contents.items():
        with suppress(UnicodeDecodeError):
            texts[path] = content.decode()
    return texts


def push_what_if(ledger: AppLedger, path: str, text: str, *, by: str) -> str:
    """Store the current snapshot with another text in one file, and return its facts hash.

    Raises BadInput if there is no such file or if the change makes no difference, FactsError if the facts cannot be used,
    and the errors of snapshots.
    """
    current = ledger.snapshot("current")
    files = ledger.snapshot_files(current.facts)
    if path not in files.contents:
        raise BadInput("file", path, "is not a file of the current snapshot: choose one of the list")
    contents = {**files.contents, path: text.replace("\r\n", "\n").encode()}
    source = StoredFiles(contents, files.others)
    pushed = push_source(ledger, source, origin=current.origin, shown="what-if", by=by, note=f"{NOTE}{path}"[:200])
    if pushed.facts == current.facts:
        raise BadInput("text", path, "describes the same network as before: nothing that has a meaning was changed")
    return pushed.facts


def discard_what_if(ledger: AppLedger, facts: str, *, by: str) -> None:
    """Remove a snapshot if it is a what-if that no comparison names. One that is current or pinned is kept."""
    with suppress(SnapshotNotFound, SnapshotInUse):
        if ledger.snapshot(facts).note.startswith(NOTE) and not _is_compared(ledger, facts):
            ledger.remove_snapshot(facts, by=by)


def _is_compared(ledger: AppLedger, facts: str) -> bool:
    return any(facts in (one.before, one.after) for one in ledger.changes(limit=KEPT))
