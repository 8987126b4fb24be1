"""The pool of lanes as dscp.pool reads it, and what it says of a pool that is not whole."""

from __future__ import annotations

from typing import Any

import redis

from dscp.pool import Pool
from ledger.store import Ledger
from tests.support.runs import DETAILED, leading, promoted, running


def test_who_holds_which_lane(ledger: Ledger) -> None:
    leading(ledger)
    assert Pool.read(ledger).free == tuple(range(32, 64))
    runs = [running(ledger, number=0), promoted(ledger, number=1)]
    pool = Pool.read(ledger)
    assert {lane.run_id: (lane.dscp, lane.fence) for lane in pool.leased} == {r.id: (r.dscp, r.fence) for r in runs}
    assert sorted([*pool.free, *(lane.dscp for lane in pool.leased)]) == list(range(32, 64))
    lane = pool.of_run(runs[0].id)
    assert lane is not None
    assert (lane.worker, lane.state) == (runs[0].worker, "leased")
    assert pool.of_run("nobody") is None
    assert pool.problems() == []


def test_a_detailed_run_needs_no_lane(ledger: Ledger) -> None:
    running(ledger, DETAILED)
    assert Pool.read(ledger).leased == ()


def test_a_pool_that_is_not_whole_says_so(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    lane = f"reachq:main:dscp:lane:{run.dscp}"
    record: Any = client.hgetall(lane)
    client.delete(lane)
    assert Pool.read(ledger).problems() == [f"lane {run.dscp} is lent to nobody"]
    client.hset(lane, mapping=record)
    client.smove("reachq:main:dscp:leased", "reachq:main:dscp:free", str(run.dscp))
    assert Pool.read(ledger).problems() == [f"lane {run.dscp} is free, and run {run.id} holds it"]
    client.smove("reachq:main:dscp:free", "reachq:main:dscp:leased", str(run.dscp))
    client.smove("reachq:main:dscp:free", "reachq:main:dscp:leased", "32" if run.dscp != 32 else "33")
    other = "32" if run.dscp != 32 else "33"
    client.hset(f"reachq:main:dscp:lane:{other}", mapping=record)
    assert Pool.read(ledger).problems() == [
        f"run {run.id} holds several lanes",
        f"fence {run.fence} was given out twice",
    ]
    client.delete(f"reachq:main:dscp:lane:{other}")
    client.smove("reachq:main:dscp:leased", "reachq:main:dscp:free", other)
