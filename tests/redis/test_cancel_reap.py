"""cancel, reap, give_back and trim: the ways in which a run leaves the bench without a result."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from ledger.errors import RunEnded, RunNotFound
from ledger.runs.records import Answer, Choice, Reaped
from ledger.runs.run import Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.runs import (
    DETAILED,
    QUICK,
    a_request,
    announced,
    kinds,
    leading,
    overdue,
    promoted,
    queue_of,
    running,
    submitted,
    worker_of,
)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_a_waiting_run_is_cancelled_wherever_it_stands(ledger: Ledger, client: redis.Redis, place: int) -> None:
    runs = [submitted(ledger) for _ in range(5)]
    cancelled = ledger.cancel(runs[place].id)
    assert cancelled.state is State.CANCELLED
    assert cancelled == ledger.run(cancelled.id)
    left = [run.id for run in runs if run.id != cancelled.id]
    assert client.lrange("reachq:main:pending:quick", 0, -1) == left
    assert not client.exists(f"rq:job:{cancelled.id}")
    assert set(client.zrange("rq:deferred:main-quick", 0, -1)) == set(left)
    assert kinds(ledger)[-1] == "cancelled"


@pytest.mark.parametrize("mode", [QUICK, DETAILED])
def test_a_promoted_run_gives_slot_and_lane_back_at_once(ledger: Ledger, client: redis.Redis, mode: str) -> None:
    run = promoted(ledger, QUICK if mode == "quick" else DETAILED)
    assert ledger.cancel(run.id).state is State.CANCELLED
    assert not ledger.view().running
    assert not any(lane.leased for lane in ledger.lanes())
    assert ledger.workers()[0].run == ""
    assert not client.exists(f"rq:queue:{queue_of(run.mode)}", f"rq:job:{run.id}")


def test_a_running_run_is_marked_and_its_worker_told(ledger: Ledger) -> None:
    run = running(ledger)
    marked = ledger.cancel(run.id)
    assert (marked.state, marked.cancelling) == (State.RUNNING, True)
    assert ledger.cancel(run.id) == marked
    assert ledger.renew(run.id, run.token).cancelling
    assert ledger.stopped(run.id, run.token)
    assert ledger.run(run.id).state is State.CANCELLED
    assert kinds(ledger)[-1] == "cancelled"


def test_an_answer_that_came_first_counts_although_it_was_being_cancelled(ledger: Ledger) -> None:
    run = running(ledger)
    ledger.cancel(run.id)
    assert ledger.finish(run.id, run.token, Answer("YES"))
    assert ledger.run(run.id).state is State.DONE


def test_what_cannot_be_cancelled_says_why(ledger: Ledger) -> None:
    with pytest.raises(RunNotFound, match="00000000"):
        ledger.cancel("00000000-0000-4000-8000-000000000000")
    run = submitted(ledger)
    ledger.cancel(run.id)
    with pytest.raises(RunEnded, match=run.id):
        ledger.cancel(run.id)


def test_a_lost_lease_puts_the_run_back_and_costs_the_attempt(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    overdue(client, run.id)
    assert ledger.reap(leading(ledger)) == [Reaped(run.id, State.PENDING)]
    back = ledger.run(run.id)
    assert (back.state, back.attempt, back.token, back.dscp, back.worker) == (State.PENDING, 1, "", None, "")
    assert ledger.workers()[0].run == ""
    event = ledger.events("0-0")[-1]
    assert (event.kind, event.fields["why"]) == ("returned", "the lease of worker of main-quick-0 ran out")
    again = promote_again(ledger, run.id)
    assert (again.attempt, again.fence > run.fence, again.token != run.token) == (2, True, True)


def promote_again(ledger: Ledger, run_id: str) -> Run:
    ledger.promote(leading(ledger), [Choice(run_id, QUICK, queue_of(QUICK))])
    run = ledger.begin(run_id, worker_of(queue_of(QUICK)))
    assert run is not None
    return run


def test_a_promotion_nobody_begins_goes_back_for_free(ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    for _ in range(5):
        overdue(client, run.id)
        assert ledger.reap(leading(ledger)) == [Reaped(run.id, State.PENDING)]
        assert ledger.run(run.id).attempt == 0
        assert not client.exists("rq:queue:main-quick-0")
        ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue_of(QUICK))])
    assert ledger.run(run.id).attempt == 1


def test_what_its_worker_gives_back_unbegun_costs_no_attempt(ledger: Ledger) -> None:
    run = running(ledger)
    for _ in range(5):
        assert ledger.give_back(run.id, run.token, "bench: no bench answers", counts=False)
        back = ledger.run(run.id)
        assert (back.state, back.attempt) == (State.PENDING, 0)
        run = promote_again(ledger, run.id)
    assert run.attempt == 1
    assert ledger.give_back(run.id, run.token, "bench: it died in the middle")
    assert ledger.run(run.id).attempt == 1


def test_the_next_fence_is_above_the_one_the_bench_has_seen(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    seen = run.fence + 1_000_000
    assert not ledger.give_back(run.id, "0" * 16, "stale fence", counts=False, fence_seen=seen * 2)
    assert ledger.give_back(run.id, run.token, "stale fence", counts=False, fence_seen=seen)
    again = promote_again(ledger, run.id)
    assert again.fence == seen + 1
    ledger.give_back(again.id, again.token, "stale fence", counts=False, fence_seen=5)
    assert promote_again(ledger, run.id).fence == seen + 2, "a fence never goes back"


def test_a_lease_within_its_time_is_left_alone(ledger: Ledger) -> None:
    running(ledger)
    promoted(ledger, number=1)
    assert ledger.reap(leading(ledger)) == []
    assert len(ledger.view().running) == 2


def test_after_the_last_attempt_it_has_failed(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    for attempt in (1, 2, 3):
        assert ledger.run(run.id).attempt == attempt
        overdue(client, run.id)
        (reaped,) = ledger.reap(leading(ledger))
        if attempt < 3:
            promote_again(ledger, run.id)
    assert reaped == Reaped(run.id, State.FAILED)
    assert ledger.run(run.id).error == "the lease of worker of main-quick-0 ran out (attempt 3 of 3)"
    assert kinds(ledger)[-1] == "failed"


def test_a_run_being_cancelled_is_not_tried_again(ledger: Ledger, client: redis.Redis) -> None:
    lost, given_back = running(ledger), running(ledger, number=1)
    ledger.cancel(lost.id)
    ledger.cancel(given_back.id)
    overdue(client, lost.id)
    assert ledger.reap(leading(ledger)) == [Reaped(lost.id, State.CANCELLED)]
    assert ledger.give_back(given_back.id, given_back.token, "the bench is gone")
    assert ledger.run(given_back.id).state is State.CANCELLED


def test_what_comes_back_stands_in_front_in_the_order_of_submission(ledger: Ledger, client: redis.Redis) -> None:
    runs = [running(ledger, number=number) for number in range(4)]
    waiting = [submitted(ledger) for _ in range(2)]
    for place in (2, 0, 3, 1):
        overdue(client, runs[place].id)
        ledger.reap(leading(ledger))
    assert [waiter.run_id for waiter in ledger.view().waiting] == [run.id for run in [*runs, *waiting]]


def test_many_at_once_keep_their_order_too(ledger: Ledger, client: redis.Redis) -> None:
    runs = [running(ledger, number=number) for number in range(32)]
    for run in runs:
        overdue(client, run.id)
    assert len(ledger.reap(leading(ledger))) == 32
    assert [waiter.run_id for waiter in ledger.view().waiting] == [run.id for run in runs]


def test_a_worker_gives_its_attempt_back(ledger: Ledger) -> None:
    run, younger = running(ledger), submitted(ledger)
    assert ledger.give_back(run.id, run.token, "the bench is gone")
    back = ledger.run(run.id)
    assert (back.state, back.attempt) == (State.PENDING, 1)
    assert [waiter.run_id for waiter in ledger.view().waiting] == [run.id, younger.id]
    assert ledger.events("0-0")[-1].fields["why"] == "the bench is gone"


def test_giving_back_the_last_attempt_fails_the_run(ledger: Ledger) -> None:
    run = running(ledger)
    for attempt in (1, 2, 3):
        current = ledger.run(run.id)
        assert current.attempt == attempt
        ledger.give_back(run.id, current.token, "the bench is gone")
        if attempt < 3:
            promote_again(ledger, run.id)
    assert ledger.run(run.id).error == "the bench is gone (attempt 3 of 3)"


@pytest.mark.parametrize("wrong", ["rq:job:{run}", "rq:queue:main-quick-0", "reachq:main:worker:main-quick-0"])
def test_one_damaged_run_does_not_keep_the_others_from_being_reaped(
    ledger: Ledger, client: redis.Redis, wrong: str
) -> None:
    bad, good = running(ledger), running(ledger, number=1)
    key = wrong.format(run=bad.id)
    client.delete(key)
    client.set(key, "x")
    overdue(client, bad.id)
    overdue(client, good.id)
    assert set(ledger.reap(leading(ledger))) == {Reaped(good.id, State.PENDING), Reaped(bad.id, None)}
    assert ledger.run(bad.id) == bad
    client.delete(key)
    assert ledger.reap(leading(ledger)) == [], "it is left alone for a second"
    overdue(client, bad.id)
    assert ledger.reap(leading(ledger)) == [Reaped(bad.id, State.PENDING)]


@pytest.mark.parametrize("damage", ["DEL", "SET"])
def test_a_record_somebody_destroyed_does_not_stop_the_reaper(ledger: Ledger, client: redis.Redis, damage: str) -> None:
    bad, good = running(ledger), running(ledger, number=1)
    record: Any = client.hgetall(f"reachq:run:{bad.id}")
    client.delete(f"reachq:run:{bad.id}")
    if damage == "SET":
        client.set(f"reachq:run:{bad.id}", "x")
    overdue(client, bad.id)
    overdue(client, good.id)
    assert set(ledger.reap(leading(ledger))) == {Reaped(good.id, State.PENDING), Reaped(bad.id, None)}
    client.delete(f"reachq:run:{bad.id}")
    client.hset(f"reachq:run:{bad.id}", mapping=record)


def test_history_is_trimmed_with_all_that_belongs_to_a_run(server: object, ledger: Ledger, client: redis.Redis) -> None:
    settings = load_settings(**{**ledger.settings.model_dump(), "keep_finished": 10})
    announced(ledger)
    with Ledger.connect(settings) as ledger:
        for number in range(14):
            run = running(ledger)
            ledger.progress(run.id, run.token, "p", 1, "m")
            ledger.finish(run.id, run.token, Answer("YES"))
            client.zadd("reachq:finished", {run.id: number})
            client.hset(f"rq:job:{run.id}", "last_heartbeat", "left by a stopped worker")
        ledger.reap(leading(ledger))
        kept, total = ledger.runs()
    assert (len(kept), total) == (10, 10)
    assert {key.split(":")[2] for key in client.scan_iter("reachq:run:*")} == {run.id for run in kept}
    assert {key.split(":")[2] for key in client.scan_iter("rq:job:*")} == {run.id for run in kept}


def test_a_trimmed_key_may_be_used_again(ledger: Ledger) -> None:
    run, _ = ledger.submit(a_request(), idempotency_key="k")
    ledger.cancel(run.id)
    ledger.settings.__dict__["keep_finished"] = 0
    assert ledger.trim() == 1
    with pytest.raises(RunNotFound):
        ledger.run(run.id)
    again, created = ledger.submit(a_request(), idempotency_key="k")
    assert created
    assert again.id == run.id
