"""Reads snapshots: the list, one of them, its files, and which one is current."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ledger.errors import SnapshotConflict, SnapshotNotFound, StoreDamaged
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.snapshots.records import Snapshot, decode, is_facts

_PREFIX_MIN = 4
_AT_ONCE = 200
"""Number of files that are read in one round trip."""


@dataclass(frozen=True)
class StoredFacts:
    """The files of a snapshot: path -> content, and the paths of which only the name is kept."""

    contents: dict[str, bytes]
    others: tuple[str, ...]


class SnapshotReading(LedgerPart):
    """Reads the snapshots of one network."""

    def current_snapshot(self) -> str:
        """Return the facts hash of the current snapshot, or "" if there is none."""
        return str(self.connection.lenient(lambda pipe: pipe.get(self.keys.current)) or "")

    def snapshots(self, *, limit: int = 100) -> list[Snapshot]:
        """Return the snapshots of the network, newest first."""
        hashes = self.connection.lenient(lambda pipe: pipe.zrevrange(self.keys.snapshots, 0, limit - 1)) or []
        return self._decoded([str(facts) for facts in hashes])

    def snapshot(self, name: str) -> Snapshot:
        """Return a snapshot by its facts hash, by the start of it, or by the name `current`. Raises SnapshotNotFound.

        The start of a hash has at least _PREFIX_MIN digits. Raises SnapshotConflict if it fits several snapshots.
        """
        found = self._decoded([self._whole(name)])
        if not found:
            raise SnapshotNotFound(f"There is no snapshot {name[:20]}; `reachq facts list` shows them.")
        return found[0]

    def snapshot_files(self, facts: str) -> StoredFacts:
        """Return the files of a snapshot. Raises SnapshotNotFound, or StoreDamaged if a file is missing or damaged."""
        paths: dict[str, str] = self.connection.lenient(lambda pipe: pipe.hgetall(self.keys.contents_prefix + facts))
        if not paths:
            raise SnapshotNotFound(f"There is no snapshot {facts}; `reachq facts list` shows them.")
        stored = [(path, hashed) for path, hashed in sorted(paths.items()) if hashed]
        contents = {}
        for start in range(0, len(stored), _AT_ONCE):
            part = stored[start : start + _AT_ONCE]
            with self.connection.reading(raw=True) as pipe:
                for _, hashed in part:
                    pipe.get(keys.FILE + hashed)
                packed = answers(pipe)
            for (path, hashed), data in zip(part, packed, strict=True):
                contents[path] = _unpacked(path, hashed, data)
        return StoredFacts(contents, tuple(sorted(path for path, hashed in paths.items() if not hashed)))

    def _whole(self, name: str) -> str:
        """Return the facts hash that a name means."""
        if name == "current":
            return self.current_snapshot()
        if is_facts(name):
            return name
        known = self.connection.lenient(lambda pipe: pipe.zrange(self.keys.snapshots, 0, -1)) or []
        fitting = [facts for facts in known if facts.startswith(name)] if len(name) >= _PREFIX_MIN else []
        if len(fitting) > 1:
            raise SnapshotConflict(f"{name} is the start of several snapshots: {', '.join(sorted(fitting)[:5])}.")
        return fitting[0] if fitting else ""

    def _decoded(self, hashes: list[str]) -> list[Snapshot]:
        with self.connection.reading() as pipe:
            pipe.get(self.keys.current)
            for facts in hashes:
                pipe.hgetall(self.keys.snapshot_prefix + facts)
            current, *records = answers(pipe)
        pairs = zip(hashes, records, strict=True)
        found = (decode(facts, record or {}, current=current or "") for facts, record in pairs)
        return [snapshot for snapshot in found if snapshot]


def _unpacked(path: str, hashed: str, data: bytes | None) -> bytes:
    """Return the content of a file. Raises StoreDamaged."""
    if data is None:
        raise StoreDamaged(f"A file of the snapshot is missing in Redis: {path} ({keys.FILE}{hashed}); push it again.")
    try:
        return zlib.decompress(data)
    except zlib.error as bad:
        raise StoreDamaged(f"A file of the snapshot is damaged in Redis: {path} ({keys.FILE}{hashed}): {bad}") from None
