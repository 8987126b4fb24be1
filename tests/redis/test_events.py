"""Events: those about a run have its owner and its times, those by a user name the user; unknown kinds do no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from ledger.events import Event, Kind
from ledger.runs.records import Answer, Choice
from ledger.runs.run import Mode, Run
from ledger.store import Ledger
from tests.support.runs import DETAILED, QUICK, a_request, announced, leading, overdue, queue_of, submit_any, worker_of

EARLIER_MS = 60_000


def last(ledger: Ledger) -> Event:
    return ledger.events("0-0", count=10_000)[-1]


def begun(ledger: Ledger, run_id: str, mode: Mode = QUICK) -> Run:
    """Promote and begin a waiting run."""
    announced(ledger, mode)
    ledger.promote(leading(ledger), [Choice(run_id, mode, queue_of(mode))])
    run = ledger.begin(run_id, worker_of(queue_of(mode)))
    assert run is not None
    return run


def age(client: redis.Redis, run_id: str, field: str) -> None:
    """Move a time of the run's record into the past."""
    client.hincrby(f"reachq:run:{run_id}", field, -EARLIER_MS)


@pytest.mark.parametrize("mode", list(Mode))
def test_every_event_about_a_run_names_its_owner_and_mode(ledger: Ledger, client: redis.Redis, mode: Mode) -> None:
    run, called_off = (submit_any(ledger, mode, "anna") for _ in range(2))
    ledger.cancel(called_off.id, by="boss")
    ledger.give_back(run.id, begun(ledger, run.id, mode).token, "the bench is gone")
    begun(ledger, run.id, mode)
    overdue(client, run.id)
    ledger.reap(leading(ledger))
    third = begun(ledger, run.id, mode)
    ledger.progress(run.id, third.token, "walk", 50, "half way")
    ledger.cancel(run.id, by="boss")
    ledger.finish(run.id, third.token, Answer("YES"))
    about = [event for event in ledger.events("0-0") if event.run_id]
    assert {event.kind for event in about} == {
        *(Kind.SUBMITTED, Kind.PROMOTED, Kind.BEGUN, Kind.PROGRESS, Kind.RETURNED),
        *(Kind.CANCELLING, Kind.CANCELLED, Kind.FINISHED),
    }
    assert {(event.fields["user"], event.fields["mode"]) for event in about} == {("anna", str(mode))}
    assert {event.kind for event in about if event.fields.get("by") == "boss"} == {Kind.CANCELLING, Kind.CANCELLED}


def test_begun_says_how_long_it_waited_and_the_end_how_long_it_ran(ledger: Ledger, client: redis.Redis) -> None:
    run = ledger.submit(a_request())[0]
    age(client, run.id, "submitted_ms")
    attempt = begun(ledger, run.id)
    assert EARLIER_MS <= int(last(ledger).fields["wait_ms"]) < EARLIER_MS + 5000
    age(client, run.id, "started_ms")
    ledger.finish(run.id, attempt.token, Answer("NO"))
    ended = last(ledger)
    assert EARLIER_MS <= int(ended.fields["run_ms"]) < EARLIER_MS + 5000
    assert (ended.kind, ended.fields["verdict"]) == ("finished", "NO")


@pytest.mark.parametrize("lost", ["lease", "begin", "", "exhausted"])
def test_what_came_to_nothing_says_whether_it_was_lost(ledger: Ledger, client: redis.Redis, lost: str) -> None:
    run = ledger.submit(a_request())[0]
    if lost == "begin":
        announced(ledger)
        ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue_of(QUICK))])
    else:
        attempt = begun(ledger, run.id)
    if lost == "exhausted":
        client.hset(f"reachq:run:{run.id}", "attempt", 3)
    if lost:
        overdue(client, run.id)
        ledger.reap(leading(ledger))
    else:
        ledger.give_back(run.id, attempt.token, "the bench is gone")
    event = last(ledger)
    assert event.kind is (Kind.FAILED if lost == "exhausted" else Kind.RETURNED)
    assert event.fields["lost"] == ("lease" if lost == "exhausted" else lost)
    assert int(event.fields["run_ms"]) >= 0


def test_a_run_whose_times_cannot_be_read_begins_and_ends_all_the_same(ledger: Ledger, client: redis.Redis) -> None:
    run = ledger.submit(a_request(DETAILED))[0]
    client.hset(f"reachq:run:{run.id}", "submitted_ms", "")
    announced(ledger, DETAILED)
    ledger.promote(leading(ledger), [Choice(run.id, DETAILED, queue_of(DETAILED))])
    client.hset(f"reachq:run:{run.id}", "submitted_ms", "1")
    attempt = ledger.begin(run.id, worker_of(queue_of(DETAILED)))
    assert attempt is not None
    client.hdel(f"reachq:run:{run.id}", "started_ms")
    assert ledger.finish(run.id, attempt.token, Answer("YES"))
    assert last(ledger).fields["run_ms"] == "0"


def test_a_kind_of_a_newer_version_is_passed_on_as_it_is(ledger: Ledger, client: redis.Redis) -> None:
    client.xadd("reachq:events", {"kind": "repainted", "bench": "main", "colour": "green"})
    client.xadd("reachq:events", {"colour": "green"})
    newer, none = ledger.events("0-0")
    assert (newer.kind, newer.bench, newer.fields) == ("repainted", "main", {"colour": "green"})
    assert (none.kind, none.run_id, none.bench) == ("", "", "")


def test_the_guide_lists_every_kind() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "api.md").read_text().partition("## Live events")[2]
    assert [kind for kind in Kind if f"`{kind}`" not in guide] == []
