"""Pause, resume, restart: nothing starts while paused, a restart is requested once, and the user is recorded."""

from __future__ import annotations

import pytest
import redis

from ledger.errors import BadInput
from ledger.events import Kind
from ledger.runs.records import Answer, Choice, Pause, Promotion
from ledger.runs.run import State
from ledger.store import Ledger
from tests.support.runs import DETAILED, QUICK, announced, kinds, leading, queue_of, running, submitted
from tests.support.waiting import wait_until


def test_a_pause_is_known_to_all_until_it_ends(ledger: Ledger, client: redis.Redis) -> None:
    assert (ledger.paused(), ledger.view().paused) == (None, None)
    assert ledger.pause("anna", "new  firmware\nfacts")
    pause = ledger.paused()
    assert pause is not None
    assert pause.since_ms == ledger.events("0-0")[-1].ms
    assert (pause.by, pause.why) == ("anna", "new firmware facts")
    assert ledger.view().paused == Pause("anna", "new firmware facts", pause.since_ms)
    assert ledger.resume("bert")
    assert (ledger.paused(), ledger.view().paused) == (None, None)
    assert not client.exists("reachq:main:paused")
    events = [(event.kind, event.bench, event.fields) for event in ledger.events("0-0")]
    assert events == [
        (Kind.PAUSED, "main", {"by": "anna", "why": "new firmware facts"}),
        (Kind.RESUMED, "main", {"by": "bert"}),
    ]


def test_the_first_pause_stays_and_ends_once(ledger: Ledger) -> None:
    assert ledger.pause("anna", "new facts")
    assert not ledger.pause("bert", "lunch")
    pause = ledger.paused()
    assert pause is not None
    assert (pause.by, pause.why) == ("anna", "new facts")
    assert ledger.resume("bert")
    assert not ledger.resume("anna")
    assert kinds(ledger) == ["paused", "resumed"]


@pytest.mark.parametrize("why", ["x" * 201, "a\x00b", "a\x1b[2Jb"])
def test_a_reason_that_cannot_be_shown_is_refused(ledger: Ledger, why: str) -> None:
    with pytest.raises(BadInput, match=r"why: .* at most 200 printable"):
        ledger.pause("anna", why)
    assert ledger.paused() is None


@pytest.mark.parametrize("mode", [QUICK, DETAILED])
def test_nothing_is_promoted_while_it_is_paused(ledger: Ledger, mode: str) -> None:
    chosen = QUICK if mode == "quick" else DETAILED
    announced(ledger, chosen, 2)
    runs = [submitted(ledger, chosen) for _ in range(2)]
    choices = [Choice(run.id, chosen, queue_of(chosen, number)) for number, run in enumerate(runs)]
    ledger.pause("anna")
    assert [outcome.status for outcome in ledger.promote(leading(ledger), choices)] == [Promotion.PAUSED] * 2
    assert {ledger.run(run.id).state for run in runs} == {State.PENDING}
    ledger.resume("anna")
    assert ledger.promote(leading(ledger), choices)[0].status is Promotion.PROMOTED


def test_what_runs_goes_on_to_its_end(ledger: Ledger) -> None:
    run = running(ledger)
    ledger.pause("anna")
    assert ledger.renew(run.id, run.token).alive
    assert ledger.finish(run.id, run.token, Answer("YES"))
    assert submitted(ledger).state is State.PENDING


def test_a_full_store_can_be_paused_and_resumed(ledger: Ledger, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    assert ledger.pause("anna")
    assert ledger.resume("anna")


def test_a_restart_is_asked_for_once_and_taken_once(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.take_restart() is None
    assert ledger.restart_bench("anna b 7")
    assert not ledger.restart_bench("bert")
    assert 0 < client.pttl("reachq:main:restart") <= 60_000
    assert ledger.take_restart() == "anna b 7"
    assert ledger.take_restart() is None
    assert ledger.restart_bench("bert")
    events = [(event.kind, event.bench, event.fields["by"]) for event in ledger.events("0-0")]
    assert events == [(Kind.RESTART, "main", "anna b 7"), (Kind.RESTART, "main", "bert")]


def test_a_request_nobody_takes_lapses(ledger: Ledger, client: redis.Redis) -> None:
    ledger.restart_bench("anna")
    client.pexpire("reachq:main:restart", 1)
    wait_until(lambda: ledger.take_restart() is None, 2, "it has lapsed")
    assert ledger.restart_bench("anna")
