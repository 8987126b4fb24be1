"""Damage with real dispatchers, workers and a web server: damaged data is set aside, and everything else continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from ledger.errors import StoreDamaged
from ledger.events import Kind
from ledger.runs.run import Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support import leaks
from tests.support.damage import retype
from tests.support.history import all_events
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.runs import submit_any
from tests.support.waiting import wait_until
from tests.support.web import Web

Damage = Callable[[redis.Redis, str], object]
PAGES = ("/board", "/runs", "/api/queue", "/api/runs", "/api/lanes", "/api/bench", "/hosts", "/api/hosts", "/metrics")


def field(name: str, value: str = "abc") -> Damage:
    return lambda client, run_id: client.hset(f"reachq:run:{run_id}", name, value)


def wrong_type(key: str, kind: str) -> Damage:
    return lambda client, run_id: retype(client, key.format(run=run_id), kind)


WAITING: dict[str, tuple[Damage, State | None]] = {
    "seq is abc": (field("seq"), State.FAILED),
    "submitted_ms is abc": (field("submitted_ms"), State.FAILED),
    "attempt is abc": (field("attempt"), State.FAILED),
    "the record is gone": (lambda client, run_id: client.delete(f"reachq:run:{run_id}"), None),
    "the record is a string": (wrong_type("reachq:run:{run}", "string"), None),
    "the line is gone": (lambda client, _: client.delete("reachq:main:pending:quick"), State.DONE),
    "the line is a string": (wrong_type("reachq:main:pending:quick", "string"), State.DONE),
    "the leases are a hash": (wrong_type("reachq:main:leases", "hash"), State.DONE),
    "the lock is a list": (wrong_type("reachq:main:leader", "list"), State.DONE),
    "the events are a set": (wrong_type("reachq:events", "set"), State.DONE),
    "the free lanes are gone": (lambda client, _: client.delete("reachq:main:dscp:free"), State.DONE),
    "the counters are gone": (
        lambda client, _: client.delete("reachq:main:epoch", "reachq:main:fence", "reachq:main:seq"),
        State.DONE,
    ),
    "the fence is a word": (lambda client, _: client.set("reachq:main:fence", "abc"), State.DONE),
}


def submit(ledger: Ledger, mode: Mode, services: str = "443", user: str = "anna") -> Run:
    return submit_any(ledger, mode, user, services=services)


def state_of(ledger: Ledger, client: redis.Redis, run: Run) -> Any:
    found: Any = client.hget(f"reachq:run:{run.id}", "state") if client.exists(f"reachq:run:{run.id}") else None
    return found


def is_in_state(ledger: Ledger, client: redis.Redis, run: Run, state: State) -> bool:
    return bool(state_of(ledger, client, run) == state)


def all_done(ledger: Ledger, client: redis.Redis, runs: list[Run]) -> None:
    wait_until(
        lambda: all(state_of(ledger, client, run) == State.DONE for run in runs),
        patience(30),
        f"{[(run.mode, state_of(ledger, client, run)) for run in runs]} are done",
    )


def everything_is_free(client: redis.Redis) -> bool:
    free: Any = client.smembers("reachq:main:dscp:free")
    counts: Any = client.scard("reachq:main:dscp:leased"), client.zcard("reachq:main:leases")
    return bool(free == {str(lane) for lane in range(32, 64)} and counts == (0, 0))


@pytest.mark.parametrize("mode", list(Mode))
def test_damage_of_a_waiting_run_stops_no_other(
    settings: Settings, ledger: Ledger, client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    with Parts(settings) as parts, closing(settings, tmp_path) as web:
        parts.dispatcher()
        parts.dispatcher()
        parts.pool(4, 1, hold_ms=5, bulk=1)
        wait_until(lambda: ledger.leader() is not None, patience(10), "a dispatcher leads")
        for what, (damage, outcome) in WAITING.items():
            ledger.pause("test")
            victim = submit(ledger, mode)
            others = [submit(ledger, each, user=user) for user in ("anna", "bert") for each in Mode]
            damage(client, victim.id)
            assert [web.get(page).status for page in PAGES] == [200] * len(PAGES), what
            assert web.get(f"/runs/{victim.id}").status < 500, what
            wait_until(lambda: _resumed(ledger), patience(10), f"{what}: the bench is resumed")
            all_done(ledger, client, others)
            if outcome:
                has_ended = partial(is_in_state, ledger, client, victim, outcome)
                wait_until(has_ended, patience(30), f"{what}: {outcome}")
            fresh = [submit(ledger, each, user="carl") for each in Mode]
            all_done(ledger, client, fresh)
            wait_until(lambda: everything_is_free(client), patience(30), f"{what}: all lanes are free")
            wait_until(lambda: not any(ledger.counts().waiting.values()), patience(30), f"{what}: nobody waits")
            assert [web.get(page).status for page in PAGES] == [200] * len(PAGES), what
            if outcome is State.FAILED:
                name = what.partition(" ")[0]
                assert ledger.run(victim.id).error.startswith(f"set aside: field {name} is 'abc'")
                assert f"field {name} is" in web.get("/board").body.decode()


@contextmanager
def closing(settings: Settings, data: Path) -> Iterator[Web]:
    """A web server that is ended afterwards."""
    web = Web(settings.redis_url, data)
    try:
        yield web
    finally:
        web.stop()


def _resumed(ledger: Ledger) -> bool:
    with suppress(StoreDamaged):  # the dispatcher has not repaired it yet
        ledger.resume("test")
    return ledger.paused() is None


def test_a_damaged_running_run_is_set_aside_when_its_worker_dies(
    settings: Settings, ledger: Ledger, client: redis.Redis
) -> None:
    with Parts(settings) as parts:
        parts.dispatcher()
        parts.pool(4, 0, hold_ms=5)
        victim, other = submit(ledger, Mode.QUICK, "2"), submit(ledger, Mode.QUICK, "2")
        for run in (victim, other):
            parts.in_state(run, State.RUNNING)
        workers = [parts.worker_of(run) for run in (victim, other)]
        client.hset(f"reachq:run:{victim.id}", "attempt", "abc")
        for worker in workers:
            worker.kill()
        wait_until(lambda: state_of(ledger, client, victim) == State.FAILED, patience(20), "the damaged run has failed")
        wait_until(lambda: ledger.run(other.id).attempt == 2, patience(20), "the other run is tried again")
        ended = [event.kind for event in all_events(ledger) if event.run_id == victim.id][-2:]
        assert ended == [Kind.DAMAGED, Kind.FAILED]
        wait_until(lambda: client.scard("reachq:main:dscp:leased") == 1, patience(20), "one lane is lent")
        ledger.cancel(other.id)
        parts.in_state(other, State.CANCELLED, patience(20))
    assert everything_is_free(client)
    assert leaks.broken_invariants(client) == []
