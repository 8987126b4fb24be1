"""Reads all that the health of the system is computed from; a damaged key counts as absent and stops nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from redis.client import Pipeline

from ledger import keys
from ledger.connect import translated
from ledger.diagnosis import assess
from ledger.health import Health, Observed, Times, WorkerRecord
from ledger.inspecting import Inspecting, answer
from ledger.runs import State
from ledger.views import Pause


class Surveying(Inspecting):
    """One call: how is the system?"""

    def health(self) -> Health:
        """What works and what does not, as of now; three round trips, and at most two seconds old for the Redis server."""
        settings = self.settings
        times = Times(settings.lease_ms, settings.leader_ms, int(settings.run_timeout_s * 1000))
        return assess(self.observe(), times)

    def observe(self) -> Observed:
        """What `ledger.diagnosis.assess` takes."""
        findings = self.findings()

        def ask(pipe: Pipeline) -> None:
            pipe.time()
            pipe.get(self.keys.leader)
            pipe.zrange(self.keys.dispatchers, 0, -1, withscores=True)
            pipe.zrange(self.keys.workers, 0, -1, withscores=True)
            pipe.hmget(self.keys.status, "state", "error", "reported_ms")
            pipe.hmget(self.keys.paused, "by", "why", "since_ms")
            for mode in keys.MODES:
                pipe.lrange(self.keys.pending[mode], 0, 0)

        now, leader, heard, beats, status, held, *lines = self._answers(ask)
        now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
        beat_of = {str(queue): int(beat) for queue, beat in beats or ()}
        first = [run_id for line in lines for run_id in line or ()]
        name, _, epoch = str(leader or "").rpartition(" ")
        state, error, reported = status or (None, None, None)
        workers, unseen = self._details(beat_of, first)
        return Observed(
            now_ms=now_ms,
            leader=name,
            epoch=_number(epoch),
            dispatchers={str(who): int(ms) for who, ms in heard or ()},
            workers=workers,
            bench_state=_said(state),
            bench_error=_said(error),
            bench_reported_ms=_number(reported),
            paused=Pause(held[0] or "", held[1] or "", _number(held[2])) if held and any(held) else None,
            unseen_ms=min(unseen, default=None),
            findings=findings,
        )

    def _details(self, beat_of: dict[str, int], first: list[str]) -> tuple[tuple[WorkerRecord, ...], list[int]]:
        """The workers, and since when each run of `first` waits that no dispatcher has looked at."""

        def ask(pipe: Pipeline) -> None:
            for queue in beat_of:
                pipe.hmget(self.keys.worker_prefix + queue, "mode", "host", "pid", "run", "missed_ms")
            for run_id in first:
                pipe.hmget(keys.run(run_id), "state", "wait_code", "attempt", "submitted_ms")

        replies = self._answers(ask)
        known, waiting = replies[: len(beat_of)], replies[len(beat_of) :]
        runs = [said[3] for said in known if said and said[3]]

        def ask_more(pipe: Pipeline) -> None:
            for run_id in runs:
                pipe.hmget(keys.run(run_id), "state", "promoted_ms", "started_ms")

        states = self._answers(ask_more)
        doing = dict(zip(runs, states, strict=True))
        workers = tuple(
            _worker(queue, beat, said, doing.get(said[3]))
            for (queue, beat), said in zip(beat_of.items(), known, strict=True)
            if said
        )
        unseen = [
            _number(said[3])
            for said in waiting
            if said and said[0] == State.PENDING and not said[1] and not _number(said[2])
        ]
        return workers, unseen

    def _answers(self, ask: Callable[[Pipeline], None]) -> list[Any]:
        """The replies in order, None for what is of a wrong type or not permitted."""
        with translated(), self.connection.client.pipeline(transaction=False) as pipe:
            ask(pipe)
            return [answer(reply) for reply in pipe.execute(raise_on_error=False)]


def _worker(queue: str, beat: int, said: Sequence[str | None], doing: Sequence[str | None] | None) -> WorkerRecord:
    mode, host, pid, run, missed = said
    state, promoted, started = doing or (None, None, None)
    since = started if state == State.RUNNING else promoted
    return WorkerRecord(
        queue=queue,
        mode=mode or "",
        host=host or "",
        pid=_number(pid),
        heartbeat_ms=beat,
        run=run or "",
        run_state=state or "",
        run_since_ms=_number(since),
        missed_ms=_number(missed),
    )


def _number(text: object) -> int:
    try:
        return int(float(str(text)))
    except (ValueError, OverflowError):
        return 0


def _said(text: str | None) -> str:
    """A JSON string of the bench's report; "" for anything else."""
    try:
        value = json.loads(text or '""')
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""
