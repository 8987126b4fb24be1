"""Comparisons of snapshots in Redis: stored, listed, retained and removed, with damage, and the management flows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from app.changes.asking import ask_both
from app.changes.questions import assemble, recent_questions, rows_of
from app.changes.removing import remove_comparison
from app.changes.reporting import NoReport, progress_of, report_of
from app.changes.what_if import NOTE
from ledger.changes.records import KEPT, Change
from ledger.errors import BadInput, ChangeNotFound, NetworkNotFound, SnapshotNotFound, SnapshotNotReady, TooManyWaiting
from ledger.events import Kind
from ledger.redis import keys
from ledger.runs.run import State
from ledger.settings import load_settings
from ledger.snapshots.records import SnapshotState
from ledger.store import Ledger
from tests.support.compared import AFTER, BEFORE, BLOCKED, a_change, answer, answer_both, push, two_snapshots
from tests.support.results import answer_with
from tests.support.runs import running
from tests.support.server import Server
from tests.support.stand_in_pool import answered
from tests.support.web import ROOT

ROWS = "10.1.10.20, 10.3.20.8, 22,443\n10.1.10.21, 10.3.20.8, 22\n"
FLOW = "10.1.99.10, 10.3.20.1, 22"


def asked(ledger: Ledger, rows: str = ROWS, **more: str) -> Change:
    """A comparison of the two snapshots by these rows."""
    return ask_both(ledger, "current", AFTER, assemble(ledger, rows_of(rows)), user="ada", **more)


def test_a_comparison_is_returned_as_it_was_stored(ledger: Ledger) -> None:
    stored = ledger.add_change(a_change())
    assert stored.created_ms > 0
    assert stored == replace(a_change(), created_ms=stored.created_ms)
    assert ledger.change(stored.id) == stored
    assert ledger.changes() == [stored]
    (event,) = ledger.events("0-0", block_ms=None)
    assert (event.kind, event.bench, event.fields["by"]) == (Kind.COMPARED, "main", "ada")
    assert event.fields["change"] == stored.id


def test_comparisons_are_listed_newest_first(ledger: Ledger, client: redis.Redis) -> None:
    for number in range(4):
        ledger.add_change(a_change(number))
        client.zadd("reachq:main:changes", {a_change(number).id: number})  # they may have the same ms
    ids = [a_change(number).id for number in (3, 2, 1, 0)]
    assert [one.id for one in ledger.changes()] == ids == ledger.change_ids()
    assert [one.id for one in ledger.changes(limit=2)] == ids[:2]


def test_a_second_one_with_the_same_id_changes_nothing(ledger: Ledger) -> None:
    first = ledger.add_change(a_change())
    assert ledger.add_change(replace(a_change(), note="another")) == first
    assert ledger.changes() == [first]


def test_the_oldest_beyond_the_number_kept_are_forgotten(ledger: Ledger, client: redis.Redis) -> None:
    for number in range(KEPT + 3):
        ledger.add_change(a_change(number))
        client.zadd("reachq:main:changes", {a_change(number).id: number + 1})
    assert ledger.change_ids() == [a_change(number).id for number in range(KEPT + 2, 2, -1)]
    assert len(list(client.scan_iter("reachq:main:change:*"))) == KEPT
    for number in range(3):
        with pytest.raises(ChangeNotFound):
            ledger.change(a_change(number).id)


def test_a_comparison_is_removed_once(ledger: Ledger, client: redis.Redis) -> None:
    ledger.add_change(a_change())
    ledger.add_change(a_change(1))
    ledger.remove_change(a_change().id, by="bob")
    assert ledger.change_ids() == [a_change(1).id]
    event = ledger.events("0-0", block_ms=None)[-1]
    assert (event.kind, event.fields["by"]) == (Kind.COMPARISON_REMOVED, "bob")
    with pytest.raises(ChangeNotFound, match="There is no comparison 00000000-"):
        ledger.remove_change(a_change().id, by="bob")


def test_the_network_must_exist(ledger: Ledger) -> None:
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    ledger.remove_network("lab", by="ada")
    with pytest.raises(NetworkNotFound):
        lab.add_change(a_change())


def test_retention_keeps_the_snapshots_that_comparisons_name(server: Server) -> None:
    settings = load_settings(redis_url=server.url, network=ROOT / "networks" / "campus", keep_snapshots=1)
    with Ledger.connect(settings) as ledger:
        for number in range(6):
            push(ledger, f"{number:012x}")
        ledger.add_change(a_change(before=f"{0:012x}", after=f"{2:012x}"))
        assert sorted(ledger.retain_snapshots()) == [f"{number:012x}" for number in (1, 3, 4)]
        ledger.remove_change(a_change().id, by="ada")
        assert sorted(ledger.retain_snapshots()) == [f"{number:012x}" for number in (0, 2)]


def test_removing_a_network_removes_its_comparisons_and_flows(ledger: Ledger, client: redis.Redis) -> None:
    """A damaged comparison, too. Those of other networks stay."""
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    for one in (ledger, lab):
        one.add_change(a_change())
        one.add_change(a_change(1))
        one.set_management_flows(FLOW, by="ada")
    client.hdel("reachq:lab:change:" + a_change(1).id, "before")
    ledger.remove_network("lab", by="ada")
    assert not list(client.scan_iter("reachq:lab:*"))
    assert len(ledger.changes()) == 2
    assert ledger.management_flows() == FLOW


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", ""),
        ("before", "../x"),
        ("after", ""),
        ("runs_before", " "),
        ("runs_after", ""),
        ("questions", "many"),
        ("questions", "0"),
        ("created_ms", "-1"),
        ("guarded", "1 x"),
    ],
)
def test_a_damaged_record_is_passed_over(ledger: Ledger, client: redis.Redis, field: str, value: str) -> None:
    good, bad = ledger.add_change(a_change()), a_change(1)
    ledger.add_change(bad)
    client.hset(f"reachq:main:change:{bad.id}", field, value)
    assert ledger.changes() == [good]
    with pytest.raises(ChangeNotFound):
        ledger.change(bad.id)
    ledger.remove_change(bad.id, by="ada")
    assert ledger.change_ids() == [good.id]


@pytest.mark.parametrize("how", ["gone", "another type"])
def test_a_comparison_without_its_record_can_be_removed(ledger: Ledger, client: redis.Redis, how: str) -> None:
    ledger.add_change(a_change())
    key = f"reachq:main:change:{a_change().id}"
    client.delete(key)
    if how == "another type":
        client.set(key, "x")
    assert ledger.changes() == []
    with pytest.raises(ChangeNotFound):
        ledger.change(a_change().id)
    ledger.remove_change(a_change().id, by="ada")
    assert ledger.change_ids() == []
    assert not client.exists(key)


def test_management_flows_are_stored_and_removed(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.management_flows() == ""
    ledger.set_management_flows(FLOW, by="ada")
    assert ledger.management_flows() == FLOW
    ledger.set_management_flows(" \n", by="ada")
    assert ledger.management_flows() == ""
    assert not client.exists(ledger.keys.flows)
    events = [(event.kind, event.fields["by"]) for event in ledger.events("0-0", block_ms=None)]
    assert events == [(Kind.FLOWS_CHANGED, "ada")] * 2
    ledger.add_network("lab", by="ada")
    lab = ledger.of_network("lab")
    ledger.remove_network("lab", by="ada")
    with pytest.raises(NetworkNotFound):
        lab.set_management_flows(FLOW, by="ada")


def test_the_same_questions_are_asked_in_both_snapshots(ledger: Ledger) -> None:
    """Each with the same source port in both, and the management flows after the rows."""
    two_snapshots(ledger)
    ledger.set_management_flows(FLOW, by="ada")
    change = asked(ledger, note_text="ticket 7")
    assert (change.before, change.after, change.questions, change.guarded) == (BEFORE, AFTER, 3, (3,))
    sides = [[ledger.questions(run) for run in runs] for runs in (change.runs_before, change.runs_after)]
    assert sides[0] == sides[1]
    assert [question.line for question in sides[0][0]] == [1, 2, 3]
    assert all(question.asked.source_port for question in sides[0][0])
    assert [ledger.run(run).snapshot for run in change.runs] == [BEFORE, AFTER]
    assert progress_of(ledger, change).answered == 0


def test_the_report_is_made_from_the_stored_answers(ledger: Ledger) -> None:
    two_snapshots(ledger)
    change = asked(ledger, expectation="version: 1\nlost: any\n")
    with pytest.raises(NoReport, match="0 of 4 questions are answered"):
        report_of(ledger, change)
    answer(ledger, change.runs_before, BEFORE)
    assert progress_of(ledger, change).answered == 2
    answer(ledger, change.runs_after, AFTER, {2: BLOCKED})
    report = report_of(ledger, change)
    assert report.impact.summary == "1 cell lost, 2 the same (3 cells of 2 questions)"
    assert [(one.line, one.kind, one.source_port) for one in report.impact.cells] == [(2, "lost", None)]
    assert report.judgement.exit_code == 0


def test_a_lost_management_flow_is_a_lock_out(ledger: Ledger) -> None:
    two_snapshots(ledger)
    ledger.set_management_flows(FLOW, by="ada")
    change = asked(ledger, expectation="version: 1\nlost: any\n")
    answer_both(ledger, change, after={3: BLOCKED})
    report = report_of(ledger, change)
    assert report.impact.counts.lock_outs == 1
    assert report.judgement.exit_code == 1


def test_one_that_cannot_be_asked_leaves_no_run(ledger: Ledger) -> None:
    """The runs of one side are cancelled if those of the other cannot be stored."""
    push(ledger, BEFORE)
    ledger.use_snapshot(BEFORE, by="ada")
    push(ledger, AFTER, SnapshotState.CHECKING)
    with pytest.raises(SnapshotNotReady):
        asked(ledger)
    ledger.settle_check(AFTER, SnapshotState.REFUSED, host="h1", problems=["x"], warnings=[])
    with pytest.raises(SnapshotNotReady, match="refused"):
        asked(ledger)
    with pytest.raises(SnapshotNotFound):
        ask_both(ledger, "current", "0" * 12, assemble(ledger, rows_of(ROWS)), user="ada")
    with pytest.raises(BadInput, match="after: 'current' is the same snapshot"):
        ask_both(ledger, BEFORE, "current", assemble(ledger, rows_of(ROWS)), user="ada")
    assert {run.state for run in ledger.runs()[0]} <= {State.CANCELLED}
    assert ledger.changes() == []


def test_the_limit_of_waiting_runs_leaves_no_run(server: Server) -> None:
    settings = load_settings(redis_url=server.url, network=ROOT / "networks" / "campus", waiting_max=3)
    with Ledger.connect(settings) as ledger:
        two_snapshots(ledger)
        rows = "".join(f"10.1.10.{number % 200 + 1}, 10.3.20.8, {number + 1}\n" for number in range(600))
        with pytest.raises(TooManyWaiting):
            asked(ledger, rows)
        assert {run.state for run in ledger.runs()[0]} <= {State.CANCELLED}
        assert ledger.changes() == []


def test_removing_a_comparison_cancels_its_runs_and_its_what_if(ledger: Ledger) -> None:
    push(ledger, BEFORE)
    ledger.use_snapshot(BEFORE, by="ada")
    push(ledger, AFTER, note=f"{NOTE}dc-fw/iptables.rules")
    change, second = asked(ledger), asked(ledger)
    answer(ledger, change.runs_before, BEFORE)
    remove_comparison(ledger, change, by="bob")
    assert [ledger.run(run).state for run in change.runs] == [State.DONE, State.CANCELLED]
    assert ledger.snapshot(AFTER).note, "another comparison has this snapshot"
    remove_comparison(ledger, second, by="bob")
    with pytest.raises(SnapshotNotFound):
        ledger.snapshot(AFTER)
    assert ledger.snapshot(BEFORE)


def test_a_snapshot_that_is_not_a_what_if_stays(ledger: Ledger) -> None:
    two_snapshots(ledger)
    remove_comparison(ledger, asked(ledger), by="ada")
    assert ledger.snapshot(AFTER)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cancelled", r"run [0-9a-f]{8} was cancelled"),
        ("gone", "its runs are no longer in the history"),
        ("damaged", r"the record of run [0-9a-f]{8} is damaged"),
    ],
)
def test_it_says_why_there_will_be_no_report(ledger: Ledger, client: redis.Redis, how: str, words: str) -> None:
    two_snapshots(ledger)
    change = asked(ledger)
    last = change.runs_after[0]
    if how == "cancelled":
        ledger.cancel(last, by="bob")
    elif how == "gone":
        ledger.cancel(last, by="bob")
        client.delete(keys.run(last))
    sound = client.hget(keys.run(last), "seq")
    if how == "damaged":
        client.hset(keys.run(last), "seq", "x")
    progress = progress_of(ledger, change)
    assert not progress.finished
    with pytest.raises(NoReport, match=words):
        report_of(ledger, change)
    if how == "damaged":
        client.hset(keys.run(last), "seq", str(sound))


def test_recent_questions_are_distinct_and_of_quick_runs(ledger: Ledger) -> None:

    for number in range(3):
        run = running(ledger, number=number)
        ledger.finish(run.id, run.token, answer_with(answered(run)))
    assert len(recent_questions(ledger)) == 1
    assert recent_questions(ledger, user="nobody-else") == []
