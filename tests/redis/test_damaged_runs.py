"""Damage in Redis, one key or field at a time, under a dispatcher: all other runs end, and nothing stays held.

The tests make the dispatcher's turns one by one, and workers answer at once, so that nothing waits for a clock.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis

from compat_dispatcher import auditor
from compat_dispatcher.loop import Dispatcher
from ledger.errors import ReachqError, RunDamaged, RunNotFound, StoreDamaged
from ledger.events import Event
from ledger.redis import keys
from ledger.runs.records import Answer, DispatchView
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support import leaks
from tests.support.damage import MALFORMED, WRONG_TYPES, emptied, retype
from tests.support.runs import DETAILED, QUICK, a_request, queue_of, worker_of
from tests.support.server import Server

TURNS = 20
QUICK_WORKERS = 4


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """The session's server; each test checks for leaks itself, after its damage is repaired."""
    yield from emptied(_server)


class Never(threading.Event):
    """A stop event that is never set and does not wait."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


NEVER = Never()


class Impatient(Ledger):
    """A ledger that does not wait for events."""

    def events(self, after: str = "$", *, block_ms: int | None = None, count: int = 200) -> list[Event]:
        return super().events(after, count=count)

    def view_after_events(self, after: str, *, block_ms: int) -> tuple[list[Event], DispatchView | None]:
        return super().view_after_events(after, block_ms=1)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("AUDIT_S", "SCAN_S", "URGENT_S"):
        monkeypatch.setattr(auditor, pause, 0.0)


class World:
    """A bench with workers that answer at once, driven turn by turn."""

    def __init__(self, settings: Settings, ledger: Ledger, client: redis.Redis) -> None:
        self.ledger, self.client = ledger, client
        self.stuck: set[str] = set()
        self._dispatcher = Dispatcher(Impatient(ledger.connection, settings), settings, "d1")
        client.flushall()
        self.announce()
        self.turn()

    def announce(self) -> None:
        for number in range(QUICK_WORKERS):
            self._announce(QUICK, number)
        self._announce(DETAILED, 0)

    def _announce(self, mode: Mode, number: int) -> None:
        queue = queue_of(mode, number)
        with suppress(ReachqError):
            self.ledger.announce(worker_of(queue), queue, mode, 1)

    def submit(self, mode: Mode, user: str = "anna") -> Run:
        return self.ledger.submit(a_request(mode), user=user)[0]

    def turn(self) -> None:
        """Make three turns of the dispatcher, without the waits in between."""
        for _ in range(3):
            self._dispatcher.turn(NEVER)

    def work(self) -> None:
        """Let each worker with a promoted run begin and answer it, except those that are `stuck`."""
        for mode, count in ((QUICK, QUICK_WORKERS), (DETAILED, 1)):
            for number in range(count):
                queue = queue_of(mode, number)
                with suppress(redis.ResponseError, ReachqError):
                    given: Any = self.client.lpop(f"rq:queue:{queue}")
                    if given and given not in self.stuck:
                        begun = self.ledger.begin(given, worker_of(queue), queue)
                        if begun:
                            self.ledger.finish(given, begun.token, Answer("YES"))

    def expire_leases(self) -> None:
        """Let every lease expire."""
        with suppress(redis.ResponseError):
            leased: Any = self.client.zrange("reachq:main:leases", 0, -1)
            for run_id in leased:
                self.client.zadd("reachq:main:leases", {run_id: 1}, xx=True)

    def go_on(self, others: list[Run]) -> list[str]:
        """Make turns until all other runs have ended and nothing is held; returns what is still wrong after TURNS of
        them.
        """
        wrong = ["no turn was made"]
        for _ in range(TURNS):
            self.announce()
            self.turn()
            self.work()
            self.expire_leases()
            wrong = self.wrong(others)
            if not wrong:
                break
        return wrong

    def wrong(self, others: list[Run]) -> list[str]:
        with suppress(StoreDamaged):
            wrong = []
            for run in others:
                with suppress(RunNotFound):
                    if self.ledger.run(run.id).state not in ENDED:
                        wrong.append(f"{run.mode} run {run.id} is {self.ledger.run(run.id).state}")
            free: Any = self.client.smembers("reachq:main:dscp:free")
            if free != {str(lane) for lane in range(32, 64)}:
                wrong.append(f"free lanes: {sorted(free)}")
            counts = self.ledger.counts()
            if counts.lanes_in_use or any(counts.running.values()) or any(counts.waiting.values()):
                wrong.append(f"still there: {counts}")
            wrong += [each for each in leaks.stray_keys(self.client) if "nobody owns" not in each]
            return wrong
        return ["a key is still damaged"]


STATES = [(state, mode) for mode in (QUICK, DETAILED) for state in (State.PENDING, State.PROMOTED, State.RUNNING)]
each_state = pytest.mark.parametrize(("state", "mode"), STATES, ids=lambda value: str(value))


def put(world: World, state: State, mode: Mode) -> tuple[Run, list[Run]]:
    """A run in this state, with unfinished runs of both modes and two users around it."""
    ledger = world.ledger
    if state is State.PENDING:
        ledger.pause("test")
    victim = world.submit(mode)
    world.turn()
    if state is not State.PENDING:
        assert ledger.run(victim.id).state is State.PROMOTED
    if state is State.RUNNING:
        queue = _given(ledger, victim)
        assert ledger.begin(victim.id, worker_of(queue), queue)
    world.stuck.add(victim.id)
    others = [world.submit(each, user) for user in ("anna", "bert") for each in (QUICK, DETAILED)]
    world.turn()
    ledger.resume("test")
    return ledger.run(victim.id), others


def _given(ledger: Ledger, run: Run) -> str:
    return next(str(worker.queue) for worker in ledger.workers() if worker.run == run.id)


def check(world: World, others: list[Run], what: str) -> None:
    """Check that all other runs are done, nothing is held, and a new run of each mode is answered."""
    world.stuck.clear()
    wrong = world.go_on(others)
    assert not wrong, f"{what}: {wrong}"
    assert [world.ledger.run(run.id).state for run in others] == [State.DONE] * len(others), what
    new = [world.submit(mode, "carl") for mode in (QUICK, DETAILED)]
    wrong = world.go_on(new)
    assert not wrong, f"{what}: new runs: {wrong}"
    assert [world.ledger.run(run.id).state for run in new] == [State.DONE] * 2, what


def named(world: World, victim: Run, field: str) -> None:
    """Check that the run has failed, and that its error, a damage record and an event name the field."""
    notes = {damage.name: damage.what for damage in world.ledger.observe().damages}
    assert f"field {field} " in notes.get(victim.id, ""), f"{field}: {notes}"
    events = [event for event in world.ledger.events("0-0", count=10_000) if event.kind == "damaged"]
    assert any(event.run_id == victim.id and event.fields["field"] == field for event in events)
    with suppress(RunDamaged):
        ended = world.ledger.run(victim.id)
        assert (ended.state, ended.error) == (State.FAILED, f"set aside: {notes[victim.id]}")


UNCHECKED = frozenset({"error", "verdict", "stopped_by", "wait_reason", "wait_code", "user", "token", "worker"})
"""Fields that may hold any text: only non-text bytes damage them, or an empty value where one is required."""


@pytest.mark.parametrize(
    ("state", "mode", "name"),
    [
        (state, mode, name)
        for state, mode in STATES
        for name in MALFORMED
        if (mode is QUICK and state is not State.PROMOTED) or name in ("text", "binary")
    ],
    ids=str,
)
def test_a_malformed_field_sets_that_run_aside(
    settings: Settings, ledger: Ledger, client: redis.Redis, state: State, mode: Mode, name: str
) -> None:
    fields: Any = None
    for at in range(100):
        world = World(settings, ledger, client)
        victim, others = put(world, state, mode)
        key = f"reachq:run:{victim.id}"
        fields = fields or sorted({*client.hkeys(key), "source_port", "overtaken", "turn"})
        if at == len(fields):
            break
        client.hset(key, fields[at], MALFORMED[name])
        check(world, others, f"{fields[at]} of a {state} {mode} run is {MALFORMED[name]!r}")
        if fields[at] not in UNCHECKED:
            named(world, victim, fields[at])


@each_state
def test_a_missing_field_sets_that_run_aside(
    settings: Settings, ledger: Ledger, client: redis.Redis, state: State, mode: Mode
) -> None:
    fields: Any = None
    for at in range(100):
        world = World(settings, ledger, client)
        victim, others = put(world, state, mode)
        key = f"reachq:run:{victim.id}"
        fields = fields or sorted(set(client.hkeys(key)) - {"wait_code", "wait_reason", "overtaken", "source_port"})
        if at == len(fields):
            break
        client.hdel(key, fields[at])
        check(world, others, f"{fields[at]} of a {state} {mode} run is missing")
        named(world, victim, fields[at])


@each_state
def test_a_lost_key_holds_nothing_up(
    settings: Settings, ledger: Ledger, client: redis.Redis, state: State, mode: Mode
) -> None:
    for damage, key in every_key(settings, ledger, client, state, mode):
        world = World(settings, ledger, client)
        victim, others = put(world, state, mode)
        name = key(victim)
        client.delete(name)
        check(world, [run for run in others if run.id not in name], f"{damage} is gone, {state} {mode}")


@each_state
def test_a_key_of_a_wrong_type_holds_nothing_up(
    settings: Settings, ledger: Ledger, client: redis.Redis, state: State, mode: Mode
) -> None:
    kinds = itertools.cycle(WRONG_TYPES)
    for damage, key in every_key(settings, ledger, client, state, mode):
        kind = next(kinds)
        world = World(settings, ledger, client)
        victim, others = put(world, state, mode)
        name = key(victim)
        while kind in (client.type(name), (keys.owner(name) or keys.CATALOGUE[0]).type):
            kind = next(kinds)
        retype(client, name, kind)
        check(world, [run for run in others if run.id not in name], f"{damage} is a {kind}, {state} {mode}")
        moved = [aside for aside in client.scan_iter("reachq:damaged:*") if aside.endswith(name)]
        replaced = (keys.owner(name) or keys.CATALOGUE[0]).pattern in SELF_HEALING or name.startswith("rq:")
        assert moved or replaced, f"{name} was neither kept nor written again"


SELF_HEALING = frozenset({"reachq:<bench>:leader", "reachq:<bench>:dispatchers"})
"""Keys that expire, or that are only for display."""


def every_key(
    settings: Settings, ledger: Ledger, client: redis.Redis, state: State, mode: Mode
) -> list[tuple[str, Callable[[Run], str]]]:
    """Every key in such a world, of reachq and of RQ: what it is, and its name for the damaged run."""
    world = World(settings, ledger, client)
    victim, _ = put(world, state, mode)
    others = {run for run in client.scan_iter("reachq:run:*") if victim.id not in run}
    found = [name for name in sorted(client.scan_iter("*")) if name not in others]
    found = [name for name in found if not name.startswith("rq:job:") or victim.id in name]
    missing = [f"reachq:run:{victim.id}:{part}" for part in ("result", "log")]
    missing += ["reachq:main:status", "reachq:main:paused", "reachq:main:restart", "reachq:main:dscp:lane:63"]

    def of_another(name: str) -> Callable[[Run], str]:
        return lambda run: name.replace(victim.id, run.id)

    return [(name.replace(victim.id, "<victim>"), of_another(name)) for name in [*found, *(set(missing) - set(found))]]
