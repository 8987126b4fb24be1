"""How long a leader trusts its lock, on a simulated clock, and when it wakes for the next lease."""

from __future__ import annotations

import pytest

from compat_dispatcher.leader import TRUST, Leadership
from compat_dispatcher.reaper import Reaper
from ledger.errors import StoreUnavailable
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.runs import running


class Clock:
    """A clock that advances only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Slow(Ledger):
    """A ledger whose next reply about the lock takes `late_s`, or never comes."""

    clock: Clock
    late_s = 0.0
    away = False

    def lead(self, dispatcher_id: str) -> int | None:
        if self.away:
            raise StoreUnavailable
        epoch = super().lead(dispatcher_id)
        self.clock.now += self.late_s
        return epoch


@pytest.fixture
def slow(settings: Settings, ledger: Ledger) -> Slow:
    slow = Slow(ledger.connection, settings)
    slow.clock = Clock()
    return slow


@pytest.fixture
def leadership(settings: Settings, slow: Slow) -> Leadership:
    return Leadership(slow, "d1", settings, slow.clock)


@pytest.fixture
def lock_s(settings: Settings) -> float:
    """How long Redis keeps the lock."""
    return settings.leader_ms / 1000


def test_the_log_names_the_network(leadership: Leadership, caplog: pytest.LogCaptureFixture) -> None:
    """A dispatcher leads each network separately."""
    caplog.set_level("INFO", "reachq.dispatcher")
    leadership.keep()
    assert "d1 leads network main, epoch 1" in caplog.messages


def test_a_lock_that_is_not_renewed_is_no_longer_trusted(leadership: Leadership, slow: Slow, lock_s: float) -> None:
    """Fails when Leadership.epoch does not ask the clock."""
    assert leadership.keep() == 1
    slow.away = True
    slow.clock.now += lock_s * TRUST - 0.01
    assert leadership.epoch == 1
    slow.clock.now += 0.02
    assert leadership.epoch is None
    assert leadership.keep() is None
    assert leadership.epoch is None


def test_the_trust_ends_before_the_lock_however_late_the_answer(
    leadership: Leadership, slow: Slow, lock_s: float
) -> None:
    """Fails when it is counted from the answer: the lock may have been set right after the question."""
    slow.late_s = lock_s
    assert leadership.keep() is None
    slow.late_s = 0.0
    assert leadership.keep() == 1


def test_a_renewal_prolongs_it_and_is_asked_for_in_time(leadership: Leadership, slow: Slow, lock_s: float) -> None:
    assert leadership.keep() == 1
    for _ in range(5):
        slow.clock.now += leadership.due_s
        assert leadership.epoch == 1, "it is asked for before the trust ends"
        assert leadership.keep() == 1
    assert leadership.due_s < lock_s * TRUST / 2, "one renewal may be lost"


def test_a_renewal_that_failed_is_repeated_soon(leadership: Leadership, slow: Slow, settings: Settings) -> None:
    leadership.keep()
    slow.clock.now += leadership.due_s
    slow.away = True
    assert leadership.keep() == 1
    assert 0 < leadership.due_s <= settings.leader_renew_ms / 2000


def test_one_that_was_deposed_stops_at_once_and_asks_again(leadership: Leadership, slow: Slow) -> None:
    leadership.keep()
    leadership.depose()
    assert leadership.epoch is None
    assert leadership.due_s == 0
    assert leadership.keep() == 1


def test_one_that_another_has_replaced_follows(leadership: Leadership, slow: Slow, settings: Settings) -> None:
    leadership.keep()
    slow.resign("d1")
    assert slow.lead("d2") == 2
    slow.clock.now += leadership.due_s
    assert leadership.keep() is None
    assert 0 < leadership.due_s <= settings.leader_renew_ms / 1000
    leadership.resign()
    assert slow.lead("d2") == 2, "it does not give back what is another's"


def test_one_that_resigns_gives_the_lock_back(leadership: Leadership, slow: Slow) -> None:
    """Fails when Leadership.resign does not reach Redis: another dispatcher could lead only after the lock has expired."""
    leadership.keep()
    leadership.resign()
    assert slow.leader() is None
    assert leadership.epoch is None


def test_the_reaper_wakes_when_the_first_lease_ends(settings: Settings, ledger: Ledger) -> None:
    """Fails when Reaper.note makes it due at once, or never: it would reap repeatedly, or not at all."""
    long = settings.model_copy(update={"lease_ms": 60_000})
    reaper = Reaper(ledger, long)
    assert reaper.due_s is None
    running(Ledger(ledger.connection, long))
    view = ledger.view()
    reaper.note(view, started=0, ended=0)
    assert view.deadline_ms is not None
    left_s = (view.deadline_ms - view.now_ms) / 1000
    assert reaper.due_s is not None
    assert 0 < reaper.due_s <= left_s + 0.001
    reaper.note(view, started=1, ended=0)
    assert reaper.due_s <= min(long.begin_ms, long.lease_ms) / 1000 + 0.001
