"""The compatibility rules: the whole table, the overtake limits, and as a property that no run starves."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat_dispatcher.rules import Bench, DispatchDecision, Holder, Limits, Waiter, Why, choose
from ledger.bench.diagnosis import BENCH_SILENT
from ledger.runs.records import Pause, Report
from ledger.runs.run import Mode

Q, D, B = Mode.QUICK, Mode.DETAILED, Mode.BULK
NOW = 1_000_000
LIMITS = Limits(NOW, overtake_ms=30_000, overtake_max=64)


def quick(name: str, age_ms: int = 0) -> Waiter:
    return Waiter(name, Q, NOW - age_ms)


def detailed(name: str, age_ms: int = 0, overtaken: int = 0) -> Waiter:
    return Waiter(name, D, NOW - age_ms, overtaken)


def running_quick(n: int) -> list[Holder]:
    return [Holder(f"r{i}", Q) for i in range(n)]


def bulk(name: str, age_ms: int = 0) -> Waiter:
    return Waiter(name, B, NOW - age_ms)


def decide(
    running: list[Holder], *waiting: Waiter, idle_quick: int = 32, idle_detailed: int = 1, idle_bulk: int = 2
) -> DispatchDecision:
    return choose([Bench(idle_quick, idle_detailed, idle_bulk=idle_bulk)], running, waiting, LIMITS)


TABLE = [
    *[(n, 0, Q, "start" if n < 32 else Why.BENCH_FULL) for n in range(33)],
    *[(n, 0, D, "start" if n == 0 else Why.QUICK_RUNNING) for n in range(33)],
    (0, 1, Q, Why.DETAILED_RUNNING),
    (0, 1, D, Why.DETAILED_RUNNING),
    *[(n, 0, B, "start" if n < 32 else Why.BENCH_FULL) for n in range(33)],
    (0, 1, B, Why.DETAILED_RUNNING),
]


@pytest.mark.parametrize(("quick_n", "detailed_n", "arriving", "expected"), TABLE)
def test_table_of_running_against_arriving(quick_n: int, detailed_n: int, arriving: Mode, expected: str) -> None:
    running = running_quick(quick_n) + [Holder("deep", D)] * detailed_n
    decision = decide(running, Waiter("new", arriving, NOW))
    if expected == "start":
        assert tuple(decision.start) == ("new",)
        assert decision.waits == {}
    else:
        assert tuple(decision.start) == ()
        assert decision.waits["new"].code == expected


@pytest.mark.parametrize("waiting", range(0, 70, 7))
@pytest.mark.parametrize("running", [0, 1, 31, 32])
@pytest.mark.parametrize("idle", [0, 1, 5, 32])
def test_never_more_than_lanes_or_idle_workers(running: int, waiting: int, idle: int) -> None:
    runs = [quick(f"q{i}") for i in range(waiting)]
    decision = decide(running_quick(running), *runs, idle_quick=idle)
    assert len(decision.start) == min(waiting, 32 - running, idle)
    assert tuple(decision.start) == tuple(run.run_id for run in runs[: len(decision.start)])
    assert set(decision.start) | set(decision.waits) == {run.run_id for run in runs}


def test_oldest_first_over_both_modes() -> None:
    assert tuple(decide([], detailed("d"), quick("q")).start) == ("d",)
    assert tuple(decide([], quick("q"), detailed("d")).start) == ("q",)
    after = decide([], quick("q1"), detailed("d"), quick("q2"))
    assert tuple(after.start) == ("q1", "q2")
    assert after.waits["d"].code == Why.QUICK_RUNNING


def test_what_starts_with_a_detailed_run_is_nothing_else() -> None:
    decision = decide([], detailed("d1"), detailed("d2"), quick("q"))
    assert tuple(decision.start) == ("d1",)
    assert decision.waits["d2"].code == decision.waits["q"].code == Why.DETAILED_RUNNING


def test_quick_pass_a_detailed_run_until_its_time_is_up() -> None:
    in_time = decide(running_quick(3), detailed("d", age_ms=29_999), quick("q"))
    assert tuple(in_time.start) == ("q",)
    assert in_time.wake_ms == NOW + 1
    late = decide(running_quick(3), detailed("d", age_ms=30_000), quick("q"))
    assert tuple(late.start) == ()
    assert late.waits["q"].code == Why.DRAINING
    assert late.waits["q"].sentence == "detailed run d is next; 3 quick runs have to end first"
    assert late.wake_ms is None


@pytest.mark.parametrize(("overtaken", "pass_"), [(0, 3), (61, 3), (62, 2), (63, 1), (64, 0), (99, 0)])
def test_quick_pass_a_detailed_run_until_their_number_is_up(overtaken: int, pass_: int) -> None:
    decision = decide(running_quick(1), detailed("d", overtaken=overtaken), quick("a"), quick("b"), quick("c"))
    assert tuple(decision.start) == ("a", "b", "c")[:pass_]
    assert all(decision.waits[run].code == Why.DRAINING for run in ("a", "b", "c")[pass_:])


def test_older_quick_do_not_count_as_overtaking() -> None:
    decision = decide(running_quick(1), quick("old"), detailed("d", overtaken=64), quick("young"))
    assert tuple(decision.start) == ("old",)


def test_only_the_first_detailed_run_holds_the_bench() -> None:
    decision = decide(running_quick(1), detailed("d1"), detailed("d2", age_ms=60_000, overtaken=64), quick("q"))
    assert tuple(decision.start) == ("q",)
    assert decision.waits["d2"].code == Why.BEHIND_DETAILED


def test_a_mode_without_live_workers_holds_nobody_up() -> None:
    no_detailed = decide(running_quick(1), detailed("d", overtaken=64), quick("q"), idle_detailed=0)
    assert tuple(no_detailed.start) == ("q",)
    assert no_detailed.waits["d"].code == Why.NO_WORKER
    no_quick = decide([], quick("q"), detailed("d"), idle_quick=0)
    assert tuple(no_quick.start) == ("d",)
    assert no_quick.waits["q"].code == Why.NO_WORKER


def test_sentences_read_well_in_the_singular() -> None:
    one = decide(running_quick(1), detailed("0123456789", overtaken=64), quick("q"))
    assert one.waits["q"].sentence == "detailed run 01234567 is next; 1 quick run has to end first"
    assert one.waits["0123456789"].sentence == "1 quick run has to end first"


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        ("new firmware facts", "the bench is paused by anna: new firmware facts"),
        ("", "the bench is paused by anna"),
    ],
)
def test_while_the_bench_is_paused_nothing_starts(why: str, sentence: str) -> None:
    limits = Limits(NOW, paused=Pause("anna", why, NOW))
    for running in ([], running_quick(3), [Holder("deep", D)]):
        decision = choose([Bench(32, 1)], running, [quick("q"), detailed("d"), quick("late")], limits)
        assert (decision.start, decision.wake_ms) == ({}, None)
        assert set(decision.waits) == {"q", "d", "late"}
        assert {(wait.code, wait.sentence) for wait in decision.waits.values()} == {(Why.PAUSED, sentence)}


@pytest.mark.parametrize(
    ("bench", "sentence"),
    [
        (Report("away", "no bench answers at @b: Connection refused"),
         "the bench is down: no bench answers at @b: Connection refused"),
        (Report("away"), "the bench is down"),
        (Report("restarting"), "the bench is restarting"),
        (Report("up", silent=True), BENCH_SILENT),
    ],
)  # fmt: skip
def test_while_the_bench_is_down_nothing_starts(bench: Report, sentence: str) -> None:
    for running in ([], running_quick(3), [Holder("deep", D)]):
        decision = choose([Bench(32, 1, bench)], running, [quick("q"), detailed("d"), quick("late")], LIMITS)
        assert (decision.start, decision.wake_ms) == ({}, None)
        assert set(decision.waits) == {"q", "d", "late"}
        assert {(wait.code, wait.sentence) for wait in decision.waits.values()} == {(Why.BENCH_DOWN, sentence)}


@pytest.mark.parametrize("bench", [None, Report("up")])
def test_a_bench_that_is_up_or_has_never_reported_is_used(bench: Report | None) -> None:
    assert tuple(choose([Bench(32, 1, bench)], [], [quick("q")], LIMITS).start) == ("q",)


def test_without_any_worker_a_silent_bench_is_not_the_reason() -> None:
    decision = choose([Bench(0, 0, Report("up", silent=True))], [], [quick("q"), detailed("d")], LIMITS)
    assert {wait.code for wait in decision.waits.values()} == {Why.NO_WORKER}


def test_a_detailed_run_from_before_the_clock_was_set_back_is_not_passed_any_longer() -> None:
    decision = decide(running_quick(1), detailed("d", age_ms=-3_600_000), quick("q"))
    assert (decision.start, decision.wake_ms) == ({}, None)
    assert decision.waits["q"].code == Why.DRAINING


def test_a_pause_is_the_reason_before_the_bench_is() -> None:
    limits = Limits(NOW, paused=Pause("anna", "", NOW))
    assert choose([Bench(32, 1, Report("away"))], [], [quick("q")], limits).waits["q"].code == Why.PAUSED


def test_bulk_runs_have_lanes_but_workers_of_their_own() -> None:
    runs = [bulk("b1"), quick("q1"), bulk("b2"), bulk("b3"), quick("q2")]
    decision = decide([], *runs, idle_quick=1)
    assert tuple(decision.start) == ("b1", "q1", "b2")
    assert decision.waits["b3"].sentence == "all live bulk workers are busy"
    assert decision.waits["q2"].sentence == "all live quick workers are busy"
    assert decide([], bulk("b"), idle_bulk=0).waits["b"].code == Why.NO_WORKER


def test_a_bulk_run_never_passes_a_detailed_run() -> None:
    decision = decide(running_quick(1), detailed("d"), bulk("b"), quick("q"))
    assert tuple(decision.start) == ("q",)
    assert decision.waits["b"].code == Why.DRAINING
    assert tuple(decide(running_quick(1), bulk("b"), detailed("d")).start) == ("b",)


def test_a_detailed_run_waits_for_bulk_runs() -> None:
    holders = [*running_quick(1), Holder("b", B)]
    assert decide(holders, detailed("d")).waits["d"].sentence == "2 runs have to end first"
    assert decide([Holder("b", B)], detailed("d")).waits["d"].sentence == "1 run has to end first"


def test_bulk_runs_use_the_host_with_the_fewest_of_them() -> None:
    benches = [Bench(8, 1, host="a", idle_bulk=2), Bench(8, 1, host="b", idle_bulk=2)]
    busy = [Holder("q1", Q, "b"), Holder("q2", Q, "b"), Holder("b1", B, "a")]
    assert choose(benches, busy, [bulk("b2"), bulk("b3")], LIMITS).start == {"b2": "b", "b3": "a"}


@given(
    st.lists(st.sampled_from([Q, D, B]), max_size=60),
    st.integers(0, 33),
    st.integers(0, 40),
    st.integers(0, 2),
    st.integers(0, 3),
)
def test_decisions_always_keep_the_bench_compatible(
    modes: list[Mode], running: int, idle_quick: int, idle_detailed: int, idle_bulk: int
) -> None:
    holders = [Holder("deep", D)] if running == 33 else running_quick(running)
    waiting = [Waiter(f"w{i}", mode, NOW) for i, mode in enumerate(modes)]
    decision = decide(holders, *waiting, idle_quick=idle_quick, idle_detailed=idle_detailed, idle_bulk=idle_bulk)
    mode_of = {run.run_id: run.mode for run in waiting}
    held = [holder.mode for holder in holders] + [mode_of[run] for run in decision.start]
    assert held.count(D) == 0 or len(held) == 1
    assert held.count(Q) + held.count(B) <= 32
    started = Counter(mode_of[run] for run in decision.start)
    assert all(started[mode] <= idle for mode, idle in ((Q, idle_quick), (D, idle_detailed), (B, idle_bulk)))
    for mode in (Q, D, B):
        line = [run.run_id for run in waiting if run.mode is mode]
        assert [run for run in decision.start if mode_of[run] is mode] == line[: started[mode]], "oldest first"
    assert set(decision.start).isdisjoint(decision.waits)
    assert set(decision.start) | set(decision.waits) == set(mode_of)


class Simulation:
    """Benches in virtual time: arrivals and ends are given, starts come from `choose`; no run fails."""

    def __init__(self, workers: int, limits: Limits, hosts: int = 1) -> None:
        self.workers = workers
        self.limits = limits
        self.hosts = [f"h{number}" for number in range(hosts)]
        self.now = 0
        self.waiting: list[Waiter] = []
        self.running: dict[str, tuple[Mode, int, str]] = {}
        self.order: dict[str, int] = {}
        self.passed: dict[str, set[str]] = {}
        self.started_ms: dict[str, int] = {}
        self.drained: set[str] = set()

    def arrive(self, mode: Mode) -> str:
        name = f"{len(self.order)}"
        self.order[name] = len(self.order)
        self.waiting.append(Waiter(name, mode, self.now))
        return name

    def step(self, lengths: deque[int]) -> None:
        """End what is due, decide, start; a run's length comes from `lengths`, repeated cyclically."""
        self.running = {name: run for name, run in self.running.items() if run[1] > self.now}
        busy = Counter((mode, host) for mode, _, host in self.running.values())
        benches = [
            Bench(
                self.workers - busy[Q, host],
                1 - busy[D, host],
                host=host,
                drained=host in self.drained,
                idle_bulk=2 - busy[B, host],
            )
            for host in self.hosts
        ]
        holders = [Holder(name, mode, host) for name, (mode, _, host) in self.running.items()]
        start = choose(benches, holders, self.waiting, replace(self.limits, now_ms=self.now)).start
        for name, host in start.items():
            run = next(run for run in self.waiting if run.run_id == name)
            self.waiting.remove(run)
            self._count_overtaking(run)
            self.running[name] = (run.mode, self.now + lengths[0], host)
            self.started_ms[name] = self.now
            lengths.rotate()
            for each in self.hosts:
                held = [mode for mode, _, on in self.running.values() if on == each]
                assert held.count(D) == 0 or len(held) == 1
                assert held.count(Q) + held.count(B) <= 32

    def _count_overtaking(self, run: Waiter) -> None:
        first = next((w for w in self.waiting if w.mode is D), None)
        for older in self.waiting:
            counts = older is first if older.mode is D else older.mode is run.mode
            if counts and self.order[older.run_id] < self.order[run.run_id]:
                self.passed.setdefault(older.run_id, set()).add(run.run_id)
        if first and run.mode is not D and self.order[first.run_id] < self.order[run.run_id]:
            place = self.waiting.index(first)
            self.waiting[place] = Waiter(first.run_id, D, first.submitted_ms, first.overtaken + 1)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.integers(1, 32),
    st.integers(0, 10),
    st.integers(0, 60),
    st.integers(1, 3),
)
def test_nothing_starves(
    arrivals: list[int], lengths: list[int], workers: int, most: int, span: int, hosts: int
) -> None:
    """Under an endless stream of all modes every run starts; on one host, none is passed by more than the limit.

    A detailed run is passed only while it is the first of its mode that waits, and the others only by their own mode:
    quick and bulk runs have workers of their own, so one passes the other without delaying it.
    """
    sim = Simulation(workers, Limits(0, overtake_ms=span, overtake_max=most), hosts)
    turn, stream = deque(lengths), deque(arrivals)
    early: list[str] = []
    for tick in range(60 + 10 * 120):
        sim.now = tick
        for _ in range(stream[0]):
            count = len(sim.order)
            name = sim.arrive(D if count % 5 == 4 else B if count % 7 == 6 else Q)
            if tick < 12:
                early.append(name)
        stream.rotate()
        sim.step(turn)
        if all(name in sim.started_ms for name in early) and tick >= 12:
            break
    assert [name for name in early if name not in sim.started_ms] == []
    if hosts == 1:  # with several, quick runs pass on the hosts that are not reserved, and delay no one
        assert all(len(passed) <= most for passed in sim.passed.values())


@given(st.integers(1, 32), st.integers(1, 50), st.integers(0, 64), st.integers(0, 200), st.integers(1, 3))
def test_a_detailed_run_under_an_endless_quick_stream_starts_in_bounded_time(
    workers: int, length: int, most: int, span: int, hosts: int
) -> None:
    """It waits for the overtake bound (time or number, whichever is first) and one drain, not more."""
    sim = Simulation(workers, Limits(0, overtake_ms=span, overtake_max=most), hosts)
    for _ in range(workers * hosts):
        sim.arrive(Q)
    sim.step(deque([length]))
    name = sim.arrive(D)
    while name not in sim.started_ms and sim.now <= span + length + 1:
        sim.now += 1
        while len(sim.waiting) < 40 * hosts:
            sim.arrive(Q)
        sim.step(deque([length]))
    assert sim.started_ms[name] <= span + length


def on(host: str, *, quick: int = 32, detailed: int = 1, report: Report | None = None, drained: bool = False) -> Bench:
    return Bench(quick, detailed, report, host, drained)


def test_quick_runs_are_spread_over_the_hosts() -> None:
    decision = choose([on("a"), on("b")], [Holder("r", Q, "a")], [quick(f"q{i}") for i in range(5)], LIMITS)
    assert Counter(decision.start.values()) == {"a": 2, "b": 3}


def test_the_lanes_of_all_hosts_are_used() -> None:
    decision = choose([on("a", quick=40), on("b", quick=40)], [], [quick(f"q{i}") for i in range(70)], LIMITS)
    assert Counter(decision.start.values()) == {"a": 32, "b": 32}
    assert {wait.sentence for wait in decision.waits.values()} == {"all 64 lanes are in use"}


def test_a_detailed_run_takes_a_free_host_while_quick_runs_continue_on_the_other() -> None:
    decision = choose([on("a"), on("b")], [Holder("r", Q, "a")], [detailed("d"), quick("q")], LIMITS)
    assert decision.start == {"d": "b", "q": "a"}


def test_a_waiting_detailed_run_reserves_one_host_only() -> None:
    """Its host drains after the overtake limit; younger quick runs start on the other host at any time."""
    running = [Holder("r1", Q, "a"), Holder("r2", Q, "a"), Holder("r3", Q, "b")]
    late = detailed("d", age_ms=30_000)
    decision = choose([on("a"), on("b")], running, [late, *(quick(f"q{i}") for i in range(40))], LIMITS)
    assert set(decision.start.values()) == {"a"}
    assert len(decision.start) == 30
    assert decision.waits["d"].code == Why.QUICK_RUNNING
    assert {decision.waits[f"q{i}"].code for i in range(30, 40)} == {Why.DRAINING}


def test_the_reserved_host_is_used_last_within_the_overtake_limit() -> None:
    running = [Holder("r1", Q, "a"), Holder("r2", Q, "a"), Holder("r3", Q, "b")]
    waiting = [detailed("d", overtaken=63), *(quick(f"q{i}") for i in range(40))]
    decision = choose([on("a"), on("b")], running, waiting, LIMITS)
    assert Counter(decision.start.values()) == {"a": 30, "b": 1}


def test_two_detailed_runs_run_on_two_hosts() -> None:
    decision = choose([on("a"), on("b")], [], [detailed("d1"), detailed("d2"), detailed("d3")], LIMITS)
    assert decision.start == {"d1": "a", "d2": "b"}
    assert decision.waits["d3"].code == Why.DETAILED_RUNNING


@pytest.mark.parametrize(
    "bad", [on("a", drained=True), on("a", report=Report("away")), on("a", report=Report("up", silent=True))]
)
def test_a_host_that_cannot_test_is_left_out(bad: Bench) -> None:
    decision = choose([bad, on("b", quick=1)], [], [quick("q1"), quick("q2")], LIMITS)
    assert decision.start == {"q1": "b"}
    assert decision.waits["q2"].code == Why.NO_WORKER


def test_without_any_usable_host_the_runs_say_why_they_wait() -> None:
    drained = choose([on("a", drained=True), on("b", drained=True)], [], [quick("q")], LIMITS)
    assert drained.waits["q"].code == Why.HOSTS_DRAINED
    down = choose([on("a", drained=True), on("b", report=Report("away", "no facts"))], [], [quick("q")], LIMITS)
    assert down.waits["q"].sentence == "the bench is down: no facts"
