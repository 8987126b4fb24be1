"""Findings about real servers: evicting, without persistence, clustered, read-only, full, emptied, and one that denies
commands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.errors import UnsuitableStore
from ledger.people.records import UserRole
from ledger.redis.inspection import MARKER
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.server import Server

Start = Callable[..., Server]


def ledger_of(server: Server, data: Path, *, url: str = "") -> Ledger:
    return Ledger.connect(load_settings(redis_url=url or server.url, data=data))


def codes(ledger: Ledger) -> list[str]:
    return [finding.code for finding in ledger.findings(max_age_s=0)]


@pytest.mark.parametrize(
    ("options", "aof", "expected"),
    [
        ((), True, []),
        (("--save", "3600 1"), False, []),
        ((), False, ["redis-not-persistent"]),
        (("--maxmemory-policy", "allkeys-lru"), True, ["redis-evicts"]),
        (("--cluster-enabled", "yes"), True, ["redis-cluster"]),
        (("--replicaof", "127.0.0.1 1"), True, ["redis-replica"]),
        (("--maxmemory", "1mb"), True, ["redis-full"]),
    ],
)
def test_what_is_found(
    start_server: Start, tmp_path: Path, options: tuple[str, ...], aof: bool, expected: list[str]
) -> None:
    with ledger_of(start_server(*options, aof=aof), tmp_path) as ledger:
        assert codes(ledger) == expected


def test_an_acl_that_forbids_to_ask_leaves_it_unknown(start_server: Start, tmp_path: Path) -> None:
    server = start_server(aof=False)
    with server.client() as client:
        client.acl_setuser(
            "no-config", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-config"]
        )
        client.acl_setuser("no-info", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-info"])
    for name, expected in (("no-config", "redis-persistence-unknown"), ("no-info", "redis-unknown")):
        with ledger_of(server, tmp_path, url=f"unix://{name}:x@{server.socket}") as ledger:
            assert codes(ledger) == [expected]


def test_a_fatal_finding_refuses_and_a_warning_is_reported_once(start_server: Start, tmp_path: Path) -> None:
    with (
        ledger_of(start_server("--cluster-enabled", "yes"), tmp_path) as ledger,
        pytest.raises(UnsuitableStore, match="Cluster mode"),
    ):
        ledger.vet(lambda text: None)
    output: list[str] = []
    server = start_server("--maxmemory-policy", "allkeys-lru")
    with ledger_of(server, tmp_path) as ledger, server.client() as client:
        ledger.vet(output.append)
        ledger.vet(output.append)
        assert len(output) == 1
        assert "allkeys-lru" in output[0]
        client.config_set("maxmemory-policy", "noeviction")
        ledger.vet(output.append)
        client.config_set("maxmemory-policy", "allkeys-lfu")
        ledger.vet(output.append)
        assert len(output) == 2, "what comes back is reported again"


def test_an_emptied_store_is_noticed_by_this_process_and_the_next(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    with ledger_of(server, tmp_path) as ledger, server.client() as client:
        ledger.add_user("admin", UserRole.ADMIN, "hash", by="test")
        assert codes(ledger) == []
        client.flushall()
        assert codes(ledger) == ["redis-new"]
        ledger.add_user("admin", UserRole.ADMIN, "hash", by="test")
        assert codes(ledger) == ["redis-new"], "a new admin does not bring the runs back"
    with ledger_of(server, tmp_path) as ledger:
        assert codes(ledger) == ["redis-new"]
        (tmp_path / MARKER).unlink()
        assert codes(ledger) == [], "the remedy is taken"
        assert (tmp_path / MARKER).stat().st_mode & 0o777 == 0o600


def test_without_a_data_folder_the_process_remembers(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    with ledger_of(server, tmp_path / "none") as ledger, server.client() as client:
        ledger.add_user("admin", UserRole.ADMIN, "hash", by="test")
        assert codes(ledger) == []
        client.flushall()
        assert codes(ledger) == ["redis-new"]
    assert not (tmp_path / "none").exists()


def test_data_from_before_there_were_ids(start_server: Start, tmp_path: Path) -> None:
    """An older store gets an id; a backup of it that is restored later gets the same one, so it does not count as new."""
    server = start_server()
    with ledger_of(server, tmp_path) as ledger, server.client() as client:
        assert ledger.mark_store() is False
        ledger.add_user("admin", UserRole.ADMIN, "hash", by="test")
        client.delete("reachq:store-id")
        assert ledger.mark_store() is True
        assert codes(ledger) == []
        client.delete("reachq:store-id")
        assert codes(ledger) == ["redis-new"]
        ledger.mark_store()
        assert codes(ledger) == []


def test_a_store_id_of_a_wrong_type_breaks_nothing(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    with ledger_of(server, tmp_path) as ledger, server.client() as client:
        client.lpush("reachq:store-id", "x")
        assert codes(ledger) == []
