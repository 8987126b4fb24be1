"""A system starts with the Redis data of an older version, and everything in it works.

`data/before_snapshots.json` has every key of a system from before there were snapshots and networks, as it was when its
processes died: three answered quick runs and a detailed one, one cancelled and two waiting, while the bench was paused.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from ledger.events import Kind
from ledger.runs.run import State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.system.running import System

OLDER: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "before_snapshots.json").read_text())
PASSWORD, TOKEN = "qys9-hzdk-duvv-8ci3", "rq_nD-CxaBthR6j0PJ16Izq-8pzVKqbKL15rArHY66urrE"


def restore(client: redis.Redis) -> None:
    """Write every key of the older system."""
    for name, key in OLDER.items():
        value = key["value"]
        if key["type"] == "string":
            client.set(name, value)
        elif key["type"] == "hash":
            client.hset(name, mapping=value)
        elif key["type"] == "list":
            client.rpush(name, *value)
        elif key["type"] == "set":
            client.sadd(name, *value)
        elif key["type"] == "zset":
            client.zadd(name, dict(value))
        else:
            for entry, fields in value:
                client.xadd(name, fields, id=entry)
    client.delete("reachq:main:leader")  # it had expired when the next version started


@pytest.fixture
def system(aof_server: Server, tmp_path: Path) -> Iterator[System]:
    with aof_server.client() as client:
        restore(client)
    settings = {"REACHQ_REDIS_URL": aof_server.url}
    system = System(tmp_path / "data", options=["--no-first"], settings=settings)
    yield system.ready()
    system.close()


@pytest.fixture
def ledger(system: System, aof_server: Server) -> Iterator[Ledger]:
    with Ledger.connect(load_settings(redis_url=aof_server.url, data=system.data)) as ledger:
        yield ledger


def runs_of_the_older_system() -> list[str]:
    return [name.removeprefix("reachq:run:") for name in OLDER if re.fullmatch(r"reachq:run:[0-9a-f-]{36}", name)]


def get(system: System, path: str) -> str:
    asked = urllib.request.Request(f"{system.url}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_system_continues_with_older_data(system: System, ledger: Ledger) -> None:
    ids = runs_of_the_older_system()
    assert len(ids) == 7
    assert {run.id for run in ledger.runs(limit=50)[0]} == set(ids)
    ended = [run_id for run_id in ids if f"reachq:run:{run_id}:result" in OLDER]
    assert len(ended) == 4
    for run_id in ended:
        shown = system.run("show", run_id)
        assert shown.returncode in (0, 1, 3), shown.stderr
        assert "10.3.20.8" in get(system, f"/runs/{run_id}")
        assert json.loads(get(system, f"/api/runs/{run_id}/result"))["run_id"] == run_id
    assert [one["name"] for one in json.loads(get(system, "/api/networks"))["networks"]] == ["main"]

    paused = ledger.paused()
    assert paused is not None
    assert paused.why == "maintenance of dc-fw"
    assert system.run("bench", "resume").returncode == 0
    waiting = [run_id for run_id in ids if OLDER[f"reachq:run:{run_id}"]["value"]["state"] == "pending"]
    assert len(waiting) == 2
    for run_id in waiting:
        wait_until(lambda run_id=run_id: ledger.run(run_id).state is State.DONE, 60, "a run that waited is answered")  # type: ignore[misc]
    assert not [event for event in ledger.events("0-0", block_ms=None, count=10_000) if event.kind is Kind.DAMAGED]
    assert ledger.rule_hits(OLDER["reachq:main:status"]["value"]["facts"].strip('"')), "the counts of hits are kept"


def test_people_of_older_data_sign_in(system: System) -> None:
    form = urllib.parse.urlencode({"name": "anna", "password": PASSWORD}).encode()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(urllib.request.Request(f"{system.url}/sign-in", data=form), timeout=30) as answer:
        assert "Sign out" in answer.read().decode()
    assert {user["name"] for user in json.loads(system.run("user", "list", "--json").stdout)["users"]} >= {
        "anna",
        "ben",
    }
