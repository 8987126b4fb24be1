"""The fair order as a pure rule: its guarantees hold for every sequence of submissions and starts."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.runs.fair_order import beyond_line, upcoming
from tests.redis.model import Model

USERS = ("ann", "bob", "cleo")
STEPS = st.lists(st.one_of(st.sampled_from(USERS), st.integers(1, 6)), max_size=120)
"""A user submits a run, or this many runs start."""
LINE_MAX = st.integers(1, 5)


class Played:
    """A model in which runs are submitted and start; `order` lists them by start, `after` how many started before."""

    def __init__(self, line_max: int) -> None:
        self.model = Model(line_max)
        self.order: list[str] = []
        self.own_ahead: dict[str, int] = {}
        self.started_before: dict[str, int] = {}

    def submit(self, user: str) -> str:
        name = f"{user}{len(self.model.runs)}"
        self.own_ahead[name] = sum(self.model.runs[other].user == user for other in self.model.waiting("quick"))
        self.started_before[name] = len(self.order)
        self.model.submit(name, "quick", user)
        return name

    def start(self) -> str | None:
        """Start the next run, which ends at once."""
        line = self.model.line("quick")
        if not line:
            return None
        queue = f"queue {len(self.order)}"
        self.model.workers[queue] = "quick"
        assert self.model.promote(line[0], queue) == "promoted"
        self.model.end(line[0], "done")
        self.order.append(line[0])
        return line[0]

    def passed_by(self, name: str) -> Counter[str]:
        """Runs of each other user that started while this one waited."""
        run = self.model.runs[name]
        waited = self.order[self.started_before[name] : self.order.index(name)]
        return Counter(self.model.runs[other].user for other in waited if self.model.runs[other].user != run.user)


def play(steps: list[str | int], line_max: int) -> Played:
    played = Played(line_max)
    for step in steps:
        if isinstance(step, str):
            played.submit(step)
        else:
            for _ in range(step):
                played.start()
    return played


@given(STEPS, LINE_MAX)
def test_each_users_runs_start_in_the_order_of_submission(steps: list[str | int], line_max: int) -> None:
    played = play(steps, line_max)
    while played.start():
        pass
    by_user = defaultdict(list)
    for name in played.order:
        by_user[played.model.runs[name].user].append(played.model.runs[name].seq)
    assert len(played.order) == len(played.model.runs), "every run starts"
    assert all(numbers == sorted(numbers) for numbers in by_user.values())


@given(STEPS, LINE_MAX)
def test_the_number_of_runs_that_start_before_one_is_bounded(steps: list[str | int], line_max: int) -> None:
    """A run behind k of its user's runs waits for at most line_max * (k // line_max + 1) runs of each other user."""
    played = play(steps, line_max)
    while played.start():
        pass
    for name in played.order:
        bound = line_max * (played.own_ahead[name] // line_max + 1)
        assert all(count <= bound for count in played.passed_by(name).values()), name


@pytest.mark.slow
@pytest.mark.parametrize("own_ahead", [0, 31, 32, 100])
def test_no_run_starves_while_others_submit_for_ever(own_ahead: int) -> None:
    played = Played(32)
    for user in ("ann", "cleo"):
        for _ in range(400):
            played.submit(user)
    mine = [played.submit("bob") for _ in range(own_ahead + 1)][-1]
    while (started := played.start()) != mine:
        assert started
        for _ in range(3):
            played.submit(played.model.runs[started].user)
    assert max(played.passed_by(mine).values()) <= 32 * (own_ahead // 32 + 1)


@given(st.lists(st.integers(1, 6), max_size=40), LINE_MAX)
def test_a_user_who_is_alone_is_served_in_order(starts: list[int], line_max: int) -> None:
    played = Played(line_max)
    for count in starts:
        for _ in range(count):
            played.submit("ann")
        played.start()
    while played.start():
        pass
    assert played.order == list(played.model.runs)


@given(STEPS, LINE_MAX)
def test_a_run_in_the_line_is_never_passed(steps: list[str | int], line_max: int) -> None:
    played = play(steps, line_max)
    line = played.model.line("quick")
    for user in USERS:
        for _ in range(7):
            played.submit(user)
    assert [played.start() for _ in line] == line


@given(STEPS, LINE_MAX)
def test_what_is_shown_is_what_happens(steps: list[str | int], line_max: int) -> None:
    """`upcoming`, which positions and estimates use, gives the order in which the runs then start."""
    played = play(steps, line_max)
    model = played.model
    line = [(model.runs[name].user, name) for name in model.line("quick")]
    surplus = {user: model.surplus("quick", user) for user in USERS}
    shown = [name for _, name in upcoming(line, surplus, line_max)]
    before = len(played.order)
    while played.start():
        pass
    assert shown == played.order[before:]


def test_why_a_run_beyond_the_line_waits_fits_into_a_small_record() -> None:
    assert beyond_line(32) == "32 runs of this user are ahead; other users' runs go first"
    assert len(beyond_line(1000).encode()) <= 64
