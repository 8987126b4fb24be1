"""Renames keys of a wrong type and counters that are not numbers. They can then be rebuilt, and no data is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from ledger.redis import keys, rq_layout
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import MOVE_AWAY

KEEP_MS = 30 * 86_400_000
"""Time until renamed keys and damage records are deleted: 30 days, in ms."""
NOTES_MAX = 500
COUNTERS = ("epoch", "fence", "seq")


class KeyRepair(LedgerPart):
    """Moves damaged keys away.

    It does not require leadership, so a dispatcher can repair damage that prevents it from leading.
    """

    def repair_keys(self) -> bool:
        """Move away the damaged keys that belong to the bench as a whole. Returns whether there were any."""
        moved = self._retype(self._fixed())
        counters = {name: str(getattr(self.keys, name)) for name in COUNTERS}
        with self.connection.reading() as pipe:
            for key in counters.values():
                pipe.get(key)
            for mode in keys.MODES:
                pipe.hlen(self.keys.waiting[mode])
            replies = answers(pipe)
        values, waits = replies[: len(counters)], replies[len(counters) :]
        for (name, key), value in zip(counters.items(), values, strict=True):
            needed = name != "seq" or any(waits)
            if needed if value is None else not re.fullmatch(r"[0-9]{1,15}", value):
                moved |= self._move(key, "string", seed="clock")
        return moved

    def _fixed(self) -> dict[str, str]:
        """Return {key: type} of every key of this bench without an id in its name, and of RQ's keys for this bench."""
        expected: dict[str, str] = {rq_layout.QUEUES: "set"}
        for mode in keys.MODES:
            expected[rq_layout.deferred(self.bench, mode)] = "zset"
            for key in keys.CATALOGUE:
                name = key.pattern.replace("<bench>", self.bench).replace("<mode>", mode)
                if "<" not in name and name not in (keys.USERS, keys.STORE_ID):
                    expected[name] = key.type
        return expected

    def _typed(self, names: Iterable[bytes]) -> dict[str, str]:
        """Return {key: type} of those keys among `names` that belong to runs or to this bench, except records of runs."""
        expected: dict[str, str] = {}
        for raw in names:
            name = raw.decode("utf-8", "backslashreplace")
            if name.startswith(keys.RUN) and name.endswith((keys.RESULT_SUFFIX, keys.QUESTIONS_SUFFIX)):
                expected[name] = "string"
            elif name.startswith(keys.RUN) and name.endswith(keys.LOG_SUFFIX):
                expected[name] = "stream"
            elif name.startswith(self.keys.prefix) and (owner := keys.owner(name)):
                expected[name] = owner.type
        return expected

    def _retype(self, expected: Mapping[str, str]) -> bool:
        """Move away the keys in {key: type} that have another type. Returns whether there were any."""
        with self.connection.reading() as pipe:
            for key in expected:
                pipe.type(key)
            types = pipe.execute()
        wrong = [key for (key, kind), is_ in zip(expected.items(), types, strict=True) if is_ not in (kind, "none")]
        for key in wrong:
            self._move(key, expected[key])
        return bool(wrong)

    def _move(self, key: str, kind: str, *, seed: str = "") -> bool:
        args = {
            "kind": kind,
            "seed": seed,
            "bench": self.bench,
            "keep_ms": KEEP_MS,
            "notes_max": NOTES_MAX,
            **self._capped,
        }
        types = {
            "found": key,
            "aside": f"{keys.ASIDE}{time.time_ns() // 1_000_000}:{key}",
            "damaged": self.keys.damaged,
            "events": keys.EVENTS,
        }
        return bool(self.connection.run(MOVE_AWAY, types, args)[0] == "moved")
