"""begin, renew, finish, progress: only for the holder of the token, and one accepted answer."""

from __future__ import annotations

import pytest
import redis

from ledger.errors import QueueTaken, StoreDamaged, StoreFull
from ledger.runs.records import Answer
from ledger.runs.run import State
from ledger.store import Ledger
from tests.support.results import answer_with, stored
from tests.support.runs import (
    DETAILED,
    QUICK,
    announced,
    idle_queues,
    kinds,
    leading,
    overdue,
    promoted,
    queue_of,
    running,
    submitted,
    worker_of,
)

WORKER = worker_of(queue_of(QUICK))


def test_begin_hands_the_whole_run_to_its_worker_once(ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    begun = ledger.begin(run.id, WORKER)
    assert begun is not None
    assert begun == ledger.run(run.id)
    assert (begun.state, begun.worker, begun.token, begun.fence) == (State.RUNNING, WORKER, run.token, run.fence)
    assert client.zscore("reachq:main:leases", run.id) == begun.started_ms + 3000
    assert next(lane.worker for lane in ledger.lanes() if lane.leased) == WORKER
    assert ledger.begin(run.id, "another worker") is None
    assert kinds(ledger)[-1] == "begun"


def test_a_worker_whose_begin_was_answered_and_not_heard_begins_once(ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    begun = ledger.begin(run.id, WORKER)
    overdue(client, run.id)
    assert ledger.begin(run.id, WORKER) == begun, "the reply was lost, and the worker asks again"
    assert ledger.reap(leading(ledger)) == [], "the second answer renews the lease"
    assert kinds(ledger).count("begun") == 1
    assert begun is not None
    assert ledger.finish(run.id, begun.token, Answer("YES"))
    assert ledger.begin(run.id, WORKER) is None


def test_begin_is_for_a_promoted_run_of_this_worker(ledger: Ledger) -> None:
    assert ledger.begin("00000000-0000-4000-8000-000000000000", WORKER) is None
    assert ledger.begin(submitted(ledger).id, WORKER) is None
    run = promoted(ledger)
    announced(ledger, QUICK, 2)
    assert ledger.begin(run.id, worker_of(queue_of(QUICK, 1))) is None
    ledger.cancel(run.id)
    assert ledger.begin(run.id, WORKER) is None


def test_a_restarted_worker_of_the_queue_takes_the_run_up_and_the_old_one_does_not(ledger: Ledger) -> None:
    run = promoted(ledger)
    ledger.announce("its successor", queue_of(QUICK), QUICK, 2, dead=WORKER)
    assert ledger.begin(run.id, WORKER) is None
    with pytest.raises(QueueTaken, match="its successor"):
        ledger.begin(run.id, WORKER, queue_of(QUICK))
    assert ledger.begin(run.id, "its successor") is not None


def test_renew_pushes_the_deadline_on_and_counts_as_a_sign_of_life(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    overdue(client, run.id)
    client.zadd("reachq:main:workers", {queue_of(QUICK): 1})
    renewal = ledger.renew(run.id, run.token)
    assert (renewal.alive, renewal.cancelling) == (True, False)
    deadline = client.zscore("reachq:main:leases", run.id)
    assert deadline is not None
    assert deadline >= run.started_ms + 3000
    assert ledger.workers()[0].alive
    assert ledger.reap(leading(ledger)) == []


@pytest.mark.parametrize("ended", ["finish", "reap", "cancel"])
def test_a_lost_attempt_can_do_nothing_any_more(ledger: Ledger, client: redis.Redis, ended: str) -> None:
    run = running(ledger)
    if ended == "finish":
        ledger.finish(run.id, run.token, Answer("NO"))
    elif ended == "reap":
        overdue(client, run.id)
        ledger.reap(leading(ledger))
    else:
        ledger.cancel(run.id)
        ledger.stopped(run.id, run.token)
    before = ledger.run(run.id)
    assert not ledger.renew(run.id, run.token).alive
    assert not ledger.finish(run.id, run.token, Answer("YES"))
    assert not ledger.fail(run.id, run.token, "late")
    assert not ledger.stopped(run.id, run.token)
    assert not ledger.give_back(run.id, run.token, "late")
    assert not ledger.progress(run.id, run.token, "late", 1, "")
    assert ledger.run(run.id) == before


def test_another_token_can_do_nothing(ledger: Ledger) -> None:
    run = running(ledger)
    for token in ("", "0" * 16, run.token + "0"):
        assert not ledger.renew(run.id, token).alive
        assert not ledger.finish(run.id, token, Answer("YES"))
        assert not ledger.give_back(run.id, token, "why")
        assert not ledger.progress(run.id, token, "p", 1, "")
    assert ledger.run(run.id) == run


def test_an_empty_token_ends_no_promoted_run(ledger: Ledger) -> None:
    run = promoted(ledger)
    assert not ledger.finish(run.id, run.token, Answer("YES")), "it was not begun"
    assert ledger.run(run.id) == run


def test_the_answer_is_kept_and_everything_given_back(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    document = {"run_id": run.id, "verdict": "NO", "caveats": ["ä"], "services": [{"port": None}]}
    assert ledger.finish(run.id, run.token, answer_with(document))
    ended = ledger.run(run.id)
    assert (ended.state, ended.verdict, ended.dscp) == (State.DONE, "NO", run.dscp)
    assert ended.finished_ms >= run.started_ms
    assert stored(ledger, run.id) == document
    assert not any(lane.leased for lane in ledger.lanes())
    assert ledger.workers()[0].run == ""
    assert client.zcard("reachq:main:leases") == 0
    assert kinds(ledger)[-1] == "finished"
    assert idle_queues(ledger, QUICK) == [queue_of(QUICK)]


def test_a_detailed_run_ends_without_a_lane(ledger: Ledger) -> None:
    run = running(ledger, DETAILED)
    assert run.dscp is None
    assert ledger.finish(run.id, run.token, Answer("UNKNOWN"))
    assert ledger.run(run.id).verdict == "UNKNOWN"


def test_a_failed_run_says_why(ledger: Ledger) -> None:
    run = running(ledger)
    assert ledger.fail(run.id, run.token, "the bench does not know router x")
    ended = ledger.run(run.id)
    assert (ended.state, ended.error) == (State.FAILED, "the bench does not know router x")
    assert ledger.result(run.id) is None
    assert kinds(ledger)[-1] == "failed"


def test_progress_is_kept_in_order(ledger: Ledger) -> None:
    run = running(ledger)
    for percent, phase in ((10, "build"), (90, "read")):
        assert ledger.progress(run.id, run.token, phase, percent, "so far")
    entries = ledger.log(run.id)
    assert [(entry.phase, entry.percent, entry.message) for entry in entries] == [
        ("build", 10, "so far"),
        ("read", 90, "so far"),
    ]
    assert all(entry.ms >= run.started_ms for entry in entries)


def test_what_runs_goes_on_when_the_store_is_full(ledger: Ledger, client: redis.Redis) -> None:
    done, lost, waiting = running(ledger), running(ledger, number=1), promoted(ledger, number=2)
    overdue(client, lost.id)
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull):
        submitted(ledger)
    assert ledger.renew(done.id, done.token).alive
    assert ledger.finish(done.id, done.token, Answer("YES"))
    assert ledger.begin(waiting.id, worker_of(queue_of(QUICK, 2))) is not None
    assert [reaped.run_id for reaped in ledger.reap(leading(ledger))] == [lost.id]
    assert ledger.cancel(waiting.id).cancelling
    assert ledger.cancel(lost.id).state is State.CANCELLED
    assert not ledger.announce(WORKER, queue_of(QUICK), QUICK, 1)


WRONG = ["reachq:main:leases", "reachq:finished", "reachq:events", "reachq:main:dscp:leased"]


@pytest.mark.parametrize("key", WRONG)
def test_a_key_of_a_wrong_type_leaves_no_half_ended_run(ledger: Ledger, client: redis.Redis, key: str) -> None:
    run = running(ledger)
    if client.exists(key):
        client.rename(key, "rq:aside")
    client.set(key, "x")
    before = client.hgetall(f"reachq:run:{run.id}")
    with pytest.raises(StoreDamaged):
        ledger.finish(run.id, run.token, Answer("YES"))
    assert client.hgetall(f"reachq:run:{run.id}") == before
    assert ledger.result(run.id) is None
    client.delete(key)
    if client.exists("rq:aside"):
        client.rename("rq:aside", key)
    assert ledger.finish(run.id, run.token, Answer("YES"))
