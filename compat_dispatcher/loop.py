"""The dispatcher's loop: waits for the event stream and acts on changes.

Five things wake it without an event: the lock is due for renewal, the next lease ends, the overtake limit is reached,
reasons must be written, or the next slice of the audit is due, four times a second. It waits for events until the
earliest of these, so none of them is neglected. At the start of a term it also repairs the lines, one slice per turn.
`auditor` repairs damage in Redis, which affects only the damaged run or key.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from compat_dispatcher.auditor import Auditor
from compat_dispatcher.leader import Leadership
from compat_dispatcher.promoter import Promoter
from compat_dispatcher.reaper import Reaper
from ledger.errors import ReachqError, StaleEpoch, StoreDamaged, UnsuitableStore
from ledger.events import Event, Kind
from ledger.runs.records import DispatchView
from ledger.runs.run import Mode
from ledger.settings import Settings
from ledger.store import DispatcherLedger

ENDS = frozenset({Kind.FINISHED, Kind.FAILED, Kind.CANCELLED})
OF_HOSTS = frozenset({Kind.HOST_DRAINED, Kind.HOST_RESUMED})
"""Events about a host, and so about every network."""
_OF_BENCH = {Kind.SUBMITTED, Kind.RETURNED, Kind.WORKER, Kind.WITHDRAWN, Kind.PAUSED, Kind.RESUMED, Kind.BENCH}
WAKES = ENDS | OF_HOSTS | _OF_BENCH
"""Events after which another run may start, or the reason why a run waits may change."""
EVENTS_OF_A_START = 2
"""Number of events of a run that starts: promoted, started."""
RETRY_S = 0.1
VET_S = 5.0
FULL_RETRY_S = 0.25

log = logging.getLogger("reachq.dispatcher")


class Stop(Protocol):
    """The part of threading.Event that is used. It is StopSignals in a process and an Event in a thread."""

    def is_set(self) -> bool:
        """Return whether to stop."""

    def wait(self, timeout: float, /) -> bool:
        """Wait up to `timeout` seconds for the stop. Returns whether to stop."""


class Dispatcher:
    """One dispatcher process. It follows until it leads, then acts until it no longer leads."""

    def __init__(self, ledger: DispatcherLedger, settings: Settings, name: str) -> None:
        self._ledger = ledger
        self._leadership = Leadership(ledger, name, settings)
        self._promoter = Promoter(ledger, settings)
        self._reaper = Reaper(ledger, settings)
        self._auditor = Auditor(ledger)
        self._bench = settings.bench
        self._after: str | None = None
        self._said, self._vet_at = "", 0.0
        self._term = 0
        self._expected = 0
        """Number of events to come from running runs that will leave nothing urgent to decide."""
        self._unsettled: list[tuple[Mode, int]] = []
        """Modes whose lines are still to be repaired in this term, each with the position to continue from."""

    def run(self, stop: Stop) -> None:
        """Dispatch until `stop` is set. Raises UnsuitableStore if the Redis server is not suitable. Resigns at the end.

        Examines the server before the first turn and then every VET_S, because it may be replaced, or processes of another
        version may be started, while the dispatcher runs.
        """
        try:
            while not stop.is_set():
                self.turn(stop)
        finally:
            self._leadership.resign()

    def turn(self, stop: Stop) -> None:
        """Lead and act once, or wait for the leadership. An error that persists is logged only once.

        Raises UnsuitableStore.
        """
        try:
            if time.monotonic() >= self._vet_at:
                self._ledger.vet(log.warning)
                self._vet_at = time.monotonic() + VET_S
            epoch = self._leadership.keep()
            if epoch is None:
                self._after = None
                stop.wait(self._leadership.due_s)
            else:
                self._act(epoch)
            self._said = ""
        except StaleEpoch:
            self._leadership.depose()
        except UnsuitableStore:
            raise
        except ReachqError as error:
            self._met(error)
            stop.wait(RETRY_S)

    def _met(self, error: ReachqError) -> None:
        """Log an error unless it was the last one logged, and repair damage."""
        if str(error) != self._said:
            log.warning("%s", error)
        self._said, self._after = str(error), None
        if isinstance(error, StoreDamaged):
            try:
                self._ledger.repair_keys()
                if self._leadership.epoch is not None and self._auditor.step(self._leadership.epoch, at_once=True):
                    self._unsettle()
            except ReachqError as still:
                log.debug("not repaired yet: %s", still)

    def _act(self, epoch: int) -> None:
        """Run one turn as leader: wait for the earliest event or deadline, then handle it."""
        if epoch != self._term:
            self._term, self._unsettled = epoch, []
            self._unsettle()
            self._auditor.begin()
        look, ended, view = self._wait()
        if self._auditor.due_s == 0:
            if self._auditor.step(epoch):
                self._unsettle()
            look, view = look or self._auditor.audited, None
        if self._reaper.due_s == 0:
            if self._reaper.step(epoch):
                self._auditor.urge()
            look, view = True, None
        if look or self._promoter.overtake_due_s == 0 or self._promoter.more:
            view, started = self._promoter.step(epoch, view)
            self._expected = EVENTS_OF_A_START * started
            if not self._promoter.waiting:
                self._expected += started + len(view.running)
            self._reaper.note(view, started=started, ended=ended)
            if self._promoter.damaged:
                self._auditor.urge()
        if self._promoter.explain_due_s == 0:
            self._promoter.explain()
            self._reaper.tidy()
        if self._unsettled:
            mode, after = self._unsettled[0]
            rest = self._ledger.settle(mode, after)
            self._unsettled[:1] = [] if rest is None else [(mode, rest)]

    def _unsettle(self) -> None:
        """Schedule the repair of each line from its start. A repair that is already running is completed first."""
        self._unsettled += [(mode, 0) for mode in Mode if (mode, 0) not in self._unsettled]

    def _wait(self) -> tuple[bool, int, DispatchView | None]:
        """Wait for events.

        Returns (whether to view the bench, how many runs have ended, a view if one was read with the events). A new
        leader views the bench at once.
        """
        if self._after is None:
            self._after = self._ledger.last_event_id()
            self._ledger.sweep()
            return True, 0, None
        if self._unsettled or self._promoter.more:
            return True, 0, None
        dues = (self._reaper.due_s, self._promoter.overtake_due_s, self._promoter.explain_due_s)
        wait_s = min([self._leadership.due_s, self._auditor.due_s, *(due for due in dues if due is not None)])
        if self._promoter.full:
            wait_s = min(wait_s, FULL_RETRY_S)
        events, view = self._events(int(wait_s * 1000) + 1)
        if not events:
            return self._promoter.full, 0, view
        self._after = events[-1].id
        ours = [event.kind for event in events if event.bench == self._bench or event.kind in OF_HOSTS]
        return not WAKES.isdisjoint(ours), sum(kind in ENDS for kind in ours), view

    def _events(self, block_ms: int) -> tuple[list[Event], DispatchView | None]:
        """Wait for events, and read the view with them if the next event probably starts a run.

        Otherwise the view would only keep Redis from the steps of the running runs.
        """
        assert self._after is not None
        if self._expected <= 0:
            return self._ledger.view_after_events(self._after, block_ms=block_ms)
        events = self._ledger.events(self._after, block_ms=block_ms)
        self._expected = self._expected - len(events) if events else 0
        return events, None
