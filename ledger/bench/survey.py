"""Reads from Redis everything that the health of the system is computed from. A damaged key counts as absent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ledger.bench.diagnosis import assess, unreachable
from ledger.bench.health import NOTHING_MORE, Expected, Health, HostReport, Observed, Readiness, Times, WorkerRecord
from ledger.bench.processes import holder_of
from ledger.errors import StoreUnavailable
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.inspection import ServerInspection
from ledger.redis.keys import LOCAL, of_host
from ledger.runs.records import Damage, Pause
from ledger.runs.run import State
from ledger.runs.soundness import number


class HealthReader(ServerInspection):
    """Computes the health of the system from Redis."""

    def health(self, expected: Expected = NOTHING_MORE) -> Health:
        """Return the current health of the system.

        Four round trips; findings about the Redis server may be two seconds old.
        """
        settings = self.settings
        times = Times(settings.lease_ms, settings.leader_ms, int(settings.run_timeout_s * 1000))
        return assess(self.observe(), times, expected)

    def readiness(self, expected: Expected = NOTHING_MORE) -> Readiness:
        """Return what prevents a run submitted now from being tested.

        An unreachable Redis server is also reported this way.
        """
        try:
            health = self.health(expected)
        except StoreUnavailable as error:
            return Readiness((unreachable(error),))
        return Readiness(missing=health.blocking, warnings=health.warnings)

    def observe(self) -> Observed:
        """Read the input of `ledger.bench.diagnosis.assess`."""
        findings, names = self.findings(), self.host_names()
        with self.connection.reading() as pipe:
            pipe.time()
            pipe.get(self.keys.leader)
            pipe.zrange(self.keys.dispatchers, 0, -1, withscores=True)
            pipe.zrange(self.keys.workers, 0, -1, withscores=True)
            pipe.hmget(self.keys.paused, "by", "why", "since_ms")
            pipe.hgetall(self.keys.damaged)
            pipe.hkeys(keys.DRAINED)
            for mode in keys.MODES:
                pipe.lrange(self.keys.pending[mode], 0, 0)
            for name in names:
                pipe.hmget(of_host(self.keys.status, name), "state", "error", "reported_ms")
            now, leader, heard, beats, slots, notes, drained, *rest = answers(pipe)
        lines, reports = rest[: len(keys.MODES)], rest[len(keys.MODES) :]
        now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
        beat_of = _scores(beats)
        first = [run_id for line in lines for run_id in line or ()]
        name, epoch = holder_of(leader)
        workers, unseen = self._details(beat_of, first)
        return Observed(
            now_ms=now_ms,
            leader=name,
            epoch=epoch,
            dispatchers=_scores(heard),
            workers=workers,
            hosts=_hosts(names, reports, drained or ()),
            paused=Pause(slots[0] or "", slots[1] or "", number(slots[2])) if slots and any(slots) else None,
            unseen_ms=min(unseen, default=None),
            findings=findings,
            damages=damages_of(notes or {}),
        )

    def _details(self, beat_of: dict[str, int], first: list[str]) -> tuple[tuple[WorkerRecord, ...], list[int]]:
        """Return the workers, and the submission times of those runs in `first` that no dispatcher has looked at yet."""
        with self.connection.reading() as pipe:
            for queue in beat_of:
                pipe.hmget(self.keys.worker_prefix + queue, "mode", "host", "pid", "run", "missed_ms")
            for run_id in first:
                pipe.hmget(keys.run(run_id), "state", "wait_code", "attempt", "submitted_ms")
            replies = answers(pipe)
        known, waiting = replies[: len(beat_of)], replies[len(beat_of) :]
        runs = [fields[3] for fields in known if fields and fields[3]]
        with self.connection.reading() as pipe:
            for run_id in runs:
                pipe.hmget(keys.run(run_id), "state", "promoted_ms", "started_ms")
            states = answers(pipe)
        doing = dict(zip(runs, states, strict=True))
        workers = tuple(
            _worker(queue, beat, fields, doing.get(fields[3]))
            for (queue, beat), fields in zip(beat_of.items(), known, strict=True)
            if fields
        )
        unseen = [
            number(fields[3])
            for fields in waiting
            if fields and fields[0] == State.PENDING and not fields[1] and not number(fields[2])
        ]
        return workers, unseen


def _worker(queue: str, beat: int, fields: Sequence[str | None], doing: Sequence[str | None] | None) -> WorkerRecord:
    mode, host, pid, run, missed = fields
    state, promoted, started = doing or (None, None, None)
    since = started if state == State.RUNNING else promoted
    return WorkerRecord(
        queue=queue,
        mode=mode or "",
        host=host or "",
        pid=number(pid),
        heartbeat_ms=beat,
        run=run or "",
        run_state=state or "",
        run_since_ms=number(since),
        missed_ms=number(missed),
    )


def _hosts(names: Sequence[str], reports: Sequence[Any], drained: Sequence[str]) -> tuple[HostReport, ...]:
    """Return the hosts. `local` is one only if it has reported or is the only one."""
    found = []
    for name, report in zip(names, reports, strict=True):
        state, error, reported = report or (None, None, None)
        if name != LOCAL or reported or len(names) == 1:
            found.append(HostReport(name, _said(state), _said(error), number(reported), drained=name in drained))
    return tuple(found)


def damages_of(notes: Mapping[str, str]) -> tuple[Damage, ...]:
    """Return the damage that was set aside, newest first, from {run id or key: `<ms> <what>`}."""
    split = ((name, *text.partition(" ")) for name, text in notes.items())
    damages = (Damage(name, what, number(ms)) for name, ms, _, what in split)
    return tuple(sorted(damages, key=lambda damage: (-damage.ms, damage.name)))


def _scores(members: Any) -> dict[str, int]:
    """Return the members of a sorted set with their scores as integers. Infinite scores and NaN become 0."""
    return {str(member): int(score) if math.isfinite(score) else 0 for member, score in members or ()}


def _said(text: str | None) -> str:
    """Decode a JSON string of the bench's report. Returns "" for anything else."""
    try:
        value = json.loads(text or '""')
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""
