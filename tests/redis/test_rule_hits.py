"""Hits of rules are counted with the end of a run, once for each accepted answer, and never keep it from ending."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from ledger.runs.run import State
from ledger.store import Ledger
from tests.support.runs import running

FACTS = "b17e42431a16"
KEY = f"reachq:main:hits:{FACTS}"
RULE = {"family": "ip", "table": "filter", "chain": "FORWARD", "file": "gw/iptables.rules", "line": 7, "policy": False}
DAY_MS = 86_400_000


def answer(services: int = 2, facts: object = FACTS) -> dict[str, Any]:
    """A result whose one router stopped that many services."""
    cells = [{"port": port, "protocol": "tcp", "result": "NO", "rule": RULE} for port in range(services)]
    return {"verdict": "NO", "facts": facts, "routers": [{"name": "gw", "services": cells}], "services": []}


def finished(ledger: Ledger, result: dict[str, Any]) -> int:
    """End a run with this answer; when it ended."""
    run = running(ledger)
    assert ledger.finish(run.id, run.token, result)
    assert not ledger.finish(run.id, run.token, result), "counted once"
    return ledger.run(run.id).finished_ms


def test_hits_add_up_by_facts(ledger: Ledger, client: redis.Redis) -> None:
    assert ledger.rule_hits(FACTS) == {}
    finished(ledger, answer(2))
    last_ms = finished(ledger, answer(3))
    finished(ledger, answer(1, facts="abc"))
    assert ledger.rule_hits(FACTS) == {"gw/iptables.rules:7": (5, last_ms)}
    assert ledger.rule_hits("abc")["gw/iptables.rules:7"][0] == 1
    assert 89 * DAY_MS < client.pttl(KEY) <= 90 * DAY_MS


@pytest.mark.parametrize("facts", [None, "", "no digest", 7])
def test_an_answer_without_facts_counts_nothing(ledger: Ledger, client: redis.Redis, facts: object) -> None:
    finished(ledger, answer(facts=facts))
    assert client.keys("reachq:main:hits:*") == []


def test_a_run_that_did_not_answer_counts_nothing(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    ledger.fail(run.id, run.token, "why")
    assert client.keys("reachq:main:hits:*") == []


def test_a_damaged_count_keeps_no_run_from_ending(ledger: Ledger, client: redis.Redis) -> None:
    client.set(KEY, "not a hash")
    run = running(ledger)
    assert ledger.finish(run.id, run.token, answer())
    assert ledger.run(run.id).state is State.DONE
    assert ledger.result(run.id) == answer()
    client.delete(KEY)


def test_four_hundred_names_are_no_burden(ledger: Ledger) -> None:
    cells = [{"port": n, "protocol": "tcp", "result": "NO", "rule": {**RULE, "line": n}} for n in range(500)]
    finished(ledger, {**answer(), "routers": [{"name": "gw", "services": cells}]})
    assert len(ledger.rule_hits(FACTS)) == 400
