"""Reading works despite damage: every page answers, and one damaged record never hides the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from app.people import passwords
from app.people.accounts import Accounts, BadCredentials
from ledger.errors import RunDamaged, RunNotFound, StoreDamaged
from ledger.people.records import UserRole, digest
from ledger.redis import keys
from ledger.runs.bulk import BulkRequest, numbered
from ledger.runs.run import State
from ledger.settings import Settings
from ledger.snapshots.records import NewSnapshot, SnapshotState
from ledger.store import Ledger
from tests.support.compared import a_change
from tests.support.damage import MALFORMED, WRONG_TYPES, emptied, members, retype
from tests.support.results import answer_with
from tests.support.runs import DETAILED, QUICK, a_request, announced, leading, promoted, running, submitted
from tests.support.server import Server
from tests.support.stand_in_pool import answered
from tests.support.web import TOKEN, application

COOKIE, API_TOKEN = "a-cookie", "reachq_a-token"
CHANGE = a_change().id
PAGES = (
    *("/", "/board", "/runs", "/runs?text=10.1", "/runs?state=pending", "/runs?state=done", "/network", "/people"),
    *(
        "/audit",
        "/account",
        "/many",
        "/metrics",
        "/api/queue",
        "/api/runs",
        "/api/runs?state=failed",
        "/api/lanes",
        "/api/limits",
    ),
    *("/snapshots", "/snapshots/ab1200000000", "/api/snapshots", "/api/snapshots/current"),
    *("/networks", "/api/networks", "/hosts", "/api/hosts"),
    *("/changes", "/what-if", "/api/changes", "/api/management-flows"),
    *(f"{at}/changes/{CHANGE}" for at in ("", "/api")),
    *("/api/bench", "/healthz"),
)


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """The session's server without the check for leaks: these tests leave damage behind on purpose."""
    yield from emptied(_server)


@pytest.fixture
def world(ledger: Ledger, client: redis.Redis) -> dict[str, str]:
    """Data of every kind; the ids of one run of each kind."""
    ledger.findings()  # each look at the server stores the layout
    announced(ledger, QUICK, 3)
    leading(Ledger(ledger.connection, ledger.settings.model_copy(update={"leader_ms": 30_000})))  # it outlasts the test
    done = running(ledger)
    ledger.finish(done.id, done.token, answer_with(answered(done) | {"facts": "ab12"}))
    ids = {"done": done.id, "running": running(ledger, number=1).id, "promoted": promoted(ledger, number=2).id}
    ids |= {"pending": submitted(ledger).id, "detailed": submitted(ledger, DETAILED).id}
    ledger.progress(ids["running"], ledger.run(ids["running"]).token, "phase", 10, "message")
    ledger.report_bench({"state": "up", "facts": "ab12", "network": "campus", "routers": 3, "uptime_s": 1.5})
    client.hset("reachq:main:hits:ab12", mapping={"dc-fw/nft.rules:4": 3, "last dc-fw/nft.rules:4": 1763900000000})
    ledger.add_user("anna", UserRole.ADMIN, passwords.hashed("correct horse", "anna"), by="test")
    ledger.add_user("bert", UserRole.USER, passwords.hashed("battery staple", "bert"), by="test")
    for name in ("anna", "bert"):
        ledger.start_session(name, f"{COOKIE} of {name}", via="password", address="127.0.0.1", agent="test")
        ledger.add_token(name, f"{API_TOKEN}-{name}", "nightly", by=name)
    ledger.count_login_attempt("anna", "127.0.0.1")
    ledger.restart_bench("anna")
    for facts in ("ab1200000000", "ab1300000000"):
        new = NewSnapshot(facts, {"r1/addr.json": ("0" * 64, b"[]")}, (), 1, "campus")
        ledger.push_snapshot(new, by="anna")
    ledger.settle_check("ab1200000000", SnapshotState.READY, host="h", problems=[], warnings=[])
    ledger.use_snapshot("ab1200000000", by="anna")
    asked = BulkRequest(tuple(numbered([a_request()])), "ab1200000000")
    ids["bulk"] = ledger.submit_bulk(asked)[0].id
    change = a_change(before="ab1200000000", after="ab1300000000")
    ledger.add_change(replace(change, runs_before=(ids["bulk"],), runs_after=(ids["bulk"],)))
    ledger.set_management_flows("10.1.99.10, 10.3.20.1, 22", by="anna")
    ledger.add_network("lab", by="anna")
    with Ledger.connect(ledger.settings.model_copy(update={"host_name": "east"})) as east:
        running(east, number=9)
        east.report_bench({"state": "up"})
    ledger.restart_bench("anna")
    ledger.drain_host("east", "anna", "new memory")
    ledger.mark_store()
    fair = ledger.settings.model_copy(update={"fair_waiting": 1})
    with Ledger.connect(fair) as ledger:
        ids["beyond"] = submitted(ledger).id
    return ids


FEW = ("/board", "/runs", "/api/queue", "/api/bench", "/metrics")


def pages_answer(web: FlaskClient, ids: list[str], pages: tuple[str, ...] = PAGES) -> list[str]:
    """Every page that did not answer as it should; a run's own page may report that its record is damaged."""
    system = {"Authorization": f"Bearer {TOKEN}"}
    token = {"Authorization": f"Bearer {API_TOKEN}-anna"}
    wrong = []
    for path in pages:
        status = web.get(path, headers=system).status_code
        if status not in (200, 303, 404):
            wrong.append(f"{path}: {status}")
    for run_id in ids:
        for path in (f"/runs/{run_id}", f"/api/runs/{run_id}", f"/api/runs/{run_id}/result", f"/api/runs/{run_id}/log"):
            status = web.get(path, headers=system).status_code
            if status not in (200, 404, 409):
                wrong.append(f"{path}: {status}")
    web.set_cookie("reachq", f"{COOKIE} of anna")
    for headers in ({}, token):
        status = web.get("/api/queue", headers=headers).status_code
        if status not in (200, 401):
            wrong.append(f"/api/queue with {headers}: {status}")
    web.delete_cookie("reachq")
    return wrong


def concerned(key: str, world: dict[str, str]) -> list[str]:
    """Runs whose own pages a key may break."""
    return [key.split(":")[2]] if key.startswith(keys.RUN) else [world["done"], world["detailed"]]


def all_keys(client: redis.Redis) -> list[str]:
    """Every existing key of reachq."""
    return sorted(client.scan_iter("reachq:*", count=1000))


def test_the_world_has_every_key_of_the_catalogue(client: redis.Redis, ledger: Ledger, world: dict[str, str]) -> None:
    there = {owner.pattern for key in all_keys(client) if (owner := keys.owner(key))}
    ledger.pause("anna", "a test")
    there |= {owner.pattern for key in all_keys(client) if (owner := keys.owner(key))}
    missing = {key.pattern for key in keys.CATALOGUE} - there
    assert missing <= {"reachq:<bench>:damaged", "reachq:damaged:<ms>:<key>"}


@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_pages_answer_beside_a_key_of_a_wrong_type(
    settings: Settings, ledger: Ledger, client: redis.Redis, world: dict[str, str], kind: str
) -> None:
    web = application(settings, ledger).test_client()
    ledger.pause("anna", "a test")
    assert pages_answer(web, list(world.values())) == []
    for key in all_keys(client):
        if client.type(key) == kind:
            continue
        saved = _saved(client, key)
        retype(client, key, kind)
        assert pages_answer(web, concerned(key, world)) == [], f"{key} is a {kind}"
        _restored(client, key, saved)


@pytest.mark.parametrize("name", MALFORMED)
def test_pages_answer_beside_a_malformed_field(
    settings: Settings, ledger: Ledger, client: redis.Redis, world: dict[str, str], name: str
) -> None:
    web = application(settings, ledger).test_client()
    ledger.pause("anna", "a test")
    for key in all_keys(client):
        damage = dict(members(client, key)).get(name)
        if damage is None:
            continue  # it has expired
        saved = _saved(client, key)
        damage(client, key)
        assert pages_answer(web, concerned(key, world)) == [], f"{key} holds {MALFORMED[name]!r}"
        _restored(client, key, saved)
        if client.type(key) == "hash" and name in ("text", "huge", "binary"):
            fields: Any = client.hkeys(key)
            for field in fields:
                client.hset(key, field, MALFORMED[name])
                assert pages_answer(web, concerned(key, world)[:1], FEW) == [], (
                    f"{field} of {key} is {MALFORMED[name]!r}"
                )
                _restored(client, key, saved)


def test_pages_answer_when_any_key_or_field_is_gone(
    settings: Settings, ledger: Ledger, client: redis.Redis, world: dict[str, str]
) -> None:
    web = application(settings, ledger).test_client()
    ledger.pause("anna", "a test")
    for key in all_keys(client):
        saved = _saved(client, key)
        fields: Any = client.hkeys(key) if client.type(key) == "hash" else []
        for field in fields:
            client.hdel(key, field)
            assert pages_answer(web, concerned(key, world)[:1], FEW) == [], f"{field} of {key} is gone"
            _restored(client, key, saved)
        client.delete(key)
        assert pages_answer(web, concerned(key, world)) == [], f"{key} is gone"
        _restored(client, key, saved)


def test_a_list_shows_the_other_runs(ledger: Ledger, client: redis.Redis) -> None:
    bad, good = submitted(ledger), submitted(ledger)
    client.hset(f"reachq:run:{bad.id}", "seq", "abc")
    assert [run.id for run in ledger.queue().waiting] == [good.id]
    assert [run.id for run in ledger.runs()[0]] == [good.id]
    assert [run.id for run in ledger.search()[0]] == [good.id]
    client.delete(f"reachq:run:{bad.id}")
    client.set(f"reachq:run:{bad.id}", "x")
    assert [run.id for run in ledger.queue().waiting] == [good.id]
    assert [run.id for run in ledger.search(user="api")[0]] == [good.id]


def test_the_page_of_a_damaged_run_names_the_field(settings: Settings, ledger: Ledger, client: redis.Redis) -> None:
    run = submitted(ledger)
    client.hset(f"reachq:run:{run.id}", "seq", "abc")
    with pytest.raises(RunDamaged, match="field seq is 'abc', which is not a whole number"):
        ledger.run(run.id)
    reply = (
        application(settings, ledger)
        .test_client()
        .get(f"/api/runs/{run.id}", headers={"Authorization": f"Bearer {TOKEN}"})
    )
    assert reply.status_code == 409
    assert reply.json is not None
    assert "field seq is 'abc'" in reply.json["detail"]
    client.delete(f"reachq:run:{run.id}")
    with pytest.raises(RunNotFound):
        ledger.run(run.id)


@pytest.mark.parametrize("key", ["user:anna", f"session:{digest(COOKIE + ' of anna')}", "sessions:anna"])
def test_a_damaged_record_of_a_person_is_a_failed_sign_in(
    ledger: Ledger, client: redis.Redis, world: dict[str, str], key: str
) -> None:
    accounts = Accounts(ledger)
    retype(client, f"reachq:{key}", "list")
    if key.startswith("session:"):
        assert accounts.find_session(f"{COOKIE} of anna") is None
        accounts.sign_in("anna", "correct horse", "127.0.0.1", "test", old_cookie=f"{COOKIE} of anna")
    else:
        with pytest.raises((BadCredentials, StoreDamaged)):
            accounts.sign_in("anna", "correct horse", "127.0.0.1", "test")
    assert accounts.sign_in("bert", "battery staple", "127.0.0.1", "test")
    assert "bert" in {user.name for user in accounts.users()}


def test_a_state_of_a_run_is_not_lost_beside_damage(ledger: Ledger, client: redis.Redis, world: dict[str, str]) -> None:
    client.hset(f"reachq:run:{world['pending']}", "attempt", b"\xff")
    assert ledger.run(world["running"]).state is State.RUNNING


def _saved(client: redis.Redis, key: str) -> str:
    copy = f"saved {key}"
    client.copy(key, copy, replace=True)
    return copy


def _restored(client: redis.Redis, key: str, copy: str) -> None:
    client.copy(copy, key, replace=True)
