"""The scripts make exactly the transitions of TRANSITIONS; docs/states.md draws the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from ledger.errors import ReachqError
from ledger.runs.records import Answer, Choice, Promotion
from ledger.runs.run import ENDED, HOLDS_SLOT, TRANSITIONS, Mode, State
from ledger.store import Ledger
from tests.support.runs import QUICK, leading, overdue, promoted, queue_of, running, submitted, worker_of

DRAWING = Path(__file__).parents[2] / "docs" / "states.md"
EDGES = [(before, verb, after) for before, verbs in TRANSITIONS.items() for verb, after in verbs.items()]


def in_state(ledger: Ledger, state: State) -> str:
    """A run in that state."""
    if state is State.PENDING:
        return submitted(ledger).id
    if state is State.PROMOTED:
        return promoted(ledger).id
    run = running(ledger)
    if state is State.DONE:
        ledger.finish(run.id, run.token, Answer("YES"))
    elif state is State.FAILED:
        ledger.fail(run.id, run.token, "why")
    elif state is State.CANCELLED:
        ledger.stopped(run.id, run.token)
    return run.id


def returned(ledger: Ledger, client: redis.Redis, run_id: str) -> bool:
    if client.zscore("reachq:main:leases", run_id) is None:
        return False
    overdue(client, run_id)
    return bool(ledger.reap(leading(ledger)))


def exhausted(ledger: Ledger, client: redis.Redis, run_id: str) -> bool:
    if ledger.run(run_id).state is not State.RUNNING:
        return False
    client.hset(f"reachq:run:{run_id}", "attempt", 3)
    return returned(ledger, client, run_id)


def promote(ledger: Ledger, client: redis.Redis, run_id: str) -> bool:
    ledger.announce("another", queue_of(QUICK, 1), QUICK, 1)
    (outcome,) = ledger.promote(leading(ledger), [Choice(run_id, QUICK, queue_of(QUICK, 1))])
    return outcome.status is Promotion.PROMOTED


def set_aside(ledger: Ledger, client: redis.Redis, run_id: str) -> bool:
    before = ledger.run(run_id)
    client.hset(f"reachq:run:{run_id}", "submitted_ms", "abc")
    client.zadd("reachq:main:leases", {run_id: 1}, xx=True)
    ledger.examine(leading(ledger), [run_id.encode()])
    for mode in Mode:
        ledger.settle(mode)
    return ledger.run(run_id).state is not before.state


Verb = Callable[[Ledger, redis.Redis, str], bool]
VERBS: dict[str, Verb] = {
    "promote": promote,
    "begin": lambda ledger, _, run: ledger.begin(run, worker_of(queue_of(QUICK))) is not None,
    "return": returned,
    "exhaust": exhausted,
    "cancel": lambda ledger, _, run: bool(ledger.cancel(run)),
    "finish": lambda ledger, _, run: ledger.finish(run, ledger.run(run).token, Answer("NO")),
    "fail": lambda ledger, _, run: ledger.fail(run, ledger.run(run).token, "why"),
    "set_aside": set_aside,
    "stop": lambda ledger, _, run: ledger.stopped(run, ledger.run(run).token),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", State)
def test_each_verb_in_each_state(ledger: Ledger, client: redis.Redis, state: State, verb: str) -> None:
    run_id = in_state(ledger, state)
    try:
        done = VERBS[verb](ledger, client, run_id)
    except ReachqError:
        done = False
    after = TRANSITIONS[state].get(verb)
    state_stays = (state, verb) in {(State.RUNNING, "cancel"), (State.RUNNING, "begin")}  # marked; answered again
    assert done == (after is not None or state_stays)
    assert ledger.run(run_id).state is (after or state)


def test_every_verb_of_the_table_was_tried() -> None:
    assert {verb for _, verb, _ in EDGES} == {"submit", *VERBS}
    assert State.PENDING is TRANSITIONS[None]["submit"]
    assert set(TRANSITIONS) == {None, *State}
    assert set(State) - ENDED - HOLDS_SLOT == {State.PENDING}


def test_the_drawing_is_the_table() -> None:
    drawn = re.findall(r"^    (\S+) --> (\S+): (\w+)$", DRAWING.read_text(encoding="utf-8"), re.MULTILINE)
    table = [("[*]" if before is None else str(before), str(after), verb) for before, verb, after in EDGES]
    assert sorted(drawn) == sorted(table)
    ends = re.findall(r"^    (\S+) --> \[\*\]$", DRAWING.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(ends) == {str(state) for state in ENDED}
