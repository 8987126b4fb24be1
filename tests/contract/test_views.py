"""What everybody may look at: runs by page, the queue, lanes, workers, bench, events."""

from __future__ import annotations

import pytest
import redis

from ledger.errors import QueueTaken, RunNotFound, StoreDamaged
from ledger.runs.records import Answer, Report
from ledger.runs.run import State
from ledger.store import Ledger
from tests.support.bench_report import reported
from tests.support.runs import DETAILED, QUICK, announced, kinds, promoted, queue_of, running, submitted


def test_a_run_there_is_not(ledger: Ledger) -> None:
    with pytest.raises(RunNotFound, match="00000000"):
        ledger.run("00000000-0000-4000-8000-000000000000")
    assert ledger.result("00000000-0000-4000-8000-000000000000") is None
    assert ledger.log("00000000-0000-4000-8000-000000000000") == []


def test_a_record_that_cannot_be_read_is_named(ledger: Ledger, client: redis.Redis) -> None:
    run = submitted(ledger)
    client.hset(f"reachq:run:{run.id}", "state", "lost")
    with pytest.raises(StoreDamaged, match=run.id):
        ledger.run(run.id)
    client.hset(f"reachq:run:{run.id}", "state", "pending")


@pytest.fixture
def everywhere(ledger: Ledger) -> dict[str, list[str]]:
    """Runs in every state, ids newest first."""
    ended = [running(ledger, number=number) for number in range(3)]
    for run in ended[:2]:
        ledger.finish(run.id, run.token, Answer("YES"))
    ledger.fail(ended[2].id, ended[2].token, "why")
    on_bench = [running(ledger), promoted(ledger, number=1)]
    quick = [submitted(ledger) for _ in range(4)]
    detailed = [submitted(ledger, DETAILED) for _ in range(3)]
    cancelled = ledger.cancel(quick.pop(1).id)
    return {
        name: [run.id for run in reversed(runs)]
        for name, runs in {
            "detailed": detailed,
            "quick": quick,
            "held": on_bench,
            "ended": [*ended, cancelled],
            "done": ended[:2],
            "running": on_bench[:1],
        }.items()
    }


def test_all_runs_page_by_page(ledger: Ledger, everywhere: dict[str, list[str]]) -> None:
    order = [*everywhere["detailed"], *everywhere["quick"], *everywhere["held"], *everywhere["ended"]]
    for limit in (1, 2, 5, 50):
        found = []
        for offset in range(0, len(order) + limit, limit):
            page, total = ledger.runs(offset=offset, limit=limit)
            assert total == len(order)
            found += [run.id for run in page]
        assert sorted(found[-4:]) == sorted(order[-4:]), "ended in one millisecond may stand in any order"
        assert found[:-4] == order[:-4]


@pytest.mark.parametrize(
    ("state", "name"), [(State.DONE, "done"), (State.RUNNING, "running"), (State.PENDING, "waiting")]
)
def test_runs_of_one_state(ledger: Ledger, everywhere: dict[str, list[str]], state: State, name: str) -> None:
    expected = everywhere.get(name) or everywhere["detailed"] + everywhere["quick"]
    page, total = ledger.runs(state=state)
    assert {run.id for run in page} == set(expected)
    assert total == len(expected)
    assert {run.state for run in page} == {state}
    assert len(ledger.runs(state=state, offset=1, limit=1)[0]) == min(1, total - 1)


def test_the_queue_is_a_window_in_order(ledger: Ledger, everywhere: dict[str, list[str]]) -> None:
    queue = ledger.queue(limit=4)
    assert [run.id for run in queue.running] == everywhere["held"][::-1]
    assert [run.seq for run in queue.waiting] == sorted(run.seq for run in queue.waiting)
    assert (len(queue.waiting), queue.waiting_total) == (4, 6)
    assert {run.id for run in queue.finished} == set(everywhere["ended"])
    assert queue.finished_total == 4
    assert all(run.dscp for run in queue.running)


def test_an_empty_ledger_is_nothing_special(ledger: Ledger) -> None:
    assert ledger.runs() == ([], 0)
    assert ledger.queue().waiting == []
    assert [lane.dscp for lane in ledger.lanes()] == list(range(32, 64))
    assert (ledger.workers(), ledger.leader(), ledger.bench_status()) == ([], None, {})
    assert ledger.events("0-0") == []
    assert ledger.last_event_id() == "0-0"
    assert ledger.view().waiting == []
    ledger.ping()


def test_workers_come_and_go(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.announce("w", queue_of(QUICK), QUICK, 12)
    assert not ledger.announce("w", queue_of(QUICK), QUICK, 12)
    (worker,) = ledger.workers()
    assert (worker.name, worker.queue, worker.mode, worker.pid) == ("w", queue_of(QUICK), "quick", 12)
    assert (worker.alive, worker.run) == (True, "")
    client.zadd("reachq:main:workers", {queue_of(QUICK): 1})
    assert not ledger.workers()[0].alive
    assert ledger.announce("w", queue_of(QUICK), QUICK, 12), "it had fallen silent"
    with pytest.raises(QueueTaken) as refused:
        ledger.announce("v", queue_of(QUICK), QUICK, 13)
    assert (refused.value.holder, refused.value.pid, refused.value.queue) == ("w", 12, queue_of(QUICK))
    with pytest.raises(QueueTaken):
        ledger.announce("v", queue_of(QUICK), QUICK, 13, dead="another")
    assert ledger.announce("v", queue_of(QUICK), QUICK, 13, dead="w"), "its process is known to have ended"
    with pytest.raises(QueueTaken):
        ledger.announce("w", queue_of(QUICK), QUICK, 12)
    assert not ledger.withdraw("w")
    assert ledger.withdraw("v")
    assert ledger.workers() == []
    assert kinds(ledger) == ["worker", "worker", "worker", "withdrawn"]


def test_workers_silent_for_an_hour_are_forgotten_unless_a_run_is_theirs(ledger: Ledger, client: redis.Redis) -> None:
    running(ledger, number=1)
    announced(ledger, QUICK, 3)
    client.zadd("reachq:main:workers", {queue_of(QUICK, number): 1 for number in range(3)})
    ledger.announce("w", queue_of(DETAILED), DETAILED, 1)
    assert {worker.queue for worker in ledger.workers()} == {queue_of(QUICK, 1), queue_of(DETAILED)}
    assert client.exists(f"reachq:main:worker:{queue_of(QUICK, 0)}") == 0


def test_what_the_bench_reports(ledger: Ledger) -> None:
    status = {"state": "up", "facts": "3f2a", "routers": ["a", "b"], "attempts": 0, "since": None}
    assert ledger.report_bench({**status, "reported_ms": 0, "age_ms": 0})
    report = ledger.bench_status()
    assert reported(ledger).reported_ms > 0
    assert 0 <= reported(ledger).age_ms < 5000
    assert report == status | {"reported_ms": report["reported_ms"], "age_ms": report["age_ms"]}
    assert not ledger.report_bench({**status, "attempts": 3})
    assert ledger.bench_status()["attempts"] == 3
    assert ledger.report_bench({"state": "down"})
    assert "routers" not in ledger.bench_status()
    assert kinds(ledger) == ["bench", "bench"]


@pytest.mark.parametrize("moved_ms", [-11_000, 3_600_000], ids=["silent", "the clock was set back"])
def test_the_dispatcher_sees_what_the_bench_reports_and_when_it_is_silent(
    ledger: Ledger, client: redis.Redis, moved_ms: int
) -> None:
    assert ledger.view().hosts["local"].report is None, "it has never reported"
    ledger.report_bench({"state": "away", "error": "no bench answers"})
    assert ledger.view().hosts["local"].report == Report("away", "no bench answers")
    assert ledger.report_bench({"state": "up"})
    assert ledger.view().hosts["local"].report == Report("up")
    client.hset("reachq:main:status", "reported_ms", reported(ledger).reported_ms + moved_ms)
    assert ledger.view().hosts["local"].report == Report("up", silent=True)
    assert ledger.report_bench({"state": "up"}), "the dispatcher hears that the bench is back"
    assert ledger.view().hosts["local"].report == Report("up")


def test_events_after_an_id(ledger: Ledger) -> None:
    runs = [submitted(ledger) for _ in range(3)]
    every = ledger.events("0-0")
    assert [event.run_id for event in every] == [run.id for run in runs]
    assert [event.id for event in ledger.events(every[0].id)] == [event.id for event in every[1:]]
    assert ledger.last_event_id() == every[-1].id
    assert ledger.events(every[-1].id) == ledger.events("$") == []
    assert (every[0].bench, every[0].fields) == ("main", {"mode": "quick", "user": "api"})
    assert len(ledger.events("0-0", count=2)) == 2
