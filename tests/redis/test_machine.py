"""Model against machine: random verbs on the real scripts and on `tests.redis.model`, compared after each step.

Invariants 1-5 of the design are read from Redis after every step; leases are aged, never waited for.
"""

from __future__ import annotations

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.errors import RunEnded, StaleEpoch
from ledger.runs.records import Answer, Choice
from ledger.runs.run import TRANSITIONS, Mode, Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.redis.model import Model
from tests.support.invariants import violations
from tests.support.runs import idle_queues, overdue, queue_of, submit_any, worker_of
from tests.support.server import Server

EXAMPLES, STEPS, AT_LEAST = 60, 50, 2000
MODES = st.sampled_from(list(Mode))
USERS = st.sampled_from(["ann", "ann", "bob", "cleo"])
LINE_MAX = 3
# The lower numbers are drawn more often, so that queues are served and fought over.
NUMBERS = st.integers(0, 33)
EDGES = {(before, after) for before, verbs in TRANSITIONS.items() for after in verbs.values()}


class Machine(RuleBasedStateMachine):
    """One bench; `attempts` contains every attempt ever begun, including lost ones."""

    server: Server
    steps = 0
    edges: set[tuple[State | None, State]]

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client()
        self.client.flushall()
        slow = {
            "lease_ms": 60_000,
            "begin_ms": 60_000,
            "leader_ms": 30_000,
            "fair_waiting": LINE_MAX,
        }  # nothing expires here
        self.ledger = Ledger.connect(load_settings(redis_url=self.server.url, **slow))
        self.model = Model(LINE_MAX)
        self.epoch = 0
        self.dispatcher = "d1"
        self.attempts: list[tuple[str, str]] = []
        self.states: dict[str, State] = {}

    def teardown(self) -> None:
        self.ledger.close()
        self.client.close()

    @initialize(quick=st.integers(1, 34), detailed=st.integers(0, 1), waiting=st.lists(MODES, max_size=5))
    def start(self, quick: int, detailed: int, waiting: list[Mode]) -> None:
        self.epoch = self.ledger.lead(self.dispatcher) or 0
        for mode, count in ((Mode.QUICK, quick), (Mode.DETAILED, detailed)):
            for number in range(count):
                self.announce(mode, number)
        for mode in waiting:
            self.submit(mode, 3, "ann")

    def any_run(self, data: st.DataObject) -> str:
        """One of the runs, half of the time one that holds a slot."""
        from_slots = bool(self.holding) and data.draw(st.booleans())
        return data.draw(st.sampled_from(self.holding if from_slots else list(self.model.runs)))

    @property
    def holding(self) -> list[str]:
        return [run for mode in Mode for run in self.model.held(mode)]

    @rule(mode=MODES, number=NUMBERS)
    def announce(self, mode: Mode, number: int) -> None:
        queue = queue_of(mode, number)
        self.ledger.announce(worker_of(queue), queue, mode, 1)
        self.model.workers[queue] = str(mode)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.model.workers:
            queue = data.draw(st.sampled_from(sorted(self.model.workers)))
            busy = any(r.queue == queue and r.state in ("promoted", "running") for r in self.model.runs.values())
            if not busy:
                assert self.ledger.withdraw(worker_of(queue))
                del self.model.workers[queue]

    @rule(mode=MODES, count=st.integers(1, 8), user=USERS)
    def submit(self, mode: Mode, count: int, user: str) -> None:
        for _ in range(count):
            run = submit_any(self.ledger, mode, user)
            self.model.submit(run.id, str(mode), user)
            assert run.seq == self.model.runs[run.id].seq

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        run = self.ledger.run(self.any_run(data))
        assert submit_any(self.ledger, run.mode, run.user, run_id=run.id, created=False) == run

    @precondition(lambda self: not self.model.paused)
    @rule(chance=st.integers(1, 8))
    def pause(self, chance: int) -> None:
        if chance == 1:  # rarely: most of the time the runs should make progress
            assert self.ledger.pause("anna", "why")
            self.model.paused = True

    @precondition(lambda self: self.model.paused)
    @rule()
    def resume(self) -> None:
        assert self.ledger.resume("anna")
        self.model.paused = False

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data(), count=st.integers(1, 40), mode=MODES)
    def promote_the_oldest(self, data: st.DataObject, count: int, mode: Mode) -> None:
        idle = sorted(idle_queues(self.ledger, mode))
        self.promote([Choice(name, mode, q) for name, q in zip(self.model.line(mode)[:count], idle, strict=False)])

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data(), numbers=st.lists(NUMBERS, min_size=1, max_size=5))
    def promote_anything(self, data: st.DataObject, numbers: list[int]) -> None:
        names = [self.any_run(data) for _ in numbers]
        chosen = [(name, self.ledger.run(name).mode, n) for name, n in zip(names, numbers, strict=True)]
        self.promote([Choice(name, mode, queue_of(mode, number)) for name, mode, number in chosen])

    def promote(self, choices: list[Choice]) -> None:
        outcomes = self.ledger.promote(self.epoch, choices)
        assert [str(o.status) for o in outcomes] == [self.model.promote(c.run_id, c.queue) for c in choices]

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def begin_all(self, data: st.DataObject) -> None:
        for name in [name for name, run in self.model.runs.items() if run.state == "promoted"]:
            self.begin(name, self.model.runs[name].queue)

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data(), number=NUMBERS)
    def begin_anything(self, data: st.DataObject, number: int) -> None:
        name = self.any_run(data)
        self.begin(name, queue_of(Mode(self.model.runs[name].mode), number))

    def begin(self, name: str, queue: str) -> None:
        run = self.ledger.begin(name, worker_of(queue))
        assert (run is not None) == self.model.begin(name, queue)
        if run is not None:
            self.attempts.append((run.id, run.token))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), verb=st.sampled_from(["finish", "fail", "stopped", "give_back", "renew"]))
    def one_attempt(self, data: st.DataObject, verb: str) -> None:
        """Any attempt ever begun makes a call; only the live one is accepted."""
        at_work = [attempt for attempt in self.attempts if self.model.runs[attempt[0]].state == "running"]
        name, token = data.draw(st.sampled_from(at_work or self.attempts[-40:]))
        live = self.model.runs[name].state == "running" and self.ledger.run(name).token == token
        heard = {
            "finish": lambda: self.ledger.finish(name, token, Answer("YES")),
            "fail": lambda: self.ledger.fail(name, token, "why"),
            "stopped": lambda: self.ledger.stopped(name, token),
            "give_back": lambda: self.ledger.give_back(name, token, "why"),
            "renew": lambda: self.ledger.renew(name, token).alive,
        }[verb]()
        assert heard == live
        if live and verb == "give_back":
            self.model.give_back(name)
        elif live and verb != "renew":
            self.model.end(name, {"finish": "done", "fail": "failed", "stopped": "cancelled"}[verb])

    @precondition(lambda self: self.holding)
    @rule()
    def all_finish(self) -> None:
        for name in self.holding:
            run = self.ledger.run(name)
            if self.ledger.finish(name, run.token, Answer("NO")):
                self.model.end(name, "done")

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = self.any_run(data)
        try:
            state = str(self.ledger.cancel(name).state)
        except RunEnded:
            state = "ended"
        assert state == self.model.cancel(name)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def one_is_tried_again(self, data: st.DataObject) -> None:
        """Start a lost run's next attempt, which the lost one must not be able to change."""
        name = data.draw(st.sampled_from(self.holding))
        run, queue = self.ledger.run(name), self.model.runs[name].queue
        self.lose([name])
        self.promote([Choice(name, run.mode, queue)])
        self.begin(name, queue)

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), count=st.integers(1, 33))
    def leases_end(self, data: st.DataObject, count: int) -> None:
        self.lose(data.draw(st.permutations(self.holding))[:count])

    def lose(self, chosen: list[str]) -> None:
        for name in chosen:
            overdue(self.client, name)
        reaped = {r.run_id: str(r.status) for r in self.ledger.reap(self.epoch)}
        assert reaped == {name: self.model.give_back(name) for name in chosen}

    @rule()
    def another_leads(self) -> None:
        self.ledger.resign(self.dispatcher)
        stale, self.dispatcher = self.epoch, "d2" if self.dispatcher == "d1" else "d1"
        self.epoch = self.ledger.lead(self.dispatcher) or 0
        assert self.epoch == stale + 1
        for mode in Mode:
            assert self.ledger.settle(mode) is None, "the lines are in shape: this changes nothing"
        with pytest.raises(StaleEpoch):
            self.ledger.promote(stale, [Choice("x", Mode.QUICK, "y")])
        with pytest.raises(StaleEpoch):
            self.ledger.reap(stale)

    @rule()
    def scripts_are_flushed(self) -> None:
        self.client.script_flush()

    @invariant()
    def holds(self) -> None:
        """Check invariants 1-5, and that Redis and the model agree on every run."""
        type(self).steps += 1
        self.ledger.lead(self.dispatcher)
        assert violations(self.client) == []
        runs, total = self.ledger.runs(limit=10_000)
        assert len(runs) == total == len(self.model.runs)
        for run in runs:
            self.compare(run)
        view = self.ledger.view(window=1000)
        assert bool(view.paused) == self.model.paused
        expected = sorted((run for mode in Mode for run in self.model.line(mode)), key=self.turn)
        assert [waiter.run_id for waiter in view.waiting] == expected
        waiting = {mode: len(self.model.waiting(mode)) for mode in Mode}
        assert (view.waiting_total, self.ledger.counts().waiting) == (waiting, waiting)
        queue = self.ledger.queue(limit=1000)
        assert {run.id for run in queue.waiting} == {run for mode in Mode for run in self.model.waiting(mode)}

    def compare(self, run: Run) -> None:
        name, model = run.id, self.model.runs[run.id]
        stored = (str(run.state), run.attempt, run.seq, run.cancelling)
        assert stored == (model.state, model.attempt, model.seq, model.cancelling)
        if run.state is State.PENDING:
            assert run.wait_code == ("" if model.turn else "behind-own")
            assert (run.turn or run.seq) == (model.turn or model.seq)
        assert (run.verdict != "") == (model.accepted == 1)
        before = self.states.get(name)
        if before is not run.state:
            self.edges.add((before, run.state))
            self.states[name] = run.state

    def turn(self, name: str) -> int:
        return self.model.runs[name].turn


@pytest.fixture
def machine(server: Server) -> type[Machine]:
    """The machine on the test's server, with its own counters."""
    return type("OneMachine", (Machine,), {"server": server, "steps": 0, "edges": set()})


@pytest.mark.timeout(300)
def test_the_scripts_do_what_the_model_does(machine: type[Machine], client: redis.Redis) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.steps >= AT_LEAST, f"only {machine.steps} steps were checked"
    unknown = machine.edges - EDGES
    assert not unknown, f"changes of state that TRANSITIONS does not know: {unknown}"
