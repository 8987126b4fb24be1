"""Reads a view of the bench, lets the rules choose, has the store commit the choice, and records why other runs wait."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from compat_dispatcher.rules import Bench, DispatchDecision, Holder, Limits, Wait, Waiter, Why, choose
from ledger.bench.diagnosis import NO_MEMORY
from ledger.errors import StoreFull
from ledger.runs.records import Choice, DispatchView, Promotion
from ledger.runs.run import Mode
from ledger.settings import Settings
from ledger.store import DispatcherLedger

EXPLAIN_PAUSE_S = 0.1
"""Minimum time between two writes of reasons: under load, ten times a second instead of with every promotion."""

SUSPECT = frozenset({Promotion.DAMAGED, Promotion.NOT_PENDING, Promotion.WRONG_MODE, Promotion.NO_LANE})
"""Refusals that may be due to damaged data. A refusal because a run was cancelled is also NOT_PENDING."""

log = logging.getLogger("reachq.dispatcher")


class Promoter:
    """Starts the runs that may start. Each step reads a view, chooses runs and promotes them.

    Redis holds all state except the reasons that this process has already written.
    """

    def __init__(self, ledger: DispatcherLedger, settings: Settings) -> None:
        self._ledger = ledger
        self._overtake_ms = int(settings.overtake_s * 1000)
        self._overtake_max = settings.overtake_max
        self.overtake_due_s: float | None = None
        self.more = False
        """Whether to step again: all runs in the view have started, more are waiting, and workers are idle."""
        self.full = False
        """Whether Redis refused the last promotion because its memory is full.

        No event reports when memory is free again.
        """
        self.damaged = False
        """Whether the last step found a damaged run record."""
        self._waits: dict[str, Wait] = {}
        self._written: dict[str, Wait] = {}
        self._explained = 0.0

    def step(self, epoch: int, view: DispatchView | None = None) -> tuple[DispatchView, int]:
        """Start the runs that may start now, by `view` if it is still up to date, and otherwise by a new one.

        Returns the view that was used and the number of started runs. Raises StaleEpoch.
        """
        view = view or self._ledger.view()
        decision = decide(view, self._overtake_ms, self._overtake_max)
        choices = assign(decision.start, view)
        try:
            outcomes = self._ledger.promote(epoch, choices) if choices else []
            self.full = False
        except StoreFull:
            outcomes, self.full = [], True
        refused = [outcome for outcome in outcomes if outcome.status is not Promotion.PROMOTED]
        self.damaged = view.damaged or any(outcome.status in SUSPECT for outcome in refused)
        for outcome in refused:
            log.debug("run %s was not promoted: %s", outcome.run_id, outcome.status)
        self._waits = decision.waits
        if self.full:
            self._waits = decision.waits | dict.fromkeys(decision.start, Wait(Why.REDIS_FULL, NO_MEMORY))
        self.overtake_due_s = _seconds(decision.wake_ms, view.now_ms)
        self.more = bool(outcomes) and not refused and not decision.waits and _more(view, choices)
        return view, len(outcomes) - len(refused)

    @property
    def waiting(self) -> bool:
        """Whether the last step left runs waiting."""
        return bool(self._waits)

    @property
    def explain_due_s(self) -> float | None:
        """Seconds until reasons should be written, or None if all are written."""
        if self._waits == self._written:
            return None
        return max(0.0, self._explained + EXPLAIN_PAUSE_S - time.monotonic())

    def explain(self) -> None:
        """Write the reasons that have changed since they were last written."""
        before, self._written = self._written, self._waits
        self._explained = time.monotonic()
        changed = {run: wait for run, wait in self._written.items() if before.get(run) != wait}
        if changed:
            self._ledger.explain({run: (str(wait.code), wait.sentence) for run, wait in changed.items()})


def decide(view: DispatchView, overtake_ms: int, overtake_max: int) -> DispatchDecision:
    """Apply the scheduling rules to a view."""
    limits = Limits(now_ms=view.now_ms, overtake_ms=overtake_ms, overtake_max=overtake_max, paused=view.paused)
    idle = {mode: Counter(worker.host for worker in workers) for mode, workers in view.idle.items()}
    benches = [
        Bench(
            idle[Mode.QUICK][name],
            idle[Mode.DETAILED][name],
            host.report,
            name,
            drained=host.drained,
            idle_bulk=idle[Mode.BULK][name],
        )
        for name, host in view.hosts.items()
    ]
    running = [Holder(run.run_id, run.mode, run.host) for run in view.running]
    waiting = [Waiter(run.run_id, run.mode, run.submitted_ms, run.overtaken) for run in view.waiting]
    return choose(benches, running, waiting, limits)


def assign(start: Mapping[str, str], view: DispatchView) -> list[Choice]:
    """Assign to each run of {run: host} an idle worker of its mode on that host.

    The worker with the latest heartbeat is used first, because one that has been silent for a while may be dead.
    """
    mode_of = {run.run_id: run.mode for run in view.waiting}
    idle: dict[tuple[Mode, str], list[str]] = defaultdict(list)
    for mode, workers in view.idle.items():
        for worker in workers:
            idle[mode, worker.host].append(worker.queue)
    return [Choice(run_id, mode_of[run_id], idle[mode_of[run_id], host].pop()) for run_id, host in start.items()]


def _more(view: DispatchView, choices: Sequence[Choice]) -> bool:
    """Return whether more runs wait than these choices start, and a worker of their mode stays idle."""
    started = Counter(choice.mode for choice in choices)
    return any(view.waiting_total[mode] > started[mode] and len(view.idle[mode]) > started[mode] for mode in started)


def _seconds(at_ms: int | None, now_ms: int) -> float | None:
    return None if at_ms is None else max(0.0, (at_ms - now_ms) / 1000)
