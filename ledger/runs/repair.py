"""The leader's repairs: sets damaged records aside, puts runs back in their places, and releases what no run holds.

The records of runs are the truth. Lines, slots, leases, lanes and counts are an index, which is rebuilt from them.
Everything is read as bytes, because damaged data may not be text, and each script checks again what was read here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from dscp.lanes import LANE_FIRST, LANE_LAST, LANES
from ledger.errors import StaleEpoch
from ledger.redis import keys, rq_layout
from ledger.redis.connection import answers
from ledger.redis.keys import of_host
from ledger.redis.scripts import PLACE, SET_ASIDE, TIDY
from ledger.redis.wrong_types import KEEP_MS, NOTES_MAX, KeyRepair
from ledger.runs.fair_order import BEYOND_LINE
from ledger.runs.soundness import ASKED, Fault, fault_of

WINDOW = 64
"""Number of runs at the head of each line that every audit examines: as many as a dispatcher sees."""
SLICE = 200
"""Number of keys examined in one slice of the scan."""
HELD_MAX = 1000
_RECORD = re.compile(rf"{keys.RUN}[^:]+".encode())
_HOLDS = (b"promoted", b"running")


class _Held(NamedTuple):
    """Where the runs are, as sets of run ids: the line and the slots of each mode, and the leases."""

    line: dict[bytes, set[bytes]]
    slots: dict[bytes, set[bytes]]
    leases: set[bytes]


class RecordRepair(KeyRepair):
    """Repairs by the leading dispatcher. The methods stop and raise StaleEpoch if it no longer leads."""

    def repair_runs(self, epoch: int) -> bool:
        """Examine the runs that hold something and those next in line. Returns whether anything had to be repaired."""
        hosts = self.host_names()
        expected: dict[str, str] = {self.keys.lane(lane, host): "hash" for host in hosts for lane in LANES}
        expected |= {of_host(key, host): "set" for host in hosts for key in (self.keys.free, self.keys.leased)}
        expected |= {of_host(self.keys.status, host): "hash" for host in hosts}
        for mode in keys.MODES:
            for user in self._members("hkeys", self.keys.waiting[mode]):
                expected[self.keys.surplus(mode, user)] = "zset"
        for queue in self._members("zrange", self.keys.workers, 0, -1):
            expected |= {f"{self.keys.worker_prefix}{queue}": "hash", f"{rq_layout.QUEUE}{queue}": "list"}
        repaired = self._retype(expected)
        waiting, holding, places = self._near([key for key, kind in expected.items() if kind == "hash"])
        repaired |= self._retype({rq_layout.JOB + _text(run_id): "hash" for run_id in waiting})
        twice = [run_id for run_id, times in Counter(waiting).items() if times > 1]
        repaired |= self.examine(epoch, [*holding, *twice, *self._out_of_place(waiting, places)])
        return any([repaired, *(self._tidy(epoch, host) for host in hosts)])

    def _tidy(self, epoch: int, host: str) -> bool:
        """Make the lanes of a host and all workers agree with the runs that hold them."""
        status, *count = self.connection.run(
            TIDY,
            {
                "leader": self.keys.leader,
                "leases": self.keys.leases,
                "free": self.keys.free,
                "leased": self.keys.leased,
                "workers": self.keys.workers,
                "hosts": self.keys.hosts,
                "status": self.keys.status,
            },
            {
                "epoch": epoch,
                "host": host,
                "lane_first": LANE_FIRST,
                "lane_last": LANE_LAST,
                **self._prefixes("run_prefix", "worker_prefix", "lane_prefix"),
            },
        )
        _lead_on(status)
        return bool(count[0])

    def repair_slice(self, epoch: int, cursor: int) -> tuple[int, bool]:
        """Examine the next SLICE keys of the store from `cursor` on (0: the start). Returns (next cursor, repaired)."""
        with self.connection.reading(raw=True) as pipe:
            pipe.scan(cursor, count=SLICE)
            for mode in keys.MODES:
                pipe.lrange(self.keys.pending[mode], 0, -1)
                pipe.smembers(self.keys.running[mode])
            pipe.zrange(self.keys.leases, 0, -1)
            (cursor, names), *members = answers(pipe)
        places = _held(members)
        repaired = self._retype(self._typed(names))
        ids = [name[len(keys.RUN) :] for name in names if _RECORD.fullmatch(name)]
        return int(cursor), self.examine(epoch, self._out_of_place(ids, places)) or repaired

    def examine(self, epoch: int, ids: Iterable[bytes]) -> bool:
        """Repair or set aside each of these runs if necessary. Returns whether any of them needed it."""
        ids = list(dict.fromkeys(ids))
        names = [_text(run_id) for run_id in ids]
        repaired = self._retype(
            {rq_layout.JOB + name: "hash" for name in names}
            | {keys.result(name): "string" for name in names}
            | {keys.log(name): "stream" for name in names}
        )
        for run_id, record in zip(ids, self._records(ids), strict=True):
            repaired |= self._repair_one(epoch, run_id, record)
        return repaired

    def _members(self, command: str, *words: Any) -> list[str]:
        return list(self.connection.lenient(lambda pipe: getattr(pipe, command)(*words)) or ())

    def _near(self, holders: Iterable[str]) -> tuple[list[bytes], list[bytes], _Held]:
        """Find the runs near the bench, and where each of them is.

        Returns the runs at the head of the lines, then the runs that hold a slot, a lease, a lane or a worker.
        """
        with self.connection.reading(raw=True) as pipe:
            for mode in keys.MODES:
                pipe.lrange(self.keys.pending[mode], 0, WINDOW - 1)
                pipe.smembers(self.keys.running[mode])
            pipe.zrange(self.keys.leases, 0, HELD_MAX)
            for holder in holders:
                pipe.hget(holder, "run")
            replies = answers(pipe)
        own = 2 * len(keys.MODES) + 1  # the line and the slots of each mode, and the leases
        members = [list(each or ()) for each in replies[:own]]
        lines, slots = chain(*members[: own - 1 : 2]), chain(*members[1:own:2], members[own - 1])
        return list(lines), [*slots, *(run_id for run_id in replies[own:] if run_id)], _held(replies[:own])

    def _records(self, ids: Iterable[bytes]) -> list[dict[bytes, bytes] | None]:
        """Return the records, with {} for a deleted run and None for a key of a wrong type."""
        with self.connection.reading(raw=True) as pipe:
            for run_id in ids:
                pipe.hgetall(keys.RUN.encode() + run_id)
            return answers(pipe)

    def _out_of_place(self, ids: list[bytes], places: _Held) -> list[bytes]:
        """Return those of the given runs whose record is damaged or whose place does not seem to match their state."""
        records = dict(zip(ids, self._records(ids), strict=True))
        with self.connection.reading(raw=True) as pipe:
            for run_id, record in records.items():
                fields = record or {}
                mode, user = (fields.get(name, b"").decode("utf-8", "replace") for name in (b"mode", b"user"))
                pipe.zscore(self.keys.surplus(mode, user), run_id)
                pipe.zscore(keys.FINISHED, run_id)
            scores = answers(pipe)
        misplaced = []
        for (run_id, record), beyond, ended in zip(records.items(), scores[::2], scores[1::2], strict=True):
            fault = fault_of(record) if record else None
            if record and fault is None and record.get(b"bench") != self.bench.encode():
                continue  # belongs to another bench
            if not record or fault or not _is_placed(run_id, record, places, beyond, ended):
                misplaced.append(run_id)
        return misplaced

    def _repair_one(self, epoch: int, run_id: bytes, record: Mapping[bytes, bytes] | None) -> bool:
        if not record:
            return self._set_aside(epoch, run_id, None, "" if record == {} else "the key of its record is not a hash")
        fault = fault_of(record)
        if fault is None and record.get(b"bench", self.bench.encode()) != self.bench.encode():
            fault = Fault("bench", record[b"bench"], f"is not {self.bench}, the bench that has the run")
        if fault is None:
            prefixes = self._prefixes("surplus_prefix", "run_prefix", "worker_prefix", "lane_prefix", "job_prefix")
            status, *lane = self.connection.run(
                PLACE,
                {"leader": self.keys.leader, "finished": keys.FINISHED, **self._slot_keys, **self._deferred_keys},
                {
                    "epoch": epoch,
                    "id": run_id,
                    "lease_ms": self.settings.lease_ms,
                    "behind_own": BEYOND_LINE,
                    **prefixes,
                },
            )
            _lead_on(status)
            if status != "conflict":
                return bool(status == "placed")
            fault = Fault("dscp", str(lane[0]).encode(), "is not the lane that this attempt was given")
        return self._set_aside(epoch, run_id, fault, str(fault), needed=fault.field in ASKED)

    def _set_aside(self, epoch: int, run_id: bytes, fault: Fault | None, what: str, *, needed: bool = True) -> bool:
        value = fault.value if fault else None
        status = self.connection.run(
            SET_ASIDE,
            {
                "leader": self.keys.leader,
                "workers": self.keys.workers,
                "hosts": self.keys.hosts,
                "damaged": self.keys.damaged,
                **self._slot_keys,
                **self._end_keys,
                **self._waiting_keys,
            },
            {
                "epoch": epoch,
                "id": run_id,
                "field": fault.field if fault else "",
                "value": "missing" if value is None else b"=" + value,
                "what": what,
                "needed": int(needed),
                "bench": self.bench,
                "lease_ms": self.settings.lease_ms,
                "keep_ms": KEEP_MS,
                "notes_max": NOTES_MAX,
                "aside_prefix": keys.ASIDE,
                **self._capped,
                **self._prefixes("surplus_prefix", "run_prefix", "worker_prefix", "lane_prefix"),
                **self._prefixes("job_prefix", "queue_prefix"),
            },
        )[0]
        _lead_on(status)
        return status in ("set-aside", "released")


def _held(members: Sequence[Iterable[bytes] | None]) -> _Held:
    """Decode Redis's answers: the line and the slots of each mode, then the leases. None is a key of a wrong type."""
    *by_mode, leases = (set(each or ()) for each in members)
    modes = [mode.encode() for mode in keys.MODES]
    return _Held(dict(zip(modes, by_mode[::2], strict=True)), dict(zip(modes, by_mode[1::2], strict=True)), leases)


def _text(run_id: bytes) -> str:
    return run_id.decode("utf-8", "backslashreplace")


def _is_placed(run_id: bytes, record: Mapping[bytes, bytes], index: _Held, beyond: Any, ended: Any) -> bool:
    mode, state = record[b"mode"], record[b"state"]
    places = {
        "waits": run_id in index.line[mode] or beyond is not None,
        "holds": run_id in index.slots[mode] and run_id in index.leases,
        "ended": ended is not None,
    }
    meant = "waits" if state == b"pending" else "holds" if state in _HOLDS else "ended"
    return all(there == (place == meant) for place, there in places.items())


def _lead_on(status: str) -> None:
    if status == "stale-epoch":
        raise StaleEpoch
