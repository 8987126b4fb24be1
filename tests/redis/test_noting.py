"""The audit trail: user actions are in the stream with all other events, and are read from the newest back."""

from __future__ import annotations

import pytest
import redis

from ledger.errors import BadInput
from ledger.events import AUDIT, Event, Kind
from ledger.people import audit
from ledger.store import Ledger
from tests.support.runs import a_request, leading, submitted


def test_a_note_is_an_event_of_no_bench_and_no_run(ledger: Ledger) -> None:
    ledger.note("user-changed", "boss", user="anna", role="viewer")
    (event,) = ledger.events("0-0")
    assert (event.kind, event.run_id, event.bench) == (Kind.USER_CHANGED, "", "")
    assert event.fields == {"by": "boss", "user": "anna", "role": "viewer"}
    assert event.kind in AUDIT


def test_values_are_cut_and_a_full_store_still_takes_them(ledger: Ledger, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    ledger.note(Kind.SIGN_IN_FAILED, "x" * 10_000, address="y" * 10_000)
    (event,) = ledger.events("0-0")
    assert event.fields == {"by": "x" * 200, "address": "y" * 200}


def test_the_stream_stays_capped(ledger: Ledger, client: redis.Redis) -> None:
    with Ledger.connect(ledger.settings.model_copy(update={"events_max": 1000})) as ledger:
        for _ in range(1500):
            ledger.note("signed-in", "anna")
    assert client.xlen("reachq:events") < 1200


@pytest.fixture
def trail(ledger: Ledger) -> list[Event]:
    """Events of every kind, newest first."""
    leading(ledger)
    for number in range(12):
        run = ledger.submit(a_request(), user="anna" if number % 3 else "bert")[0]
        if number % 2:
            ledger.cancel(run.id, by="boss" if number % 3 else "anna")
        ledger.note("signed-in", "anna")
    ledger.pause("boss", "why")
    ledger.resume("boss")
    return ledger.events("0-0", count=1000)[::-1]


def whole(ledger: Ledger, **asked: object) -> list[Event]:
    """Read page by page to the end."""
    found: list[Event] = []
    before = "+"
    while before:
        page, before = ledger.audit(before=before, limit=3, **asked)  # type: ignore[arg-type]
        assert len(page) <= 3
        found += page
    return found


@pytest.mark.parametrize("page", [1, 4, 500])
def test_the_trail_is_read_from_the_newest_back(
    ledger: Ledger, trail: list[Event], monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(audit, "PAGE", page)
    assert whole(ledger) == trail
    assert whole(ledger, kinds=["cancelled", "paused"]) == [e for e in trail if e.kind in ("cancelled", "paused")]
    assert whole(ledger, kinds=()) == []
    assert whole(ledger, user="bert") == [e for e in trail if e.fields.get("user") == "bert"]
    boss = [e for e in trail if e.fields.get("by") == "boss"]
    assert whole(ledger, user="boss") == boss
    assert {e.kind for e in boss} == {"cancelled", "paused", "resumed"}
    run_id = trail[-2].run_id
    assert run_id
    assert whole(ledger, run=run_id) == [e for e in trail if e.run_id == run_id]


def test_one_call_looks_at_no_more_than_it_may(
    ledger: Ledger, trail: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    monkeypatch.setattr(audit, "LOOKED_AT_MAX", 4)
    found, before = ledger.audit(kinds=["led"])
    assert (found, before) == ([], trail[3].id)
    assert [event.kind for event in whole(ledger, kinds=["led"])] == ["led"]


def test_an_empty_trail_and_a_place_that_is_none(ledger: Ledger) -> None:
    assert ledger.audit() == ([], "")
    submitted(ledger)
    assert ledger.audit(before="0-1") == ([], "")
    for wrong in ("", "-", "$", "1-1-1", "(1-1"):
        with pytest.raises(BadInput, match="before"):
            ledger.audit(before=wrong)
