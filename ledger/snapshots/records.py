"""Snapshots as the ledger stores and returns them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.errors import BadInput
from ledger.runs.soundness import number

FACTS = re.compile(r"[0-9a-f]{12}")
FIRST_START = "first start"
"""Who pushed the first snapshot of a network, which becomes current when it is ready (settle_check.lua)."""
NOTE_MAX = 200
"""Maximum length of a note about a snapshot or a pin, in characters."""


class SnapshotState(StrEnum):
    """Whether a bench can be built from a snapshot: not known yet, yes, or no."""

    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"


@dataclass(frozen=True)
class NewSnapshot:
    """A snapshot to store.

    `files`: path -> (hash of the meaning, content). `others`: paths of which only the name is kept.
    """

    facts: str
    files: Mapping[str, tuple[str, bytes]]
    others: tuple[str, ...]
    routers: int
    origin: str
    """From what it was read: the name of a folder or an archive."""
    note: str = ""
    previous: str = ""
    """The snapshot with which it was compared, or ""."""
    changes: str = ""
    """How it differs from `previous`, in one line."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A stored snapshot. Times are in ms on Redis's clock; 0 means never."""

    facts: str
    state: SnapshotState
    by: str
    pushed_ms: int
    routers: int = 0
    bytes: int = 0
    """Size of all files before compression."""
    origin: str = ""
    note: str = ""
    previous: str = ""
    changes: str = ""
    checked_ms: int = 0
    host: str = ""
    """The host that checked it."""
    problems: tuple[str, ...] = ()
    """Why it was refused: one sentence each, with file and line."""
    warnings: tuple[str, ...] = ()
    used_ms: int = 0
    used_by: str = ""
    pinned_by: str = ""
    pinned_why: str = ""
    current: bool = False

    @property
    def pinned(self) -> bool:
        """Whether it is kept until its pin is removed."""
        return bool(self.pinned_by)


def is_facts(text: str) -> bool:
    """Return whether this is a whole facts hash."""
    return bool(FACTS.fullmatch(text))


def note(field: str, text: str) -> str:
    """Return a note with single spaces. Raises BadInput if it is too long or not printable."""
    plain = " ".join(text.split())
    if len(plain) > NOTE_MAX or not plain.isprintable():
        raise BadInput(field, text, f"must be at most {NOTE_MAX} printable characters")
    return plain


def decode(facts: str, record: Mapping[str, str], *, current: str) -> Snapshot | None:
    """Return the snapshot of a record, or None if it is missing or its state is unknown."""
    if record.get("state") not in set(SnapshotState):
        return None
    return Snapshot(
        facts=facts,
        state=SnapshotState(record["state"]),
        by=record.get("by", ""),
        pushed_ms=number(record.get("pushed_ms")),
        routers=number(record.get("routers")),
        bytes=number(record.get("bytes")),
        origin=record.get("origin", ""),
        note=record.get("note", ""),
        previous=record.get("previous", ""),
        changes=record.get("changes", ""),
        checked_ms=number(record.get("checked_ms")),
        host=record.get("host", ""),
        problems=_sentences(record.get("problems")),
        warnings=_sentences(record.get("warnings")),
        used_ms=number(record.get("used_ms")),
        used_by=record.get("used_by", ""),
        pinned_by=record.get("pinned_by", ""),
        pinned_why=record.get("pinned_why", ""),
        current=facts == current,
    )


def _sentences(text: str | None) -> tuple[str, ...]:
    try:
        listed = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(map(str, listed)) if isinstance(listed, list) else ()
