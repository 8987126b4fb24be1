"""The pool of lanes as dscp.pool sees it, and the problems it reports when the pool is damaged."""

from __future__ import annotations

from typing import Any

import redis

from dscp.pool import Pool, lasting_problems
from ledger.store import Ledger
from tests.support.runs import DETAILED, leading, promoted, running


def pool_of(ledger: Ledger) -> Pool:
    return Pool(tuple(ledger.lanes()))


def test_who_holds_which_lane(ledger: Ledger) -> None:
    leading(ledger)
    assert pool_of(ledger).free == tuple(range(32, 64))
    runs = [running(ledger, number=0), promoted(ledger, number=1)]
    pool = pool_of(ledger)
    assert {lane.run_id: (lane.dscp, lane.fence) for lane in pool.leased} == {r.id: (r.dscp, r.fence) for r in runs}
    assert sorted([*pool.free, *(lane.dscp for lane in pool.leased)]) == list(range(32, 64))
    lane = pool.of_run(runs[0].id)
    assert lane is not None
    assert (lane.worker, lane.state) == (runs[0].worker, "leased")
    assert pool.of_run("nobody") is None
    assert pool.problems() == []


def test_a_detailed_run_needs_no_lane(ledger: Ledger) -> None:
    running(ledger, DETAILED)
    assert pool_of(ledger).leased == ()


def test_a_pool_that_is_not_whole_says_so(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    lane = f"reachq:main:dscp:lane:{run.dscp}"
    record: Any = client.hgetall(lane)
    client.delete(lane)
    assert pool_of(ledger).problems() == [f"lane {run.dscp} is leased to no run"]
    client.hset(lane, mapping=record)
    client.smove("reachq:main:dscp:leased", "reachq:main:dscp:free", str(run.dscp))
    assert pool_of(ledger).problems() == [f"lane {run.dscp} is free, but run {run.id} holds it"]
    client.smove("reachq:main:dscp:free", "reachq:main:dscp:leased", str(run.dscp))
    client.smove("reachq:main:dscp:free", "reachq:main:dscp:leased", "32" if run.dscp != 32 else "33")
    other = "32" if run.dscp != 32 else "33"
    client.hset(f"reachq:main:dscp:lane:{other}", mapping=record)
    assert pool_of(ledger).problems() == [
        f"run {run.id} holds several lanes",
        f"fence {run.fence} was issued twice",
    ]
    client.delete(f"reachq:main:dscp:lane:{other}")
    client.smove("reachq:main:dscp:leased", "reachq:main:dscp:free", other)


def test_a_problem_of_one_reading_only_is_not_reported(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    whole = ledger.lanes()
    lane = f"reachq:main:dscp:lane:{run.dscp}"
    record: Any = client.hgetall(lane)
    client.delete(lane)
    damaged = ledger.lanes()
    assert lasting_problems(damaged, lambda: whole) == []
    assert lasting_problems(damaged, ledger.lanes) == [f"lane {run.dscp} is leased to no run"]
    client.hset(lane, mapping=record)
