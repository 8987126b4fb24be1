"""The simulated queue: who starts when, by the rules of the dispatcher and the latest durations."""

from __future__ import annotations

import pytest

from app.web.forms.estimate import OVERHEAD_MS, Capacity, Pace, about, capacities, cost_words, pace, starts_in_ms
from ledger.bench.hosts import HostState
from ledger.runs.records import Pause
from ledger.runs.run import Mode, Run, Service, State

QUICK, DETAILED = Mode.QUICK, Mode.DETAILED
PACE = Pace(quick_ms=100, detailed_ms=2000)
NOW = 1_000_000


def run(name: str, mode: Mode = Mode.QUICK, state: State = State.PENDING, started: int = 0, finished: int = 0) -> Run:
    return Run(
        id=name, mode=mode, source="10.0.0.1", destination="10.0.0.2", services=(Service(port=22, protocol="tcp"),),
        state=state, started_ms=started, finished_ms=finished,
    )  # fmt: skip


def running(count: int = 0, *, alone: bool = False) -> list[Run]:
    on_bench = [run(f"r{n}", state=State.RUNNING, started=NOW) for n in range(count)]
    return on_bench + ([run("alone", Mode.DETAILED, State.RUNNING, NOW)] if alone else [])


def starts(held: list[Run], ahead: list[Mode] | None = None, mode: Mode = QUICK) -> float:
    """How long until a run of `mode` starts behind the modes `ahead`."""
    found = starts_in_ms(held, ahead or [], PACE, NOW, mode)
    assert found is not None
    return found


def test_an_empty_bench_starts_anything_at_once() -> None:
    assert starts([]) == 0
    assert starts([], mode=DETAILED) == 0


def test_quick_starts_beside_others_until_the_lanes_are_gone() -> None:
    assert starts(running(31)) == 0
    assert starts(running(32)) == 100


def test_detailed_waits_for_all_quick_and_quick_for_detailed() -> None:
    assert starts(running(3), mode=DETAILED) == 100
    assert starts(running(alone=True)) == 2000


def test_a_waiting_run_counts_those_before_it() -> None:
    assert starts([], [], DETAILED) == 0
    assert starts([], [DETAILED], DETAILED) == 2000 + OVERHEAD_MS
    assert starts([], [DETAILED, DETAILED]) == 2 * (2000 + OVERHEAD_MS)


def test_a_full_bench_serves_the_line_in_turns() -> None:
    assert starts(running(32)) == 100
    assert starts(running(32), [QUICK] * 63) == pytest.approx(100 + 1 * (100 + OVERHEAD_MS))
    assert starts(running(32), [QUICK] * 3200) == pytest.approx(100 + 100 * (100 + OVERHEAD_MS))


def test_nothing_is_said_of_a_run_that_is_too_far_behind() -> None:
    assert starts_in_ms([], None, PACE, NOW, QUICK) is None


def test_pace_is_the_median_of_what_was_answered() -> None:
    took = [run(str(n), state=State.DONE, started=NOW, finished=NOW + ms) for n, ms in enumerate((10, 20, 9000))]
    failed = run("f", state=State.FAILED, started=NOW, finished=NOW + 50_000)
    assert pace([*took, failed]).quick_ms == 20


def test_words() -> None:
    assert cost_words(Mode.QUICK, 0, PACE) == "Runs in parallel, starts now; takes less than a second."
    assert cost_words(Mode.DETAILED, 4000, PACE) == "Runs alone, starts in about 4 s; takes about 2 s."
    assert "long queue" in cost_words(Mode.QUICK, None, PACE)
    assert about(120_000) == "about 2 min"


def test_quick_runs_use_the_lanes_of_all_hosts() -> None:
    two = {"local": Capacity(), "east": Capacity(quick=8)}
    held = [run(f"r{n}", state=State.RUNNING, started=NOW) for n in range(32)]
    assert starts_in_ms(held, [QUICK] * 7, PACE, NOW, QUICK, two) == 0
    assert starts_in_ms(held, [QUICK] * 8, PACE, NOW, QUICK, two) == 100


def test_a_detailed_run_has_one_host_and_quick_runs_start_on_the_other() -> None:
    two = {"local": Capacity(), "east": Capacity()}
    alone = running(alone=True)
    assert starts_in_ms(alone, [], PACE, NOW, QUICK, two) == 0
    assert starts_in_ms(alone, [], PACE, NOW, DETAILED, two) == 0
    assert starts_in_ms(alone, [DETAILED], PACE, NOW, QUICK, two) == 2000


def test_runs_on_a_host_that_is_drained_do_not_count() -> None:
    east = {"east": Capacity(quick=1)}
    assert starts_in_ms(running(32), [], PACE, NOW, QUICK, east) == 0
    assert starts_in_ms(running(32), [QUICK], PACE, NOW, QUICK, east) == 100 + OVERHEAD_MS


def test_a_mode_without_a_worker_has_no_start() -> None:
    quick_only = {"local": Capacity(detailed=0)}
    assert starts_in_ms([], [], PACE, NOW, DETAILED, quick_only) is None
    assert starts_in_ms([], [DETAILED], PACE, NOW, QUICK, quick_only) == 0


def test_only_hosts_on_which_runs_can_start_have_a_capacity() -> None:
    def host(name: str, quick: int = 40, bench: str = "up", drain: Pause | None = None) -> HostState:
        return HostState(name, ("m",), {QUICK: quick, DETAILED: 2, Mode.BULK: 2}, 0, 0, bench, drain=drain)

    found = [host("a"), host("b", 8, "unknown"), host("c", drain=Pause("ops", "memory", 1)), host("d", bench="away")]
    assert capacities(found) == {"a": Capacity(32, 1), "b": Capacity(8, 1)}
    assert capacities(found[2:]) == {"local": Capacity(32, 1)}
