"""The processes and their reports: the leader, the live dispatchers and workers, the bench's status."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from ledger.bench.diagnosis import BENCH_SILENT_MS, fresh
from ledger.redis.connection import answers
from ledger.redis.keys import LOCAL, of_host
from ledger.redis.part import LedgerPart
from ledger.runs.soundness import number

_STATUS_OWN = ("digest", "reported_ms")
_LOCK = re.compile(r"(.+?)(?: v\d+)? (\d+)")
"""Value of the leadership lock: dispatcher, layout and epoch. Versions before layout 2 wrote no layout."""


@dataclass(frozen=True, slots=True)
class Leader:
    """The leading dispatcher; its term ends in `ttl_ms` unless it is extended."""

    dispatcher: str
    epoch: int
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A dispatcher and the time of its last heartbeat."""

    name: str
    heard_ms: int
    alive: bool


@dataclass(frozen=True, slots=True)
class AnnouncedWorker:
    """A worker as it announced itself. `run` is "" when idle.

    `host` is the machine's own name, and `host_name` the name that reachq knows it by.
    """

    name: str
    queue: str
    mode: str
    pid: int
    host: str
    heartbeat_ms: int
    alive: bool
    run: str
    host_name: str


class Processes(LedgerPart):
    """Read-only view of the processes."""

    def leader(self) -> Leader | None:
        """Return the leading dispatcher, or None."""
        with self.connection.reading() as pipe:
            pipe.get(self.keys.leader)
            pipe.pttl(self.keys.leader)
            holder, ttl_ms = answers(pipe)
        dispatcher, epoch = holder_of(holder)
        return Leader(dispatcher, epoch, ttl_ms=max(0, ttl_ms)) if epoch else None

    def dispatchers(self) -> list[Dispatcher]:
        """Return the dispatchers with a heartbeat in the last hour or since the leader's term began."""
        with self.connection.reading() as pipe:
            pipe.time()
            pipe.zrange(self.keys.dispatchers, 0, -1, withscores=True)
            (seconds, micros), heard = answers(pipe)
        now_ms = seconds * 1000 + micros // 1000
        return [
            Dispatcher(name, heard_ms=int(ms), alive=fresh(now_ms - ms, 2 * self.settings.leader_ms))
            for name, ms in heard or ()
        ]

    def workers(self) -> list[AnnouncedWorker]:
        """Return the announced workers."""
        with self.connection.reading() as pipe:
            pipe.time()
            pipe.zrange(self.keys.workers, 0, -1, withscores=True)
            (seconds, micros), beats = answers(pipe)
        beats = beats or ()
        with self.connection.reading() as pipe:
            for queue, _ in beats:
                pipe.hgetall(self.keys.worker_prefix + queue)
            known = answers(pipe)
        now_ms = seconds * 1000 + micros // 1000
        return [
            AnnouncedWorker(
                name=record.get("name", ""),
                queue=queue,
                mode=record.get("mode", ""),
                pid=number(record.get("pid")),
                host=record.get("host", ""),
                heartbeat_ms=int(beat),
                alive=fresh(now_ms - beat, self.settings.lease_ms),
                run=record.get("run", ""),
                host_name=record.get("host_name", LOCAL),
            )
            for (queue, beat), record in zip(beats, (fields or {} for fields in known), strict=True)
        ]

    def bench_status(self) -> dict[str, object]:
        """Return the fields of the bench's last report with `reported_ms` and its age, `age_ms`, both by Redis's clock.

        The ledger does not know the fields; `netlab.service.status.BenchReport` reads them. The result is empty if the
        bench has never reported. Damaged fields are left out. With several hosts, it is the report of a bench that is
        up, and the newest of these; or the newest of all if none is up.
        """
        reports = list(self.bench_reports().values())
        return max(reports, key=lambda report: (_is_up(report), number(report["reported_ms"])), default={})

    def bench_reports(self) -> dict[str, dict[str, object]]:
        """Return {host: what `bench_status` returns for its bench}, without hosts whose bench has never reported."""
        hosts = self.host_names()
        with self.connection.reading() as pipe:
            pipe.time()
            for host in hosts:
                pipe.hgetall(of_host(self.keys.status, host))
            (seconds, micros), *found = answers(pipe)
        now_ms = seconds * 1000 + micros // 1000
        return {host: _report(status, now_ms) for host, status in zip(hosts, found, strict=True) if status}


def holder_of(lock: str | None) -> tuple[str, int]:
    """Return the dispatcher and the epoch in the value of the leadership lock, or ("", 0) without a sound one."""
    found = _LOCK.fullmatch(lock or "")
    epoch = number(found[2]) if found else 0
    return (found[1], epoch) if found and epoch else ("", 0)


def _is_up(report: Mapping[str, object]) -> bool:
    """Return whether a bench has recently reported that it is up."""
    return report.get("state") == "up" and fresh(int(str(report["age_ms"])), BENCH_SILENT_MS)


def _report(status: Mapping[str, str], now_ms: int) -> dict[str, object]:
    """Decode the fields of a report."""
    report: dict[str, object] = {}
    for name, value in status.items():
        if name not in _STATUS_OWN:
            with suppress(ValueError, RecursionError):  # omit a damaged field: the next report replaces it
                report[name] = json.loads(value, parse_constant=_refused)
    reported_ms = number(status.get("reported_ms"))
    return report | {"reported_ms": reported_ms, "age_ms": now_ms - reported_ms}


def _refused(constant: str) -> None:
    """Reject NaN and the infinities, which are not valid JSON."""
    raise ValueError(constant)
