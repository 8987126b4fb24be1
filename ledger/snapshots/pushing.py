"""Stores snapshots, makes one current, pins and removes them. Each change is one script and adds an event."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping

from ledger.errors import BadInput, SnapshotConflict, SnapshotInUse, SnapshotNotFound, SnapshotNotReady, StoreFull
from ledger.redis import keys
from ledger.redis.connection import answers, translated
from ledger.redis.scripts import DROP, KEEP, PIN, UNPIN, USE
from ledger.snapshots.listing import SnapshotReading
from ledger.snapshots.records import NewSnapshot, SnapshotState, is_facts, note

UNUSED_MS = 3_600_000
"""How long a file that no snapshot has yet is kept, in ms: until the snapshot of its push is stored."""
_ATTEMPTS = 3
_AT_ONCE_BYTES = 8 << 20


class SnapshotPushing(SnapshotReading):
    """Changes the snapshots of one network."""

    def push_snapshot(self, new: NewSnapshot, *, by: str) -> tuple[SnapshotState, bool]:
        """Store a snapshot. Return its state, and whether it was stored now.

        One that is stored already keeps its state, except `refused`.

        A new one is `checking`: a host then tries to build a bench from it. Raises BadInput, StoreFull (nothing was
        stored), NetworkNotFound, or SnapshotConflict if another snapshot has this hash.
        """
        if not is_facts(new.facts):
            raise BadInput("facts", new.facts, "is not a facts hash of 12 hexadecimal digits")
        listed = {path: hashed for path, (hashed, _) in new.files.items()} | dict.fromkeys(new.others, "")
        fields = {
            "routers": new.routers,
            "bytes": sum(len(content) for _, content in new.files.values()),
            "origin": note("origin", new.origin),
            "note": note("note", new.note),
            "previous": new.previous,
            "changes": new.changes,
            "warnings": json.dumps(new.warnings),
        }
        for _ in range(_ATTEMPTS):
            self._upload(new.files)
            status, *rest = self.connection.run(
                KEEP,
                {
                    "snapshot": self.keys.snapshot_prefix + new.facts,
                    "contents": self.keys.contents_prefix + new.facts,
                    "snapshots": self.keys.snapshots,
                    "unchecked": self.keys.unchecked,
                    "file_uses": keys.FILE_USES,
                    "events": keys.EVENTS,
                    "networks": keys.NETWORKS,
                },
                {
                    "facts": new.facts,
                    **self._its_network,
                    "by": by,
                    "digest": _digest(listed),
                    "file_prefix": keys.FILE,
                    "fields": 2 * len(fields),
                    **self._capped,
                },
                tuple(word for pair in (*fields.items(), *sorted(listed.items())) for word in pair),
            )
            if status == "no-network":
                raise self._no_network()
            if status == "conflict":
                raise SnapshotConflict(f"Another snapshot has the hash {new.facts}; change one of the files.")
            if status != "lacking":  # otherwise a file was removed after the upload, with its last snapshot
                known = status == "known"
                return (SnapshotState(rest[0]) if known else SnapshotState.CHECKING), not known
        raise StoreFull("Redis does not keep the files of the snapshot. Push it again, or raise maxmemory.")

    def use_snapshot(self, facts: str, *, by: str) -> str:
        """Make a snapshot current. Return the one that was current before: `facts` itself if nothing changed.

        Raises SnapshotNotFound or SnapshotNotReady.
        """
        status, *rest = self.connection.run(
            USE,
            {
                "snapshot": self.keys.snapshot_prefix + facts,
                "snapshots": self.keys.snapshots,
                "current": self.keys.current,
                "events": keys.EVENTS,
            },
            {"facts": facts, "bench": self.bench, "by": by, **self._capped},
        )
        if status == "missing":
            raise _missing(facts)
        if status == "not-ready":
            why = "no bench can be built from it" if rest[0] == SnapshotState.REFUSED else "it is not checked yet"
            raise SnapshotNotReady(f"Snapshot {facts} cannot be made current: {why}.")
        return facts if status == "same" else str(rest[0])

    def pin_snapshot(self, facts: str, *, by: str, why: str = "") -> None:
        """Keep a snapshot until its pin is removed. Raises SnapshotNotFound, or BadInput for the reason."""
        args = {"facts": facts, "bench": self.bench, "by": by, "why": note("why", why), **self._capped}
        if self.connection.run(PIN, self._one(facts), args)[0] == "missing":
            raise _missing(facts)

    def unpin_snapshot(self, facts: str, *, by: str) -> bool:
        """Remove the pin of a snapshot. Returns False if it has none. Raises SnapshotNotFound."""
        args = {"facts": facts, "bench": self.bench, "by": by, **self._capped}
        status = self.connection.run(UNPIN, self._one(facts), args)[0]
        if status == "missing":
            raise _missing(facts)
        return bool(status == "unpinned")

    def remove_snapshot(self, facts: str, *, by: str) -> None:
        """Remove a snapshot, and its files unless others have them. Raises SnapshotNotFound or SnapshotInUse."""
        status = self.connection.run(
            DROP,
            {
                **self._one(facts),
                "contents": self.keys.contents_prefix + facts,
                "snapshots": self.keys.snapshots,
                "unchecked": self.keys.unchecked,
                "current": self.keys.current,
                "file_uses": keys.FILE_USES,
            },
            {"facts": facts, "bench": self.bench, "by": by, "file_prefix": keys.FILE, **self._capped},
        )[0]
        if status == "missing":
            raise _missing(facts)
        if status == "current":
            raise SnapshotInUse(f"Snapshot {facts} is current, so it is kept; make another one current first.")
        if status == "pinned":
            raise SnapshotInUse(f"Snapshot {facts} is pinned, so it is kept; remove its pin first.")

    def retain_snapshots(self) -> list[str]:
        """Remove the oldest snapshots beyond `keep_snapshots`. Return their hashes.

        The current one, pinned ones and those of the stored comparisons are kept and do not count.
        """
        compared = self._compared_snapshots()
        free = [
            one.facts
            for one in self.snapshots(limit=100_000)
            if not one.current and not one.pinned and one.facts not in compared
        ]
        removed = []
        for facts in free[self.settings.keep_snapshots :]:
            try:
                self.remove_snapshot(facts, by="retention")
            except (SnapshotNotFound, SnapshotInUse):
                continue  # another process removed, pinned or used it in the meantime
            removed.append(facts)
        return removed

    def _compared_snapshots(self) -> set[str]:
        """Return the snapshots that comparisons name."""
        ids = self.connection.lenient(lambda pipe: pipe.zrange(self.keys.changes, 0, -1)) or []
        with self.connection.reading() as pipe:
            for change_id in ids:
                pipe.hmget(self.keys.change_prefix + change_id, "before", "after")
            return {str(facts) for pair in answers(pipe) for facts in pair or () if facts}

    def _one(self, facts: str) -> dict[str, str]:
        return {"snapshot": self.keys.snapshot_prefix + facts, "events": keys.EVENTS}

    def _upload(self, files: Mapping[str, tuple[str, bytes]]) -> None:
        """Store the files that Redis does not have. They expire unless a snapshot with them is stored."""
        contents = dict(files.values())
        with self.connection.reading() as pipe:
            for hashed in contents:
                pipe.exists(keys.FILE + hashed)
            known = pipe.execute()
        absent = [hashed for hashed, there in zip(contents, known, strict=True) if not there]
        while absent:
            size = 0
            with translated(), self.connection.client.pipeline(transaction=False) as pipe:
                while absent and size < _AT_ONCE_BYTES:
                    hashed = absent.pop()
                    packed = zlib.compress(contents[hashed])
                    pipe.set(keys.FILE + hashed, packed, px=UNUSED_MS, nx=True)
                    size += len(packed)
                pipe.execute()


def _digest(listed: Mapping[str, str]) -> str:
    """Return the hash of all paths and files of a snapshot: 64 hexadecimal digits, where a facts hash has 12."""
    whole = "".join(f"{path}\0{hashed}\n" for path, hashed in sorted(listed.items()) if hashed)
    return hashlib.sha256(whole.encode()).hexdigest()


def _missing(facts: str) -> SnapshotNotFound:
    return SnapshotNotFound(f"There is no snapshot {facts}; `reachq facts list` shows them.")
