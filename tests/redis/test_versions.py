"""Processes of two versions never work together: `agree.lua` decides it from the workers, the lock and the stored layout."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from compat_dispatcher.loop import Dispatcher
from ledger.errors import StoreRefused, UnsuitableStore
from ledger.redis import keys
from ledger.redis.acl import ROLES
from ledger.redis.keys import LAYOUT, LAYOUT_KEY
from ledger.redis.scripts import AGREE
from ledger.runs.run import Mode
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.damage import WRONG_TYPES, retype
from tests.support.runs import announced
from tests.support.server import Server

WORKER = "reachq:main:worker:main-quick-1"
LEADER = "reachq:main:leader"
Start = Callable[..., Server]


def agree(ledger: Ledger) -> list[str]:
    """What the script answers."""
    own = {"layout": LAYOUT_KEY, "workers": ledger.keys.workers, "leader": ledger.keys.leader}
    args = {"ours": LAYOUT, "alive_ms": ledger.settings.lease_ms, "worker_prefix": ledger.keys.worker_prefix}
    return [str(word) for word in ledger.connection.run(AGREE, own, args)]


def codes(ledger: Ledger) -> list[str]:
    return [finding.code for finding in ledger.findings(max_age_s=0)]


def older_worker(client: redis.Redis, layout: str = "") -> None:
    """A live worker as a version without layouts announces it."""
    seconds, micros = client.time()
    client.zadd("reachq:main:workers", {"main-quick-1": seconds * 1000 + micros // 1000})
    client.hset(WORKER, mapping={"name": "main-quick-1.a.7", "mode": "quick", "pid": 7, "host": "web2"})
    if layout:
        client.hset(WORKER, "layout", layout)


def test_the_first_process_stores_its_layout(ledger: Ledger, client: redis.Redis) -> None:
    assert agree(ledger) == ["agreed"]
    assert client.get(LAYOUT_KEY) == str(LAYOUT)
    key = keys.owner(LAYOUT_KEY)
    assert key is not None
    assert client.type(LAYOUT_KEY) == key.type


@pytest.mark.parametrize("before", [str(LAYOUT - 1), "not a number", "9" * 30])
def test_an_older_or_damaged_number_is_replaced(ledger: Ledger, client: redis.Redis, before: str) -> None:
    client.set(LAYOUT_KEY, before)
    assert agree(ledger) == ["agreed"]
    assert client.get(LAYOUT_KEY) == str(LAYOUT)


def test_an_agreement_that_lasts_writes_nothing(ledger: Ledger, client: redis.Redis) -> None:
    agree(ledger)
    changes = client.info("persistence")["rdb_changes_since_last_save"]
    assert agree(ledger) == ["agreed"]
    assert client.info("persistence")["rdb_changes_since_last_save"] == changes


def test_a_newer_version_has_worked_here(ledger: Ledger, client: redis.Redis) -> None:
    client.set(LAYOUT_KEY, LAYOUT + 1)
    assert agree(ledger) == ["newer", str(LAYOUT + 1)]
    assert client.get(LAYOUT_KEY) == str(LAYOUT + 1)
    with pytest.raises(UnsuitableStore, match="A newer version of reachq has worked with this Redis server"):
        ledger.vet(lambda text: None)


@pytest.mark.parametrize("layout", ["", str(LAYOUT - 1), str(LAYOUT + 1)])
def test_a_live_worker_of_another_version(ledger: Ledger, client: redis.Redis, layout: str) -> None:
    older_worker(client, layout)
    assert agree(ledger) == ["mixed", "worker", "main-quick-1", "web2"]
    assert not client.exists(LAYOUT_KEY), "it is claimed only when the other processes have stopped"
    with pytest.raises(UnsuitableStore) as refused:
        ledger.vet(lambda text: None)
    assert str(refused.value).startswith(
        "Another version of reachq works with this Redis server: its worker main-quick-1 on web2; stop it, install the"
        " same version on all machines, and start all processes again"
    )
    assert "web2" not in refused.value.for_anyone


def test_a_dead_worker_of_another_version_does_not_count(ledger: Ledger, client: redis.Redis) -> None:
    older_worker(client)
    client.zincrby("reachq:main:workers", -ledger.settings.lease_ms - 1, "main-quick-1")
    assert agree(ledger) == ["agreed"]


def test_a_heartbeat_in_the_future_does_not_count(ledger: Ledger, client: redis.Redis) -> None:
    older_worker(client)
    client.zincrby("reachq:main:workers", 60_000, "main-quick-1")
    assert agree(ledger) == ["agreed"]


def test_workers_and_a_leader_of_this_version_agree(ledger: Ledger, client: redis.Redis) -> None:
    announced(ledger, count=2)
    ledger.lead("web1-7-ab12")
    assert client.get(LEADER) == f"web1-7-ab12 v{LAYOUT} 1"
    assert client.hget(WORKER, "layout") == str(LAYOUT)
    assert agree(ledger) == ["agreed"]


@pytest.mark.parametrize("lock", ["web1-7-ab12 5", f"web1-7-ab12 v{LAYOUT - 1} 5", f"web1-7-ab12 v{LAYOUT + 1} 5"])
def test_a_leader_of_another_version(ledger: Ledger, client: redis.Redis, lock: str) -> None:
    client.set(LEADER, lock, px=60_000)
    assert agree(ledger) == ["mixed", "dispatcher", "web1-7-ab12"]
    with pytest.raises(UnsuitableStore, match="server: its dispatcher web1-7-ab12; stop it, install"):
        ledger.vet(lambda text: None)


@pytest.mark.parametrize("lock", ["web1-7-ab12 5", f"web1-7-ab12 v{LAYOUT} 5"])
def test_each_form_of_the_lock_is_read(ledger: Ledger, client: redis.Redis, lock: str) -> None:
    client.set(LEADER, lock, px=ledger.settings.leader_ms)
    leader, seen = ledger.leader(), ledger.observe()
    assert leader is not None
    assert (leader.dispatcher, leader.epoch) == ("web1-7-ab12", 5)
    assert (seen.leader, seen.epoch) == ("web1-7-ab12", 5)
    assert ledger.counts().leader_epoch == 5
    assert ledger.lead("another") is None, "the lock is held"
    assert ledger.lead("web1-7-ab12") == 5, "its holder renews it"
    assert ledger.resign("web1-7-ab12")


def test_an_older_dispatcher_sees_that_another_leads(ledger: Ledger, client: redis.Redis) -> None:
    """Versions without layouts take a lock for held if it matches this expression."""
    ledger.lead("web1-7-ab12")
    held = client.eval("return string.match(redis.call('GET', KEYS[1]), '^(.*) (%d+)$')", 1, LEADER)
    assert held == f"web1-7-ab12 v{LAYOUT}"


@pytest.mark.parametrize("lock", ["nonsense", " 5", "5", ""])
def test_a_damaged_lock_is_nobodys(ledger: Ledger, client: redis.Redis, lock: str) -> None:
    client.set(LEADER, lock, px=60_000)
    assert agree(ledger) == ["agreed"]
    assert ledger.leader() is None
    assert ledger.lead("d1") is not None


def test_a_lock_that_never_expires_is_no_live_dispatchers(ledger: Ledger, client: redis.Redis) -> None:
    client.set(LEADER, "web1-7-ab12 5")
    assert agree(ledger) == ["agreed"]


def test_a_worker_completes_a_record_that_was_written_before(ledger: Ledger, client: redis.Redis) -> None:
    queue, name = "main-quick-1", "main-quick-1.a.7"
    assert ledger.announce(name, queue, Mode.QUICK, 7)
    client.hdel(WORKER, "layout")
    assert agree(ledger)[0] == "mixed"
    assert ledger.announce(name, queue, Mode.QUICK, 7)
    assert agree(ledger) == ["agreed"]
    assert not ledger.announce(name, queue, Mode.QUICK, 7), "only the first announcement causes an event"


def test_a_worker_without_a_record_is_damage_and_not_a_version(ledger: Ledger, client: redis.Redis) -> None:
    older_worker(client)
    client.delete(WORKER)
    assert agree(ledger) == ["agreed"]


@pytest.mark.parametrize("name", [LAYOUT_KEY, "reachq:main:workers", WORKER, LEADER])
@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_a_key_of_a_wrong_type_prevents_nothing(ledger: Ledger, client: redis.Redis, name: str, kind: str) -> None:
    announced(ledger)
    retype(client, name, kind)
    assert agree(ledger) == ["agreed"]
    assert client.get(LAYOUT_KEY) == str(LAYOUT)
    client.delete(name)  # a dispatcher would repair it


def test_a_full_server_can_be_claimed(start_server: Start, tmp_path: Path) -> None:
    server = start_server("--maxmemory", "1mb")
    with Ledger.connect(load_settings(redis_url=server.url, data=tmp_path)) as ledger, server.client() as client:
        assert codes(ledger) == ["redis-full"]
        assert client.get(LAYOUT_KEY) == str(LAYOUT)


def test_a_replica_is_asked_nothing(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    with Ledger.connect(load_settings(redis_url=server.url, data=tmp_path)) as ledger, server.client() as client:
        client.set(LAYOUT_KEY, LAYOUT + 1)
        client.replicaof("127.0.0.1", "1")
        assert codes(ledger) == ["redis-replica"]
        client.replicaof("NO", "ONE")
        assert codes(ledger) == ["reachq-newer"]


def test_a_leader_resigns_when_it_refuses(settings: Settings, ledger: Ledger, client: redis.Redis) -> None:
    dispatcher, stop = Dispatcher(ledger, settings, "web1-7-ab12"), threading.Event()
    dispatcher.turn(stop)
    assert client.exists(LEADER)
    client.pexpire(LEADER, 60_000)
    client.set(LAYOUT_KEY, LAYOUT + 1)
    with pytest.raises(UnsuitableStore, match="A newer version of reachq"):
        dispatcher.run(stop)
    assert not client.exists(LEADER), "another dispatcher need not wait until the lock expires"


def test_older_access_rules_are_named_with_their_remedy(start_server: Start, tmp_path: Path) -> None:
    """Rules of a version without layouts: the same, but without the key."""
    server = start_server()
    words = ROLES["dispatcher"].rule(["main"], "secret").split()
    assert f"~{LAYOUT_KEY}" in words
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", *(word for word in words[1:] if word != f"~{LAYOUT_KEY}"))
        user = ROLES["dispatcher"].user("main")
        url = f"unix://{user}:secret@{server.socket}"
        with Ledger.connect(load_settings(redis_url=url, data=tmp_path)) as ledger:
            with pytest.raises(StoreRefused) as refused:
                ledger.vet(lambda text: None)
            assert "print the rules again with the `reachq redis acl` of this version" in str(refused.value)
            client.execute_command("ACL", "SETUSER", user, f"~{LAYOUT_KEY}")
            ledger.vet(lambda text: None)
    assert ROLES["monitor"].patterns("main")[LAYOUT_KEY] == "R"
