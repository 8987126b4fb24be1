"""The fair order in Redis: the line, the surplus beyond it, the limit, and a store that an older version filled."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
import redis

from ledger.errors import BadInput, IdempotencyConflict, TooManyWaiting
from ledger.runs import waiting
from ledger.runs.fair_order import beyond_line
from ledger.runs.records import Answer, Choice, Promotion
from ledger.runs.run import Mode, Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.contract.conftest import Connect
from tests.support.runs import DETAILED, QUICK, a_request, announced, leading, overdue, queue_of, submit_any, worker_of

LINE = "reachq:main:pending:quick"


def flood(ledger: Ledger, count: int, user: str = "ann", mode: Mode = QUICK) -> list[Run]:
    """That many waiting runs of a user."""
    return [submit_any(ledger, mode, user) for _ in range(count)]


def start_next(ledger: Ledger) -> Run:
    """Start the run that is next in the line, and let it finish."""
    announced(ledger)
    announced(ledger, DETAILED)
    first = ledger.view(window=1).waiting[0]
    (outcome,) = ledger.promote(leading(ledger), [Choice(first.run_id, first.mode, queue_of(first.mode))])
    assert outcome.status is Promotion.PROMOTED
    run = ledger.begin(first.run_id, worker_of(queue_of(first.mode)))
    assert run is not None
    assert ledger.finish(run.id, run.token, Answer("YES"))
    return run


def started(ledger: Ledger, count: int) -> list[str]:
    return [start_next(ledger).id for _ in range(count)]


def test_one_users_flood_lets_another_users_run_pass(ledger: Ledger) -> None:
    anns = [run.id for run in flood(ledger, 100)]
    (bobs,) = flood(ledger, 1, "bob")
    assert started(ledger, 101) == [*anns[:32], bobs.id, *anns[32:]]


@pytest.mark.slow
def test_a_user_who_is_alone_is_served_in_order(ledger: Ledger) -> None:
    runs = [run.id for run in flood(ledger, 80)]
    assert started(ledger, 80) == runs


@pytest.mark.slow
def test_two_floods_take_turns(ledger: Ledger) -> None:
    anns, bobs = flood(ledger, 100), flood(ledger, 100, "bob")
    order = started(ledger, 200)
    assert [i for i in order if i in {r.id for r in anns}] == [r.id for r in anns]
    assert [i for i in order if i in {r.id for r in bobs}] == [r.id for r in bobs]
    owners = ["ann" if i in {r.id for r in anns} else "bob" for i in order]
    for end in range(64, 192):
        assert Counter(owners[end - 64 : end])["ann"] == 32


def test_a_run_beyond_the_line_says_so(ledger: Ledger, client: redis.Redis) -> None:
    runs = flood(ledger, 33)
    assert [(run.wait_code, run.wait_reason) for run in runs[31:]] == [("", ""), ("behind-own", beyond_line(32))]
    assert ledger.run(runs[-1].id) == runs[-1]
    assert client.lrange(LINE, 0, -1) == [run.id for run in runs[:32]]
    start_next(ledger)
    assert (ledger.run(runs[-1].id).wait_code, ledger.run(runs[-1].id).wait_reason) == ("", "")
    assert client.lrange(LINE, 0, -1) == [run.id for run in runs[1:]]


def test_nothing_disappears_from_lists_and_totals(ledger: Ledger) -> None:
    quick, detailed, other = flood(ledger, 50), flood(ledger, 40, mode=DETAILED), flood(ledger, 35, "bob")
    ids = {run.id for run in [*quick, *detailed, *other]}
    assert ledger.view().waiting_total == ledger.counts().waiting == {QUICK: 85, DETAILED: 40, Mode.BULK: 0}
    queue = ledger.queue(limit=500)
    assert (queue.waiting_total, len(queue.waiting), {run.id for run in queue.waiting}) == (125, 125, ids)
    page, total = ledger.runs(limit=500, state=State.PENDING)
    assert (total, {run.id for run in page}) == (125, ids)
    paged = [run.id for offset in range(0, 125, 7) for run in ledger.runs(offset=offset, limit=7)[0]]
    assert (len(paged), set(paged)) == (125, ids)
    found, matches = ledger.search(limit=500)
    assert (matches, {run.id for run in found}) == (125, ids)
    found, matches = ledger.search(user="ann", mode=QUICK, limit=500)
    assert (matches, {run.id for run in found}) == (50, {run.id for run in quick})


def test_the_queue_shows_the_order_in_which_runs_start(ledger: Ledger) -> None:
    flood(ledger, 70)
    flood(ledger, 5, "cleo")
    flood(ledger, 50, "bob")
    shown = [run.id for run in ledger.queue(limit=500).waiting]
    assert shown[:90] == [run.id for run in ledger.queue(limit=90).waiting]
    assert started(ledger, 125) == shown


def test_positions_and_what_is_ahead(ledger: Ledger) -> None:
    flood(ledger, 70)
    flood(ledger, 3, "cleo", DETAILED)
    flood(ledger, 50, "bob")
    order = ledger.queue(limit=500).waiting
    for at, run in enumerate(order):
        assert ledger.ahead_of(run) == [other.mode for other in order[:at]], at
    ended = start_next(ledger)
    assert ledger.ahead_of(ended) is None, "it does not wait"


@pytest.mark.parametrize("user", ["ann", "bob", "new"])
@pytest.mark.parametrize("mode", Mode)
def test_what_would_be_ahead_of_a_run_submitted_now(ledger: Ledger, user: str, mode: Mode) -> None:
    flood(ledger, 70)
    flood(ledger, 31, "bob")
    flood(ledger, 3, "cleo", DETAILED)
    modes = ledger.ahead_of_next(user)[mode]
    (run,) = flood(ledger, 1, user, mode)
    assert modes == ledger.ahead_of(run)
    assert modes is not None
    assert len(modes) == {("ann", QUICK): 104, ("bob", QUICK): 66, ("new", QUICK): 66}.get((user, mode), 66)


def test_positions_have_an_end(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "AHEAD_MAX", 60)
    runs = flood(ledger, 70)
    assert ledger.ahead_of(runs[60]) == [QUICK] * 60
    assert ledger.ahead_of(runs[61]) is None
    assert ledger.ahead_of_next("ann")[QUICK] is None
    assert ledger.ahead_of_next("bob")[QUICK] == [QUICK] * 32


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 20, 31, 32, 39])
def test_a_waiting_run_is_cancelled_in_the_line_and_beyond_it(ledger: Ledger, place: int) -> None:
    runs = [run.id for run in flood(ledger, 40)]
    assert ledger.cancel(runs[place]).state is State.CANCELLED
    left = [run for run in runs if run != runs[place]]
    assert [waiter.run_id for waiter in ledger.view().waiting] == left[:32]
    assert started(ledger, 39) == left


def test_a_run_that_comes_back_takes_its_old_place_and_no_other_run_loses_one(
    ledger: Ledger, client: redis.Redis
) -> None:
    anns = [run.id for run in flood(ledger, 40)]
    (bobs,) = flood(ledger, 1, "bob")
    queues, epoch = announced(ledger, QUICK, 10), leading(ledger)
    ledger.promote(epoch, [Choice(run, QUICK, queue) for run, queue in zip(anns[:10], queues, strict=True)])
    for run in (anns[5], anns[0], anns[9]):
        overdue(client, run)
    ledger.reap(epoch)
    expected = [anns[0], anns[5], anns[9], *anns[10:32], bobs.id, *anns[32:]]
    assert [waiter.run_id for waiter in ledger.view().waiting] == expected
    for mode in Mode:
        assert ledger.settle(mode) is None
    assert [waiter.run_id for waiter in ledger.view().waiting] == expected


@pytest.mark.slow
def test_a_run_that_moved_up_comes_back_to_its_place_too(ledger: Ledger, client: redis.Redis) -> None:
    anns = [run.id for run in flood(ledger, 33)]
    (bobs,) = flood(ledger, 1, "bob")
    later = [run.id for run in flood(ledger, 3, "bob")]
    assert started(ledger, 33) == [*anns[:32], bobs.id]
    assert [waiter.run_id for waiter in ledger.view().waiting] == [*later, anns[32]]
    ledger.promote(leading(ledger), [Choice(anns[32], QUICK, queue_of(QUICK))])
    overdue(client, anns[32])
    ledger.reap(leading(ledger))
    order = [waiter.run_id for waiter in ledger.view().waiting]
    assert order == sorted(order, key=lambda run: ledger.run(run).turn or ledger.run(run).seq)


def test_overtaking_follows_the_line(ledger: Ledger) -> None:
    """A quick run that moved up behind a detailed one counts as one that passes it, though it was submitted before."""
    anns = flood(ledger, 33)
    (detailed,) = flood(ledger, 1, "bob", DETAILED)
    queues = announced(ledger, QUICK, 33)
    ledger.promote(leading(ledger), [Choice(run.id, QUICK, q) for run, q in zip(anns[:2], queues, strict=False)])
    waiting = {waiter.run_id: waiter for waiter in ledger.view().waiting}
    assert list(waiting)[-2:] == [detailed.id, anns[32].id]
    assert waiting[detailed.id].overtaken == 0
    ledger.promote(leading(ledger), [Choice(anns[32].id, QUICK, queues[5])])
    assert {waiter.run_id: waiter.overtaken for waiter in ledger.view().waiting}[detailed.id] == 1


@pytest.fixture
def strict(connect: Connect) -> Ledger:
    """A ledger that lets each user have 40 waiting runs."""
    return connect(waiting_max=40)


def test_a_user_may_have_so_many_waiting_runs(strict: Ledger) -> None:
    flood(strict, 20)
    flood(strict, 19, mode=DETAILED)
    run, _ = strict.submit(a_request(), user="ann", idempotency_key="k")
    for mode in Mode:
        with pytest.raises(TooManyWaiting, match="ann has 40 waiting questions, and 40 are allowed"):
            submit_any(strict, mode, "ann")
    assert strict.queue().waiting_total == 40
    assert strict.submit(a_request(), user="ann", idempotency_key="k") == (strict.run(run.id), False)
    with pytest.raises(IdempotencyConflict):
        strict.submit(a_request(DETAILED), user="ann", idempotency_key="k")
    flood(strict, 40, "bob")
    strict.cancel(run.id)
    assert strict.submit(a_request(), user="ann")[1]


@pytest.mark.slow
def test_a_limit_below_what_waits_refuses_and_keeps_all(ledger: Ledger, strict: Ledger) -> None:
    flood(ledger, 60)
    with pytest.raises(TooManyWaiting):
        flood(strict, 1)
    assert len(started(ledger, 60)) == 60


@pytest.mark.parametrize("user", ["", "Ann", "a b", "a:b", "reachq:x", "é", "a" * 32, "../x", "a\n"])
def test_a_name_that_cannot_be_part_of_a_key_stores_nothing(ledger: Ledger, client: redis.Redis, user: str) -> None:
    with pytest.raises(BadInput, match=r"user: .* is not a valid user name"):
        ledger.submit(a_request(), user=user)
    assert client.dbsize() == 0


def as_an_older_version(client: redis.Redis, count: int, users: list[str], mode: Mode = QUICK) -> dict[str, list[str]]:
    """Pending runs as a version without the surplus stored them; ids by user."""
    ids: dict[str, list[str]] = defaultdict(list)
    seq = int(client.get("reachq:main:seq") or 0)
    with client.pipeline(transaction=False) as pipe:
        for number in range(seq + 1, seq + count + 1):
            run_id, user = f"00000000-0000-4000-8000-{number:012}", users[number % len(users)]
            record: dict[Any, Any] = {
                "user": user,
                "mode": str(mode),
                "bench": "main",
                "state": "pending",
                "seq": number,
            }
            asked: dict[Any, Any] = {
                "submitted_ms": 1,
                "source": "10.1.10.20",
                "destination": "10.3.20.8",
                "services": "443/tcp",
            }
            pipe.hset(f"reachq:run:{run_id}", mapping={**record, **asked})
            pipe.rpush(f"reachq:main:pending:{mode}", run_id)
            ids[user].append(run_id)
        pipe.incrby("reachq:main:seq", count)
        pipe.execute()
    return ids


def settle(ledger: Ledger) -> int:
    """Settle all lines; in how many calls."""
    calls = 0
    for mode in Mode:
        after: int | None = 0
        while after is not None:
            after, calls = ledger.settle(mode, after), calls + 1
    return calls


@pytest.mark.slow
def test_a_store_of_an_older_version_is_brought_into_shape(ledger: Ledger, client: redis.Redis) -> None:
    ids = as_an_older_version(client, 5000, ["ann", "ann", "ann", "bob"])
    detailed = as_an_older_version(client, 20, ["cleo"], DETAILED)
    late = ledger.submit(a_request(), user="dora")[0].id
    assert settle(ledger) > 3, "in slices"
    assert ledger.view().waiting_total == {QUICK: 5001, DETAILED: 20, Mode.BULK: 0}
    line = client.lrange(LINE, 0, -1)
    for user in ("ann", "bob"):
        assert [run for run in line if run in set(ids[user])] == ids[user][:64]
        assert client.zrange(f"reachq:main:surplus:quick:{user}", 0, -1) == ids[user][64:]
    assert line[-1] == late
    assert client.lrange("reachq:main:pending:detailed", 0, -1) == detailed["cleo"]
    assert settle(ledger) == len(Mode), "a line in shape takes one call each"
    assert client.lrange(LINE, 0, -1) == line
    client.flushall()  # 5,000 runs without RQ's jobs are not a state to leave


@pytest.mark.slow
def test_an_older_store_keeps_working_while_it_is_brought_into_shape(ledger: Ledger, client: redis.Redis) -> None:
    ids = as_an_older_version(client, 3000, ["ann"])["ann"]
    after = ledger.settle(QUICK)
    assert after is not None
    begun = started(ledger, 5)
    begun.append(ledger.cancel(ids[2000]).id)
    late = ledger.submit(a_request(), user="ann")[0].id
    while after is not None:
        after = ledger.settle(QUICK, after)
    assert begun[:5] == ids[:5]
    left = [run for run in ids if run not in begun]
    assert client.lrange(LINE, 0, -1) == left[:64]
    assert client.zrange("reachq:main:surplus:quick:ann", 0, -1) == [*left[64:], late]
    assert ledger.view().waiting_total[QUICK] == 2995


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [None, {"ann": "7"}, {"ann": "7000", "gone": "4"}, {"ann": "many"}])
def test_counts_that_went_wrong_are_put_right(
    ledger: Ledger, client: redis.Redis, wrong: dict[Any, Any] | None
) -> None:
    runs = [run.id for run in flood(ledger, 80)]
    client.delete("reachq:main:waiting:quick")
    if wrong:
        client.hset("reachq:main:waiting:quick", mapping=wrong)
    settle(ledger)
    assert client.hgetall("reachq:main:waiting:quick") == {"ann": "80"}
    assert started(ledger, 80) == runs


@pytest.mark.slow
def test_a_larger_line_is_filled_and_a_smaller_one_drains(ledger: Ledger, connect: Connect) -> None:
    runs = [run.id for run in flood(ledger, 80)]
    wider, narrow = connect(fair_waiting=50), connect(fair_waiting=4)
    settle(wider)
    assert [waiter.run_id for waiter in wider.view(window=100).waiting] == runs[:50]
    settle(narrow)
    assert len(narrow.view(window=100).waiting) == 36
    assert started(narrow, 80) == runs


def test_the_setting_has_sensible_bounds() -> None:
    assert (load_settings().fair_waiting, load_settings().waiting_max) == (32, 50_000)
