"""The clock of the Redis server is set forward or back by an hour: dead processes do not count as alive, and nothing
lasts longer.
"""

from __future__ import annotations

import pytest
import redis

from compat_dispatcher.server_clock import ServerClock
from ledger.errors import QueueTaken
from ledger.runs.records import Choice, Promotion
from ledger.store import Ledger
from tests.support.clock import set_clock
from tests.support.runs import QUICK, announced, idle_queues, leading, promoted, queue_of, running, submitted, worker_of

HOUR_MS = 3_600_000
BACK = -HOUR_MS


@pytest.mark.parametrize("step_ms", [HOUR_MS, BACK])
def test_only_what_is_heard_of_after_the_step_is_alive(ledger: Ledger, client: redis.Redis, step_ms: int) -> None:
    announced(ledger, QUICK, 2)
    ledger.lead("d1")
    ledger.lead("d2")
    ledger.report_bench({"state": "up"})
    set_clock(client, step_ms)
    run = submitted(ledger)
    assert idle_queues(ledger, QUICK) == []
    assert not any(worker.alive for worker in ledger.workers())
    assert not any(dispatcher.alive for dispatcher in ledger.dispatchers())
    assert ledger.counts().workers_alive[QUICK] == 0
    assert not ledger.counts().bench_up
    (outcome,) = ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue_of(QUICK))])
    assert outcome.status is Promotion.NO_WORKER
    assert ledger.announce(worker_of(queue_of(QUICK)), queue_of(QUICK), QUICK, 1), "that is news"
    ledger.report_bench({"state": "up"})
    assert idle_queues(ledger, QUICK) == [queue_of(QUICK)]
    assert ledger.counts().bench_up
    ledger.cancel(run.id)


def test_the_queue_of_a_worker_from_the_future_can_be_claimed(ledger: Ledger, client: redis.Redis) -> None:
    (queue,) = announced(ledger)
    with pytest.raises(QueueTaken):
        ledger.announce("another", queue, QUICK, 2)
    set_clock(client, BACK)
    assert ledger.announce("another", queue, QUICK, 2)


def test_the_lock_of_a_dead_leader_lasts_no_longer(ledger: Ledger, client: redis.Redis) -> None:
    ledger.lead("d1")
    set_clock(client, BACK)
    left = client.pttl("reachq:main:leader")
    assert left > HOUR_MS - 10_000
    assert ledger.lead("d2") is None, "the lock may be held"
    assert client.pttl("reachq:main:leader") <= ledger.settings.leader_ms
    client.persist("reachq:main:leader")
    assert ledger.lead("d2") is None
    assert 0 < client.pttl("reachq:main:leader") <= ledger.settings.leader_ms


def test_the_lease_of_a_dead_worker_lasts_no_longer(ledger: Ledger, client: redis.Redis) -> None:
    dead, live = running(ledger), running(ledger, number=1)
    ledger.lead("d1")
    set_clock(client, BACK)
    assert ledger.renew(live.id, live.token).alive
    leading(ledger)
    now_ms = ledger.view().now_ms
    longest_ms = max(ledger.settings.begin_ms, ledger.settings.lease_ms)
    deadline = client.zscore("reachq:main:leases", dead.id)
    assert deadline is not None
    assert now_ms < deadline <= now_ms + longest_ms
    assert ledger.reap(leading(ledger)) == []


def test_live_workers_lose_no_lease_when_the_clock_is_set_forward(ledger: Ledger, client: redis.Redis) -> None:
    live, dead = running(ledger), running(ledger, number=1)
    believed_ms = ledger.view().now_ms
    client.zadd("reachq:main:leases", {dead.id: believed_ms - 1})
    set_clock(client, HOUR_MS)
    believed_ms -= HOUR_MS  # in this test the past has moved, not the clock
    epoch = leading(ledger)  # the step has ended the lock of the leader
    assert [reaped.run_id for reaped in ledger.reap(epoch, believed_ms)] == [dead.id]
    assert ledger.renew(live.id, live.token).alive
    assert ledger.reap(epoch) == []


def test_a_leader_follows_a_clock_set_forward_after_the_time_of_a_lease() -> None:
    now_s = 100.0
    clock = ServerClock(4.0, lambda: now_s)
    clock.see(1_000_000)
    now_s += 1
    clock.see(1_001_000 + HOUR_MS)
    assert clock.now_ms == 1_001_000
    now_s += 3
    clock.see(1_004_000 + HOUR_MS)
    assert clock.now_ms == 1_004_000
    now_s += 0.5
    clock.see(1_004_500 + HOUR_MS)
    assert clock.now_ms == 1_004_500 + HOUR_MS
    clock.see(1_004_500)
    assert clock.now_ms == 1_004_500, "a clock that is set back is followed at once"


@pytest.mark.parametrize("step_ms", [HOUR_MS, BACK])
def test_a_request_to_restart_from_before_the_step_is_dropped(
    ledger: Ledger, client: redis.Redis, step_ms: int
) -> None:
    ledger.restart_bench("anna")
    set_clock(client, step_ms)
    assert ledger.take_restart() is None
    assert ledger.restart_bench("anna")
    assert ledger.take_restart() == "anna"


def test_a_promotion_that_nobody_begins_goes_back_in_time(ledger: Ledger, client: redis.Redis) -> None:
    run = promoted(ledger)
    set_clock(client, BACK)
    leading(ledger)
    deadline = client.zscore("reachq:main:leases", run.id)
    assert deadline is not None
    assert deadline <= ledger.view().now_ms + max(ledger.settings.begin_ms, ledger.settings.lease_ms)
