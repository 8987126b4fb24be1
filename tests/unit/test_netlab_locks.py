"""Router locks: all or nothing, and no waiting run is forgotten."""

from __future__ import annotations

import asyncio

from netlab.live.router_locks import RouterLocks


def test_all_are_taken_or_none() -> None:
    async def scene() -> None:
        locks = RouterLocks()
        await locks.take(["a", "b"], "first")
        second = asyncio.ensure_future(locks.take(["b", "c"], "second"))
        third = asyncio.ensure_future(locks.take(["c"], "third"))
        await asyncio.wait_for(third, 1)
        assert locks.holders() == {"a": "first", "b": "first", "c": "third"}
        locks.give_back("first")
        await asyncio.sleep(0)
        assert locks.holders() == {"c": "third"}
        locks.give_back("third")
        await asyncio.wait_for(second, 1)
        assert locks.holders() == {"b": "second", "c": "second"}

    asyncio.run(scene())


def test_what_is_given_back_before_anybody_awaits_it_counts() -> None:
    async def scene() -> None:
        locks = RouterLocks()
        await locks.take(["a"], "first")
        released = locks.released()
        locks.give_back("first")
        await asyncio.wait_for(released, 1)

    asyncio.run(scene())


def test_one_that_no_longer_waits_keeps_no_other_waiting() -> None:
    async def scene() -> None:
        locks = RouterLocks()
        await locks.take(["a"], "first")
        gone, next_one = (asyncio.ensure_future(locks.take(["a"], run)) for run in ("gone", "next"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        locks.give_back("first")
        await asyncio.wait_for(next_one, 1)
        assert locks.holder("a") == "next"

    asyncio.run(scene())
