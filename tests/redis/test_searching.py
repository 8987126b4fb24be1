"""Search: it finds, counts and pages the same runs as a check of every run; a long history is read in slices."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
import redis

from ledger.errors import BadInput, RunNotFound
from ledger.runs import searching
from ledger.runs.records import Answer, Choice
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.store import Ledger
from tests.support.runs import (
    DETAILED,
    QUICK,
    a_request,
    announced,
    leading,
    promoted,
    queue_of,
    running,
    submit_any,
    submitted,
    worker_of,
)

Fits = Callable[[Run], bool]
ADDRESSES = ["10.1.10.20", "10.1.10.2", "10.3.20.8", "172.16.4.43"]
SERVICES = ["443/tcp", "53/udp,443/tcp", "4433/tcp", "icmp", "43/udp,icmp,22/tcp"]


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few runs count as a long history."""
    monkeypatch.setattr(searching, "STRETCH", 3)


@pytest.fixture
def history(ledger: Ledger, client: redis.Redis) -> list[Run]:
    """Some 60 runs in every state, of three users, in the order that a search returns."""
    luck = random.Random(4)
    for number in range(40):
        destination = luck.choice(ADDRESSES[1:])
        asked = a_request(QUICK, luck.choice(SERVICES), source=ADDRESSES[0], destination=destination)
        run = ledger.submit(asked, user=luck.choice(["anna", "bert", "anna.b"]))[0]
        finish = luck.choice(["YES", "NO", "failed", "cancelled"])
        if finish == "cancelled":
            ledger.cancel(run.id)
            continue
        begin(ledger, run, number)
        if finish == "failed":
            ledger.fail(run.id, ledger.run(run.id).token, "why")
        else:
            ledger.finish(run.id, ledger.run(run.id).token, Answer(finish))
    running(ledger)
    promoted(ledger, number=1)
    for mode in luck.choices(list(Mode), k=12):
        submit_any(ledger, mode, luck.choice(["anna", "bert"]), services=luck.choice(SERVICES))
    ids = [name.split(":")[2] for name in client.scan_iter("reachq:run:*") if name.count(":") == 2]
    return sorted(map(ledger.run, ids), key=place)


def begin(ledger: Ledger, run: Run, number: int) -> None:
    announced(ledger)
    ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue_of(QUICK))])
    assert ledger.begin(run.id, worker_of(queue_of(QUICK))), number


def place(run: Run) -> tuple[int, int, str]:
    """Waiting, holding a slot, ended; the newest first."""
    if run.state in ENDED:
        return 2, -run.finished_ms, "".join(chr(255 - ord(letter)) for letter in run.id)
    return int(run.state is not State.PENDING), -run.seq, ""


def found(ledger: Ledger, **asked: object) -> list[str]:
    """Ids of all matches, page by page; their number must match the reported count."""
    ids: list[str] = []
    for offset in itertools.count(0, 7):
        page, total = ledger.search(offset=offset, limit=7, **asked)  # type: ignore[arg-type]
        ids += [run.id for run in page]
        if not page:
            assert len(ids) == total
            return ids
    raise AssertionError


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({}, lambda run: True),
        ({"user": "anna"}, lambda run: run.user == "anna"),
        ({"user": "anna.b"}, lambda run: run.user == "anna.b"),
        ({"user": ""}, lambda run: False),
        ({"user": "nobody"}, lambda run: False),
        ({"state": State.PENDING}, lambda run: run.state is State.PENDING),
        ({"state": State.PROMOTED}, lambda run: run.state is State.PROMOTED),
        ({"state": State.RUNNING}, lambda run: run.state is State.RUNNING),
        ({"state": State.DONE}, lambda run: run.state is State.DONE),
        ({"state": State.CANCELLED, "user": "bert"}, lambda run: run.state is State.CANCELLED and run.user == "bert"),
        ({"mode": DETAILED}, lambda run: run.mode is DETAILED),
        ({"verdict": "NO"}, lambda run: run.verdict == "NO"),
        ({"verdict": "YES", "user": "anna", "mode": QUICK}, lambda run: run.verdict == "YES" and run.user == "anna"),
        ({"destination": "10.1.10.2"}, lambda run: run.destination == "10.1.10.2"),
        ({"source": "10.1.10.2"}, lambda run: False),
        (
            {"source": "10.1.10.20", "destination": "172.16.4.43", "text": "443", "state": State.DONE},
            lambda run: run.destination == "172.16.4.43" and has(run, "443/tcp") and run.state is State.DONE,
        ),
        ({"text": "10.3.20.8"}, lambda run: "10.3.20.8" in (run.source, run.destination)),
        ({"text": "172"}, lambda run: "172.16.4.43" in run.destination or run.id.startswith("172")),
        ({"text": "443"}, lambda run: has(run, "443/tcp") or run.id.startswith("443")),
        ({"text": " 443/TCP "}, lambda run: has(run, "443/tcp")),
        ({"text": "53/udp 443"}, lambda run: has(run, "53/udp")),
        ({"text": "43/tcp"}, lambda run: False),
        ({"text": "ICMP", "user": "anna"}, lambda run: has(run, "icmp") and run.user == "anna"),
        (
            {"text": "10.1.10.20 172.16.4 22"},
            lambda run: run.destination == "172.16.4.43" and (has(run, "22/tcp") or run.id.startswith("22")),
        ),
        ({"text": "%d+ .*"}, lambda run: False),
    ],
)
def test_what_fits_is_found_in_order_and_nothing_else(
    ledger: Ledger, history: list[Run], asked: dict[str, object], fits: Fits
) -> None:
    assert found(ledger, **asked) == [run.id for run in history if fits(run)]


def has(run: Run, service: str) -> bool:
    return service in map(str, run.services)


def test_a_run_is_found_whole_by_the_start_of_its_id(ledger: Ledger, history: list[Run]) -> None:
    for run in (history[0], history[-1]):
        assert ledger.search(text=run.id[:13].upper()) == ([run], 1)


def test_what_need_not_be_counted_is_looked_for_no_further_than_the_page(ledger: Ledger, history: list[Run]) -> None:
    mine = [run for run in history if run.user == "anna"]
    page, seen = ledger.search(user="anna", limit=3, counted=False)
    assert page == mine[:3]
    assert 3 <= seen < len(mine)
    assert ledger.search(user="anna", offset=2, limit=4, counted=False)[0] == mine[2:6]
    assert ledger.search(user="anna", limit=500, counted=False) == (mine, len(mine))
    assert ledger.search(user="anna", limit=0) == ([], len(mine))
    assert ledger.search(limit=0) == ([], len(history))


def test_an_empty_history_is_nothing_special(ledger: Ledger) -> None:
    assert ledger.search() == ([], 0)
    assert ledger.search(user="anna", text="443", offset=10) == ([], 0)


def test_of_a_long_line_the_newest_are_looked_at(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "WAITING_WINDOW", 5)
    runs = [submitted(ledger) for _ in range(20)]
    page, total = ledger.search(state=State.PENDING, limit=3)
    assert [run.id for run in page] == [run.id for run in runs[:-4:-1]]
    assert total == 5


def test_a_run_is_found_by_the_start_of_its_id(
    ledger: Ledger, history: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "WAITING_WINDOW", 1)
    for run in history:
        assert ledger.run_starting_with(run.id[:20]) == ledger.run_starting_with(run.id) == run
        assert ledger.run_starting_with(run.id[:20], user=run.user) == run
        with pytest.raises(RunNotFound, match="There is no run whose id begins with"):
            ledger.run_starting_with(run.id, user="nora")
    several = [run for run in history if run.id[0] == history[0].id[0]]
    assert len(several) > 1
    with pytest.raises(RunNotFound, match=f"^{len(several)} runs have an id that begins with {several[0].id[0]}: give"):
        ledger.run_starting_with(several[0].id[0])


def test_a_history_trimmed_meanwhile_ends_where_it_ends(ledger: Ledger, client: redis.Redis) -> None:
    runs = [submitted(ledger) for _ in range(9)]
    for run in runs:
        ledger.cancel(run.id)
    look = ledger._look

    def trimming(*asked: object) -> tuple[int, str, list[object]]:
        answer = look(*asked)  # type: ignore[arg-type]
        client.delete(*(f"reachq:run:{run.id}" for run in runs))
        client.delete("reachq:finished")
        return answer

    ledger._look = trimming  # type: ignore[assignment, method-assign]
    page, total = ledger.search(state=State.CANCELLED)
    assert (len(page), total) == (3, 3)


def test_a_text_without_an_end_is_refused(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="text"):
        ledger.search(text="1 " * 101)


def test_a_record_that_is_gone_is_passed_over(ledger: Ledger, client: redis.Redis, history: list[Run]) -> None:
    ended = [run for run in history if run.state in ENDED]
    client.delete(f"reachq:run:{ended[0].id}")
    found, _ = ledger.search(limit=1000)
    assert ended[0].id not in {run.id for run in found}
    assert {run.id for run in ended[1:]} <= {run.id for run in found}
    client.zrem("reachq:finished", ended[0].id)
