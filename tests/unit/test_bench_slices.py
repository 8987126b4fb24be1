"""How many questions of a bulk run are walked at a time."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from netlab.quick.flow import Question
from netlab.service.slices import (
    FIRST_ESTIMATE_S,
    LONG_S,
    MOST_QUESTIONS,
    MOST_SERVICES,
    RECENT_S,
    SHORT_S,
    Pace,
    longest_slice,
)

A, B = IPv4Address("10.0.1.9"), IPv4Address("10.0.2.9")


def asked(count: int, services: int = 1) -> list[Question]:
    """This many questions of so many services."""
    ports = tuple((port, "tcp") for port in range(1, services + 1))
    return [Question(A, B, ports, 50_000, 32)] * count


def settled(question_s: float, services: int = 1) -> Pace:
    """A pace after many slices whose questions took this long."""
    pace = Pace()
    for _ in range(20):
        pace.measured(asked(8, services), 8 * question_s)
    return pace


def test_slices_are_short_for_a_second_after_an_interactive_answer() -> None:
    assert longest_slice(0) == SHORT_S
    assert longest_slice(RECENT_S - 0.01) == SHORT_S
    assert longest_slice(RECENT_S) == LONG_S
    assert longest_slice(float("inf")) == LONG_S


@pytest.mark.parametrize(("services", "question_s"), [(1, 0.0002), (10, 0.0011), (100, 0.0101)])
def test_as_many_as_fit_into_the_time(services: int, question_s: float) -> None:
    pace = settled(question_s, services)
    assert pace.fitting(asked(256, services), 10.5 * question_s) == min(10, MOST_SERVICES // services)


def test_services_count_as_well() -> None:
    pace = settled(0.0002)
    assert pace.fitting(asked(256), 0.00205) == 10
    assert pace.fitting(asked(256, 9), 0.00205) == 2
    assert pace.fitting([*asked(1, 9), *asked(255)], 0.00205) == 6


def test_at_least_one_and_at_most_those_that_are_left() -> None:
    assert settled(1.0).fitting(asked(256, 100), SHORT_S) == 1
    assert settled(1e-9).fitting(asked(3), SHORT_S) == 3


def test_a_slice_is_limited_however_fast_the_bench_is() -> None:
    pace = settled(1e-9)
    assert pace.fitting(asked(256), LONG_S) == MOST_QUESTIONS
    assert pace.fitting(asked(256, 10), LONG_S) == MOST_SERVICES // 10
    assert pace.fitting(asked(256, 100), LONG_S) == MOST_SERVICES // 100


def test_the_first_slice_has_an_estimate() -> None:
    assert Pace().fitting(asked(256), 10.5 * 2 * FIRST_ESTIMATE_S) == 10


def test_one_disturbed_slice_counts_less_than_all_others() -> None:
    pace = settled(0.0002)
    before = pace.fitting(asked(256), LONG_S)
    pace.measured(asked(8), 8 * 0.0004)
    assert before / 2 < pace.fitting(asked(256), LONG_S) < before
