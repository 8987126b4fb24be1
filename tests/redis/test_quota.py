"""The limit of waiting questions: a bulk run counts as its questions, and the counts follow every change of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from ledger.errors import TooManyWaiting
from ledger.runs.records import Choice
from ledger.runs.run import Mode
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.bulk_runs import begun, questions
from tests.support.runs import a_request, leading, overdue, queue_of, worker_of
from tests.support.server import Server

KEY = "reachq:main:queued-questions"


@pytest.fixture
def connect(settings: Settings, server: Server) -> Iterator[Callable[..., Ledger]]:
    """A function that returns a ledger with other settings."""
    opened: list[Ledger] = []

    def connected(**changes: object) -> Ledger:
        opened.append(Ledger.connect(settings.model_copy(update=changes)))
        return opened[-1]

    yield connected
    for ledger in opened:
        ledger.close()


@pytest.fixture
def strict(connect: Callable[..., Ledger]) -> Ledger:
    """A ledger that lets each user have 10 waiting questions."""
    return connect(waiting_max=10)


def test_a_bulk_run_counts_as_its_questions(strict: Ledger) -> None:
    strict.submit_bulk(questions(6))
    strict.submit(a_request())
    assert strict.waiting_of("api") == 7
    with pytest.raises(TooManyWaiting, match="api has 7 waiting questions, and 10 are allowed"):
        strict.submit_bulk(questions(4))
    strict.submit_bulk(questions(3))
    with pytest.raises(TooManyWaiting, match="api has 10 waiting questions"):
        strict.submit(a_request())
    strict.submit_bulk(questions(10), user="ben")
    assert (strict.waiting_of("api"), strict.waiting_of("ben")) == (10, 10)


def test_a_known_key_is_not_refused(strict: Ledger) -> None:
    run, _ = strict.submit_bulk(questions(10), idempotency_key="k")
    assert strict.submit_bulk(questions(10), idempotency_key="k") == (strict.run(run.id), False)


def test_a_run_that_starts_no_longer_counts(strict: Ledger, client: redis.Redis) -> None:
    run = begun(strict, questions(6))
    assert (strict.waiting_of("api"), client.exists(KEY)) == (0, 0)
    overdue(client, run.id)
    strict.reap(leading(strict))
    assert strict.waiting_of("api") == 6
    assert client.hgetall(KEY) == {"api": "6"}


def test_a_cancelled_run_no_longer_counts(strict: Ledger, client: redis.Redis) -> None:
    first, _ = strict.submit_bulk(questions(6))
    strict.submit_bulk(questions(2))
    strict.cancel(first.id)
    assert strict.waiting_of("api") == 2
    queue = queue_of(Mode.BULK)
    strict.announce(worker_of(queue), queue, Mode.BULK, 1)
    (waiting,) = strict.view().waiting
    strict.promote(leading(strict), [Choice(waiting.run_id, Mode.BULK, queue)])
    assert (strict.waiting_of("api"), client.exists(KEY)) == (0, 0)


def test_settling_counts_again(connect: Callable[..., Ledger], client: redis.Redis) -> None:
    ledger = connect(fair_waiting=2)
    for _ in range(5):  # three of them wait beyond the line
        ledger.submit_bulk(questions(4))
    for damage in (lambda: client.delete(KEY), lambda: client.hset(KEY, mapping={"api": "x", "gone": "7"})):
        damage()
        ledger.settle(Mode.BULK)
        assert client.hgetall(KEY) == {"api": "20"}
    ledger.settle(Mode.QUICK)
    assert ledger.waiting_of("api") == 20


def test_damaged_counts_hold_nothing_up(strict: Ledger, client: redis.Redis) -> None:
    run, _ = strict.submit_bulk(questions(6))
    client.hset(KEY, "api", "many")
    assert strict.waiting_of("api") == 1
    strict.cancel(run.id)
    assert client.exists(KEY) == 0
