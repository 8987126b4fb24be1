"""promote and view: the rules propose, Redis decides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from ledger.errors import StoreFull
from ledger.runs.records import Answer, Choice, IdleWorker, Promotion
from ledger.runs.run import Mode, State
from ledger.settings import Settings
from ledger.store import Ledger
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


def status(ledger: Ledger, run_id: str, mode: Mode = QUICK, queue: str = "main-quick-0") -> Promotion:
    """The result of promoting one run."""
    (outcome,) = ledger.promote(leading(ledger), [Choice(run_id, mode, queue)])
    assert outcome.run_id == run_id
    return outcome.status


def test_a_promoted_run_has_all_that_a_slot_is(ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    assert (run.state, run.attempt) == (State.PROMOTED, 1)
    assert run.dscp in range(32, 64)
    assert run.fence > 0
    assert len(run.token) == 16
    (lane,) = [lane for lane in ledger.lanes() if lane.leased]
    assert (lane.dscp, lane.run_id, lane.fence, lane.since_ms) == (run.dscp, run.id, run.fence, run.promoted_ms)
    assert client.zscore("reachq:main:leases", run.id) == run.promoted_ms + Settings().begin_ms
    assert client.lrange("rq:queue:main-quick-0", 0, -1) == [run.id]
    assert ledger.workers()[0].run == run.id
    assert kinds(ledger) == ["submitted", "worker", "led", "promoted"]


def test_statuses_that_concern_the_run(ledger: Ledger) -> None:
    announced(ledger)
    assert status(ledger, "00000000-0000-4000-8000-000000000000") is Promotion.NOT_PENDING
    assert status(ledger, submitted(ledger, DETAILED).id) is Promotion.WRONG_MODE
    run = promoted(ledger)
    assert status(ledger, run.id) is Promotion.NOT_PENDING
    ledger.cancel(run.id)
    assert status(ledger, run.id) is Promotion.NOT_PENDING


def test_statuses_that_concern_the_worker(ledger: Ledger, client: redis.Redis) -> None:
    run = submitted(ledger)
    assert status(ledger, run.id) is Promotion.NO_WORKER
    announced(ledger, DETAILED)
    assert status(ledger, run.id, queue=queue_of(DETAILED)) is Promotion.NO_WORKER
    announced(ledger)
    client.zadd("reachq:main:workers", {queue_of(QUICK): 1})
    assert status(ledger, run.id) is Promotion.NO_WORKER
    promoted(ledger)
    assert status(ledger, run.id) is Promotion.BUSY_WORKER
    ledger.withdraw(worker_of(queue_of(QUICK)))
    assert status(ledger, run.id) is Promotion.NO_WORKER


def test_a_detailed_run_shares_the_bench_with_nobody(ledger: Ledger) -> None:
    announced(ledger, DETAILED, 2)
    announced(ledger, QUICK, 2)
    detailed, other, quick = submitted(ledger, DETAILED), submitted(ledger, DETAILED), running(ledger)
    assert status(ledger, detailed.id, DETAILED, queue_of(DETAILED)) is Promotion.OCCUPIED
    ledger.finish(quick.id, quick.token, Answer("YES"))
    assert status(ledger, detailed.id, DETAILED, queue_of(DETAILED)) is Promotion.PROMOTED
    assert status(ledger, other.id, DETAILED, queue_of(DETAILED, 1)) is Promotion.NO_SLOT
    assert status(ledger, submitted(ledger).id, QUICK, queue_of(QUICK, 1)) is Promotion.OCCUPIED
    assert ledger.run(detailed.id).dscp is None


def test_no_more_quick_than_lanes(ledger: Ledger) -> None:
    queues = announced(ledger, QUICK, 34)
    runs = [submitted(ledger) for _ in queues]
    choices = [Choice(run.id, QUICK, queue) for run, queue in zip(runs, queues, strict=True)]
    outcomes = [outcome.status for outcome in ledger.promote(leading(ledger), choices)]
    assert outcomes == [Promotion.PROMOTED] * 32 + [Promotion.NO_SLOT] * 2
    assert {ledger.run(run.id).dscp for run in runs[:32]} == set(range(32, 64))


def test_without_a_free_lane_no_quick_run_starts(ledger: Ledger, client: redis.Redis) -> None:
    announced(ledger)
    run, epoch = submitted(ledger), leading(ledger)
    client.rename("reachq:main:dscp:free", "rq:aside")
    (outcome,) = ledger.promote(epoch, [Choice(run.id, QUICK, "main-quick-0")])
    client.rename("rq:aside", "reachq:main:dscp:free")
    assert outcome.status is Promotion.NO_LANE
    assert ledger.run(run.id) == run


def test_one_worker_gets_one_run_of_a_batch(ledger: Ledger) -> None:
    announced(ledger)
    first, second = submitted(ledger), submitted(ledger)
    outcomes = ledger.promote(leading(ledger), [Choice(run.id, QUICK, "main-quick-0") for run in (first, second)])
    assert [outcome.status for outcome in outcomes] == [Promotion.PROMOTED, Promotion.BUSY_WORKER]


@pytest.mark.parametrize("wrong", ["reachq:main:worker:main-quick-0", "rq:queue:main-quick-0", "rq:job:{run}"])
def test_one_damaged_key_holds_up_one_choice_only(ledger: Ledger, client: redis.Redis, wrong: str) -> None:
    announced(ledger, QUICK, 2)
    bad, good = submitted(ledger), submitted(ledger)
    key = wrong.format(run=bad.id)
    client.delete(key)
    client.set(key, "x")
    outcomes = ledger.promote(
        leading(ledger), [Choice(bad.id, QUICK, "main-quick-0"), Choice(good.id, QUICK, "main-quick-1")]
    )
    assert [outcome.status for outcome in outcomes] == [Promotion.DAMAGED, Promotion.PROMOTED]
    assert ledger.run(bad.id) == bad
    client.delete(key)


def test_a_full_store_promotes_nothing(ledger: Ledger, client: redis.Redis) -> None:
    announced(ledger)
    run, epoch = submitted(ledger), leading(ledger)
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull):
        ledger.promote(epoch, [Choice(run.id, QUICK, "main-quick-0")])
    assert ledger.run(run.id) == run


def test_younger_quick_runs_that_pass_a_detailed_one_are_counted(ledger: Ledger) -> None:
    queues = announced(ledger, QUICK, 3)
    older, detailed = submitted(ledger), submitted(ledger, DETAILED)
    younger = [submitted(ledger) for _ in range(2)]
    ledger.promote(leading(ledger), [Choice(r.id, QUICK, q) for r, q in zip([older, *younger], queues, strict=True)])
    (waiting,) = ledger.view().waiting
    assert (waiting.run_id, waiting.mode, waiting.overtaken) == (detailed.id, DETAILED, 2)


def test_racing_promoters_keep_the_invariants(ledger: Ledger, settings: Settings, client: redis.Redis) -> None:
    queues = announced(ledger, QUICK, 40)
    announced(ledger, DETAILED)
    runs = [submitted(ledger, DETAILED if number % 9 == 4 else QUICK) for number in range(60)]
    epoch = leading(ledger)

    def race(number: int) -> int:
        started = 0
        with Ledger.connect(settings) as own:
            for turn in range(6):
                mine = runs[(number + turn) % 4 :: 2]
                choices = [
                    Choice(run.id, run.mode, queues[(number + place) % 40] if run.mode is QUICK else "main-detailed-0")
                    for place, run in enumerate(mine)
                ]
                started += sum(o.status is Promotion.PROMOTED for o in own.promote(epoch, choices))
                modes = [holding.mode for holding in own.view().running]
                assert modes == [QUICK] * len(modes) or modes == [DETAILED]
                assert len(modes) <= 32
        return started

    with ThreadPoolExecutor(6) as pool:
        started = sum(pool.map(race, range(6)))
    view = ledger.view()
    assert started == len(view.running) == 32
    assert len({ledger.run(holding.run_id).dscp for holding in view.running}) == 32


def test_the_view_is_a_window_in_order_with_who_is_idle(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    announced(ledger, QUICK, 3)
    announced(ledger, DETAILED, 1)
    client.zadd("reachq:main:workers", {queue_of(QUICK, 2): 1})
    waiting = [submitted(ledger, DETAILED if number == 2 else QUICK) for number in range(5)]
    view = ledger.view(window=3)
    assert [(holding.run_id, holding.state) for holding in view.running] == [(run.id, State.RUNNING)]
    assert [waiter.run_id for waiter in view.waiting] == [run.id for run in waiting[:4]]
    assert [waiter.submitted_ms for waiter in view.waiting] == [run.submitted_ms for run in waiting[:4]]
    assert view.waiting_total == {QUICK: 4, DETAILED: 1, Mode.BULK: 0}
    idle = {QUICK: [IdleWorker(queue_of(QUICK, 1))], DETAILED: [IdleWorker(queue_of(DETAILED))], Mode.BULK: []}
    assert view.idle == idle
    assert view.now_ms >= waiting[-1].submitted_ms


def test_why_a_run_waits_is_written_when_it_changes(ledger: Ledger) -> None:
    run, other = submitted(ledger), running(ledger)
    why = {run.id: ("bench-full", "all 32 lanes are in use"), other.id: ("x", "does not wait at all")}
    assert ledger.explain(why) == 1
    assert ledger.explain(why) == 0
    assert (ledger.run(run.id).wait_code, ledger.run(run.id).wait_reason) == why[run.id]
    assert ledger.view().waiting[0].wait_code == "bench-full"
    announced(ledger, QUICK, 2)
    assert status(ledger, run.id, queue=queue_of(QUICK, 1)) is Promotion.PROMOTED
    assert ledger.run(run.id).wait_reason == ""
    assert ledger.explain({}) == 0


def test_a_worker_that_did_not_begin_its_run_gets_no_other_before_it_is_heard_of(
    ledger: Ledger, client: redis.Redis
) -> None:
    deaf, other = announced(ledger, QUICK, 2)
    run = promoted(ledger, number=0)
    overdue(client, run.id)
    ledger.reap(leading(ledger))
    assert idle_queues(ledger, QUICK) == [other]
    ledger.announce(worker_of(deaf), deaf, QUICK, 1)
    assert idle_queues(ledger, QUICK) == [other], "its heartbeat says nothing of its main loop"
    ledger.announce(worker_of(deaf), deaf, QUICK, 1, listens=True)
    assert set(idle_queues(ledger, QUICK)) == {deaf, other}
    ledger.cancel(run.id)


def test_a_worker_that_did_not_begin_its_run_is_better_than_none(ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    announced(ledger, DETAILED)
    overdue(client, run.id)
    ledger.reap(leading(ledger))
    assert idle_queues(ledger, QUICK) == [queue_of(QUICK)]
    ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue_of(QUICK))])
    assert ledger.begin(run.id, worker_of(queue_of(QUICK))) is not None
    assert not client.hexists(f"reachq:main:worker:{queue_of(QUICK)}", "missed_ms")
