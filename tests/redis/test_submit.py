"""submit: stored once, in order, compact; the same key again; unusable stores refuse and store nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from ledger.errors import IdempotencyConflict, StoreDamaged, StoreFull, StoreUnavailable
from ledger.runs.run import State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.runs import DETAILED, QUICK, a_request, kinds, leading, submitted


def test_a_run_is_stored_at_the_end_of_its_line(ledger: Ledger, client: redis.Redis) -> None:
    runs = [ledger.submit(a_request(mode))[0] for mode in (QUICK, DETAILED, QUICK)]
    assert [run.seq for run in runs] == [1, 2, 3]
    assert client.lrange("reachq:main:pending:quick", 0, -1) == [runs[0].id, runs[2].id]
    assert client.lrange("reachq:main:pending:detailed", 0, -1) == [runs[1].id]
    assert [ledger.run(run.id) for run in runs] == runs
    assert kinds(ledger) == ["submitted"] * 3


def test_the_record_is_readable_and_omits_what_is_empty(ledger: Ledger, client: redis.Redis) -> None:
    run, created = ledger.submit(a_request(services="443,53/udp,icmp"), user="ann")
    assert created
    record = client.hgetall(f"reachq:run:{run.id}")
    assert record == {
        "user": "ann",
        "mode": "quick",
        "bench": "main",
        "source": "10.1.10.20",
        "destination": "10.3.20.8",
        "services": "443/tcp,53/udp,icmp",
        "state": "pending",
        "seq": "1",
        "submitted_ms": str(run.submitted_ms),
    }


def test_every_field_of_a_request_comes_back(ledger: Ledger) -> None:
    request = a_request(DETAILED, services="1-50/udp", source_port=1024)
    run, _ = ledger.submit(request)
    again = ledger.run(run.id)
    assert again == run
    assert (again.services, again.source_port, again.mode) == (request.services, 1024, DETAILED)


def test_the_same_key_is_the_same_run(ledger: Ledger) -> None:
    first, created = ledger.submit(a_request(), user="ann", idempotency_key="k")
    again, created_again = ledger.submit(a_request(), user="ann", idempotency_key="k")
    assert (created, created_again) == (True, False)
    assert again == first
    assert uuid.UUID(first.id).version == 5
    assert ledger.queue().waiting_total == 1
    assert kinds(ledger) == ["submitted"]


def test_a_key_belongs_to_its_user(ledger: Ledger) -> None:
    ids = {ledger.submit(a_request(), user=user, idempotency_key="k")[0].id for user in ("ann", "bob", "a")}
    ids.add(ledger.submit(a_request(), user="ann", idempotency_key="")[0].id)
    assert len(ids) == 4


def test_a_key_answers_with_what_became_of_the_run(ledger: Ledger) -> None:
    run, _ = ledger.submit(a_request(), idempotency_key="k")
    ledger.cancel(run.id)
    again, created = ledger.submit(a_request(), idempotency_key="k")
    assert not created
    assert again.state is State.CANCELLED


@pytest.mark.parametrize(
    "other",
    [
        {"services": "443"},
        {"destination": "10.3.20.9"},
        {"source": "10.1.10.21"},
        {"source_port": 7},
        {"mode": DETAILED},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_key_with_another_request_is_a_conflict(ledger: Ledger, other: dict[str, object]) -> None:
    first, _ = ledger.submit(a_request(), idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        ledger.submit(a_request(**other), idempotency_key="k")  # type: ignore[arg-type]
    assert ledger.run(first.id) == first
    assert ledger.queue().waiting_total == 1


def test_a_dropped_source_port_is_a_conflict_too(ledger: Ledger) -> None:
    ledger.submit(a_request(source_port=7), idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        ledger.submit(a_request(), idempotency_key="k")


def test_one_key_from_many_threads_makes_one_run(settings: Settings) -> None:
    def submit(_: int) -> tuple[str, bool]:
        with Ledger.connect(settings) as own:
            run, created = own.submit(a_request(), idempotency_key="k")
            return run.id, created

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(submit, range(24)))
    assert len({run_id for run_id, _ in results}) == 1
    assert sum(created for _, created in results) == 1


@pytest.mark.parametrize(
    "key",
    [
        *("reachq:main:pending:quick", "reachq:main:waiting:quick", "reachq:main:waiting:detailed"),
        *("reachq:main:surplus:quick:api", "reachq:main:seq", "reachq:events", "rq:deferred:main-quick", "rq:queues"),
    ],
)
def test_a_key_of_a_wrong_type_stores_nothing(ledger: Ledger, client: redis.Redis, key: str) -> None:
    if key == "reachq:main:seq":
        client.rpush(key, "x")
    else:
        client.set(key, "x")
    before = everything(client)
    with pytest.raises(StoreDamaged):
        submitted(ledger)
    assert everything(client) == before
    client.delete(key)


def everything(client: redis.Redis) -> dict[str, str]:
    """Every key with a digest of its content."""
    names: list[str] = sorted(client.scan_iter("*"))
    read: dict[Any, Callable[[str], Any]] = {
        "string": client.get,
        "list": lambda name: client.lrange(name, 0, -1),
        "set": lambda name: sorted(client.smembers(name)),
        "zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        "hash": client.hgetall,
        "stream": client.xrange,
    }
    return {name: repr(read[client.type(name)](name)) for name in names}


def test_a_full_store_refuses_new_runs_and_keeps_nothing_of_them(ledger: Ledger, client: redis.Redis) -> None:
    submitted(ledger)
    client.config_set("maxmemory", 1)
    before = everything(client)
    with pytest.raises(StoreFull):
        submitted(ledger)
    assert everything(client) == before
    assert leading(ledger) == 1


def test_a_store_that_is_gone_is_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere")
    with Ledger.connect(load_settings(data=nowhere)) as ledger, pytest.raises(StoreUnavailable):
        submitted(ledger)
