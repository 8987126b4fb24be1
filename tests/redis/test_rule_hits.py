"""Rule hits are counted with the end of a run, once for each accepted answer, and never prevent it from ending."""

from __future__ import annotations

import pytest
import redis

from ledger.runs.run import State
from ledger.store import Ledger
from tests.support.results import Document, answer_with, document, router, rule, service, stored
from tests.support.runs import running

FACTS = "b17e42431a16"
KEY = f"reachq:main:hits:{FACTS}"
DAY_MS = 86_400_000


def answer(services: int = 2, facts: str = FACTS) -> Document:
    """A result whose only router blocked this many services."""
    by = rule(file="gw/iptables.rules", line=7)
    names = [f"{port}/tcp" for port in range(1, services + 1)]
    routers = [router("gw", 1, dict.fromkeys(names, ("NO", by)), out_iface=None)]
    return document([service(name, "NO", blocked_by=["gw"]) for name in names], routers, facts=facts)


def finished(ledger: Ledger, result: Document) -> int:
    """End a run with this answer; returns when it ended."""
    run = running(ledger)
    assert ledger.finish(run.id, run.token, answer_with(result))
    assert not ledger.finish(run.id, run.token, answer_with(result)), "counted once"
    return ledger.run(run.id).finished_ms


def test_hits_add_up_by_facts(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.rule_hits(FACTS) == {}
    finished(ledger, answer(2))
    last_ms = finished(ledger, answer(3))
    finished(ledger, answer(1, facts="abc"))
    assert ledger.rule_hits(FACTS) == {"gw/iptables.rules:7": (5, last_ms)}
    assert ledger.rule_hits("abc")["gw/iptables.rules:7"][0] == 1
    assert 89 * DAY_MS < client.pttl(KEY) <= 90 * DAY_MS


@pytest.mark.parametrize("facts", ["", "no digest"])
def test_an_answer_without_facts_counts_nothing(ledger: Ledger, client: redis.Redis, facts: str) -> None:
    finished(ledger, answer(facts=facts))
    assert client.keys("reachq:main:hits:*") == []


def test_a_run_that_did_not_answer_counts_nothing(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    ledger.fail(run.id, run.token, "why")
    assert client.keys("reachq:main:hits:*") == []


def test_a_damaged_count_keeps_no_run_from_ending(ledger: Ledger, client: redis.Redis) -> None:
    client.set(KEY, "not a hash")
    run = running(ledger)
    assert ledger.finish(run.id, run.token, answer_with(answer()))
    assert ledger.run(run.id).state is State.DONE
    assert stored(ledger, run.id) is not None
    client.delete(KEY)


def test_four_hundred_names_are_no_burden(ledger: Ledger) -> None:
    cells = {f"{n}/tcp": ("NO", rule(file="gw/iptables.rules", line=n)) for n in range(1, 501)}
    finished(ledger, {**answer(), "routers": [router("gw", 1, cells)]})
    assert len(ledger.rule_hits(FACTS)) == 400
