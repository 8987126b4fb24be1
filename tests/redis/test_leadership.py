"""lead and resign: one leader, epochs that only grow, lanes and fence in order from the first term on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from ledger.errors import StaleEpoch
from ledger.runs.records import Choice
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.runs import QUICK, announced, kinds, leading, submitted
from tests.support.waiting import wait_until


def test_the_first_to_ask_leads_and_renews(ledger: Ledger) -> None:
    assert ledger.lead("d1") == 1
    assert ledger.lead("d1") == 1
    assert ledger.lead("d2") is None
    leader = ledger.leader()
    assert leader is not None
    assert (leader.dispatcher, leader.epoch) == ("d1", 1)
    assert 0 < leader.ttl_ms <= 1500
    assert kinds(ledger) == ["led"]


def test_who_resigns_makes_room_at_once_with_a_new_epoch(ledger: Ledger) -> None:
    ledger.lead("d1")
    assert not ledger.resign("d2")
    assert ledger.resign("d1")
    assert ledger.leader() is None
    assert ledger.lead("d2") == 2
    assert kinds(ledger) == ["led", "resigned", "led"]


def test_a_lock_nobody_renews_ends(ledger: Ledger, client: redis.Redis) -> None:
    ledger.lead("d1")
    client.pexpire("reachq:main:leader", 1)
    wait_until(lambda: ledger.lead("d2") == 2, 2, "the lock of d1 ends")


def test_a_renewal_prolongs_the_lock(ledger: Ledger, client: redis.Redis) -> None:
    """Fails when lead.lua does not set the expiry again for its holder."""
    ledger.lead("d1")
    before = client.pexpiretime("reachq:main:leader")
    assert client.pexpireat("reachq:main:leader", before - 200)
    assert ledger.lead("d1") == 1
    assert client.pexpiretime("reachq:main:leader") >= before


def test_a_name_with_spaces_and_numbers_leads_as_well(ledger: Ledger) -> None:
    name = "host 7 pid 12"
    assert ledger.lead(name) == 1
    assert ledger.lead(name) == 1
    leader = ledger.leader()
    assert leader is not None
    assert leader.dispatcher == name


def test_a_stale_epoch_may_neither_promote_nor_reap(ledger: Ledger) -> None:
    run, (queue,) = submitted(ledger), announced(ledger)
    epoch = leading(ledger, "d1")
    ledger.resign("d1")
    choice = [Choice(run.id, QUICK, queue)]
    for other_leads in (False, True):
        if other_leads:
            leading(ledger, "d2")
        with pytest.raises(StaleEpoch):
            ledger.promote(epoch, choice)
        with pytest.raises(StaleEpoch):
            ledger.reap(epoch)
    assert ledger.run(run.id) == run


def test_of_many_who_ask_at_once_one_leads(settings: Settings) -> None:
    def ask(number: int) -> int | None:
        with Ledger.connect(settings) as own:
            return own.lead(f"d{number}")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8)), key=str) == [1, *[None] * 7]


def test_a_new_term_makes_the_lanes_whole(ledger: Ledger, client: redis.Redis) -> None:
    ledger.lead("d1")
    assert client.smembers("reachq:main:dscp:free") == {str(dscp) for dscp in range(32, 64)}
    client.srem("reachq:main:dscp:free", 40, 41)
    ledger.resign("d1")
    ledger.lead("d2")
    assert client.scard("reachq:main:dscp:free") == 32


def test_the_fence_never_goes_back_even_when_the_store_was_emptied(ledger: Ledger, client: redis.Redis) -> None:
    ledger.lead("d1")
    before = int(str(client.get("reachq:main:fence")))
    client.flushall()
    wait_until(lambda: seconds(client) * 1000 > before, 3, "a second passes")
    ledger.lead("d1")
    assert int(str(client.get("reachq:main:fence"))) > before


def seconds(client: redis.Redis) -> int:
    """The time of Redis's clock."""
    now: Any = client.time()
    return int(now[0])


def test_who_follows_is_known_and_no_more_than_that(ledger: Ledger, client: redis.Redis) -> None:
    ledger.lead("d1")
    ledger.lead("d2")
    assert [(d.name, d.alive) for d in ledger.dispatchers()] == [("d1", True), ("d2", True)]
    name = ledger.keys.dispatchers
    client.delete(name)
    client.set(name, "something else")
    assert ledger.lead("d1") == 1, "what is only shown keeps nobody from leading"
    client.delete(name)
