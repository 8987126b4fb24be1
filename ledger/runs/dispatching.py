"""Operations of a dispatcher: lead, view, promote, explain."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from dscp.lanes import LANE_FIRST, LANE_LAST, LANES
from ledger.bench.diagnosis import BENCH_SILENT_MS, fresh
from ledger.errors import StaleEpoch
from ledger.events import EVENTS_AT_ONCE, Event, decode_events, longest_wait_s
from ledger.redis import keys, rq_layout
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import EXPLAIN, LEAD, PROMOTE, RESIGN, SETTLE, VIEW
from ledger.runs.fair_order import BEYOND_LINE, COMING_BACK, beyond_line
from ledger.runs.records import (
    Choice,
    DispatchView,
    Holding,
    HostView,
    IdleWorker,
    Outcome,
    Pause,
    Promotion,
    Report,
    Waiting,
)
from ledger.runs.run import HOLDS_SLOT, Mode, State
from ledger.runs.run_hash import groups
from ledger.runs.soundness import is_number, number

VIEW_WINDOW = 64
"""Number of waiting runs of each mode in a view, which is twice the capacity of a bench."""
SETTLE_AT_ONCE = 1000
"""Maximum number of runs that one call of `settle` moves. It takes a few ms, during which Redis does nothing else."""


class Dispatching(LedgerPart):
    """Leadership, and the operations that require it. Every call is one round trip."""

    def lead(self, dispatcher_id: str) -> int | None:
        """Take or renew the leadership. Returns its epoch, or None while another dispatcher leads."""
        status, *epoch = self.connection.run(
            LEAD,
            {
                "leader": self.keys.leader,
                "epoch": self.keys.epoch,
                "events": keys.EVENTS,
                "free": self.keys.free,
                "leased": self.keys.leased,
                "fence": self.keys.fence,
                "dispatchers": self.keys.dispatchers,
                "status": self.keys.status,
                "hosts": self.keys.hosts,
                "leases": self.keys.leases,
            },
            {
                "dispatcher": dispatcher_id,
                "bench": self.bench,
                "lock_ms": self.settings.leader_ms,
                "longest_ms": max(self.settings.begin_ms, self.settings.lease_ms),
                "lane_first": LANE_FIRST,
                "lane_last": LANE_LAST,
                "version": keys.LAYOUT,
                **self._capped,
            },
        )
        return None if status == "led" else int(epoch[0])

    def resign(self, dispatcher_id: str) -> bool:
        """Give up the leadership. Returns False if this dispatcher did not have it."""
        status = self.connection.run(
            RESIGN,
            {"leader": self.keys.leader, "events": keys.EVENTS},
            {"dispatcher": dispatcher_id, "bench": self.bench, **self._capped},
        )[0]
        return bool(status == "resigned")

    def view(self, window: int = VIEW_WINDOW) -> DispatchView:
        """Read the running runs, the `window` oldest waiting ones of each mode, and the idle workers."""
        return self._view_of(self.connection.run(VIEW, self._view_keys, self._view_args(window)))

    def view_after_events(self, after: str, *, block_ms: int) -> tuple[list[Event], DispatchView | None]:
        """Wait up to `block_ms` for events after an id, and read the view at the moment when they come.

        This saves the round trip of `view`, and so a run starts sooner. Returns the events, oldest first, and the view,
        or None where `view` has to be called because the server does not know the script.
        """
        block_ms = max(1, min(block_ms, int(longest_wait_s(self.connection) * 1000)))
        entries, reply = self.connection.run_after(
            lambda pipe: pipe.xread({keys.EVENTS: after}, count=EVENTS_AT_ONCE, block=block_ms),
            VIEW,
            self._view_keys,
            self._view_args(VIEW_WINDOW),
        )
        return decode_events(entries), self._view_of(reply) if reply else None

    def _view_args(self, window: int) -> dict[str, object]:
        alive_ms = self.settings.lease_ms
        return {"window": window, "alive_ms": alive_ms, **self._prefixes("run_prefix", "worker_prefix")}

    def _view_of(self, reply: Sequence[Any]) -> DispatchView:
        _, now, deadline, waits, running, waiting, idle, paused, hosts = reply
        idle_workers: dict[Mode, list[IdleWorker]] = {mode: [] for mode in Mode}
        for queue, mode, host in groups(idle, 3):
            idle_workers[Mode(mode)].append(IdleWorker(queue, host))
        waiters = [
            Waiting(run_id, Mode(mode), int(turn), int(ms), int(overtaken), code)
            for run_id, mode, state, really, turn, ms, overtaken, code in groups(waiting, 8)
            if state == State.PENDING and really == mode and all(map(is_number, (turn, ms, overtaken)))
        ]
        holding = [(run_id, Mode(mode), state, host) for run_id, mode, state, host in groups(running, 4)]
        damaged = len(waiters) * 8 < len(waiting) or not all(state in HOLDS_SLOT for _, _, state, _ in holding)
        return DispatchView(
            now_ms=now,
            deadline_ms=deadline or None,
            running=[
                Holding(run_id, mode, State(state) if state in HOLDS_SLOT else State.RUNNING, host)
                for run_id, mode, state, host in holding
            ],
            waiting=sorted(waiters, key=lambda waiter: waiter.turn),
            waiting_total=dict(zip(Mode, waits, strict=True)),
            idle=idle_workers,
            paused=Pause(paused[0], paused[1], number(paused[2])) if paused else None,
            damaged=damaged,
            hosts={
                host: HostView(_report(state, error, reported_ms, now), drained=bool(drained))
                for host, drained, state, error, reported_ms in groups(hosts, 5)
            },
        )

    @cached_property
    def _view_keys(self) -> dict[str, str]:
        return {
            "leases": self.keys.leases,
            "workers": self.keys.workers,
            "paused": self.keys.paused,
            "status": self.keys.status,
            "drained": keys.DRAINED,
            **self._waiting_keys,
            **self._queue_keys,
        }

    def promote(self, epoch: int, choices: Sequence[Choice]) -> list[Outcome]:
        """Start the chosen runs, in order, and return the outcome of each. Redis checks every invariant again.

        Raises StaleEpoch if another dispatcher leads, and StoreFull if Redis has no memory left. In both cases nothing
        was done.
        """
        if not choices:
            return []
        words: list[object] = []
        for choice in choices:
            mode = str(choice.mode)
            words += [choice.run_id, mode, choice.queue, secrets.token_hex(8)]
            words += [rq_layout.data(choice.run_id), rq_layout.timeout_s(self.settings, mode)]
        status, *outcomes = self.connection.run(
            PROMOTE,
            {
                "leader": self.keys.leader,
                "events": keys.EVENTS,
                "fence": self.keys.fence,
                "workers": self.keys.workers,
                "paused": self.keys.paused,
                "seq": self.keys.seq,
                "drained": keys.DRAINED,
                **self._count_keys,
                **self._slot_keys,
                **self._deferred_keys,
            },
            {
                "epoch": epoch,
                "bench": self.bench,
                "begin_ms": self.settings.begin_ms,
                "alive_ms": self.settings.lease_ms,
                "quick_max": len(LANES),
                "line_max": self.settings.fair_waiting,
                "enqueued_at": rq_layout.clock(),
                **self._capped,
                **self._prefixes("surplus_prefix", "run_prefix", "lane_prefix"),
                **self._prefixes("worker_prefix", "job_prefix", "queue_prefix"),
            },
            tuple(words),
        )
        if status == "stale-epoch":
            raise StaleEpoch
        if status == "paused":
            return [Outcome(choice.run_id, Promotion.PAUSED) for choice in choices]
        return [Outcome(c.run_id, Promotion(outcome)) for c, outcome in zip(choices, outcomes, strict=True)]

    def settle(self, mode: Mode, after: int = 0) -> int | None:
        """Put the waiting runs of one mode back in order, one slice per call.

        Returns the `after` for the next call, or None if the line is complete. All other calls keep the line in order.
        A leader calls this at the start of its term, in case an older version filled the store or damaged records made
        the counts wrong. A correct line takes one call.
        """
        status, _, *rest = self.connection.run(
            SETTLE,
            {
                "pending": self.keys.pending[mode],
                "waiting": self.keys.waiting[mode],
                "seq": self.keys.seq,
                "queued_questions": self.keys.queued_questions,
            },
            {
                "mode": str(mode),
                "from": after,
                "at_most": SETTLE_AT_ONCE,
                "line_max": self.settings.fair_waiting,
                "line_limit": self.settings.fair_waiting + COMING_BACK,
                "wait_code": BEYOND_LINE,
                "wait_reason": beyond_line(self.settings.fair_waiting),
                "surplus_prefix": self.keys.surplus(mode, ""),
                **self._prefixes("run_prefix"),
            },
        )
        return int(rest[0]) if status == "more" else None

    def explain(self, reasons: Mapping[str, tuple[str, str]]) -> int:
        """Store why runs wait, from {run id: (code, sentence)}. Writes only changed reasons, and returns their number."""
        if not reasons:
            return 0
        words = tuple(word for run_id, why in reasons.items() for word in (run_id, *why))
        args = {"bench": self.bench, **self._capped, **self._prefixes("run_prefix")}
        return int(self.connection.run(EXPLAIN, {"events": keys.EVENTS}, args, words)[1])


def _report(state: str, error: str, reported_ms: str, now_ms: int) -> Report | None:
    """Return the last report of a host's bench, or None if it has never reported. State and error are JSON."""
    said = _said(state, error)
    return said and Report(*said, silent=not fresh(now_ms - number(reported_ms), BENCH_SILENT_MS))


@lru_cache(maxsize=256)
def _said(state: str, error: str) -> tuple[str, str] | None:
    """Return state and error of a report. Cached, because a view reads the same reports at every turn."""
    try:
        return str(json.loads(state)), str(json.loads(error or '""'))
    except ValueError:  # never reported, or a damaged report, which the next one replaces
        return None
