"""Every redis-cli command of the operator's guide works and shows something, and the cheat sheet's commands only read."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from ledger.people.records import UserRole, digest
from ledger.runs.bulk import BulkRequest, numbered
from ledger.runs.records import Choice
from ledger.runs.run import Run
from ledger.snapshots.records import NewSnapshot, SnapshotState
from ledger.store import Ledger
from tests.support.compared import a_change
from tests.support.patience import patience
from tests.support.results import answer_with, document, policy, router, service
from tests.support.runs import DETAILED, QUICK, a_request, announced, leading, promoted, queue_of, submitted, worker_of
from tests.support.server import Server

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
CHEAT_SHEET = GUIDE.partition("## redis-cli cheat-sheet")[2]
MAY_SHOW_NOTHING = {
    "SMEMBERS reachq:main:running:detailed",  # never beside a quick run
    "SMEMBERS rq:workers",  # no worker runs in this test
    "XREAD BLOCK 1000 STREAMS reachq:events $",
    "SLOWLOG GET 5",
    "HGETALL reachq:main:damaged",  # nothing is damaged in this test
}
RESULT = document(
    [service("22/tcp", "NO", blocked_by=["dc-gw"])],
    [router("dc-gw", 1, {"22/tcp": ("NO", policy(file=None, line=None))}, out_iface=None)],
    facts="b17e42431a16",
)
ANNA = {
    "$USER": "anna",
    "$SESSION": digest("cookie"),
    "$TOKEN": digest("secret"),
    "$THROTTLE": digest("name anna"),
}
LOOKS_AT_THE_SERVER = {"INFO", "CONFIG", "SLOWLOG", "TIME"}


def commands(text: str) -> list[str]:
    """The lines of every ```redis block, without comments."""
    blocks = re.findall(r"^```redis\n(.*?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def scene(ledger: Ledger) -> dict[str, str]:
    """A finished run, a running one, two waiting ones, a leader, a bench report, a user; and the values of `$…`."""
    done = promoted(ledger)
    begun = ledger.begin(done.id, "worker of main-quick-0")
    assert begun is not None
    ledger.progress(done.id, begun.token, "walk", 50, "half way")
    assert ledger.finish(done.id, begun.token, answer_with(RESULT))
    running = promoted(ledger, number=1)
    submitted(ledger, QUICK)
    submitted(ledger, DETAILED)
    for _ in range(33):
        ledger.submit(a_request(), user="cli")
    announced(ledger, QUICK, 2)
    ledger.report_bench({"state": "up", "facts": RESULT["facts"]})
    file = "0" * 64
    for facts in ("b17e42431a16", "c17e42431a16"):
        ledger.push_snapshot(NewSnapshot(facts, {"r1/addr.json": (file, b"[]")}, (), 1, "campus"), by="anna")
    ledger.settle_check("b17e42431a16", SnapshotState.READY, host="h", problems=[], warnings=[])
    ledger.use_snapshot("b17e42431a16", by="anna")
    bulk, _ = ledger.submit_bulk(BulkRequest(tuple(numbered([a_request()])), "b17e42431a16"))
    change = ledger.add_change(a_change(before="b17e42431a16", after="c17e42431a16"))
    ledger.set_management_flows("10.1.99.10, 10.3.20.1, 22", by="anna")
    on_east = begun_on_east(ledger)
    ledger.pause("anna", "new facts")
    ledger.restart_bench("anna")
    ledger.vet(lambda warning: None)
    ledger.add_network("lab", by="test")
    ledger.add_user("anna", UserRole.ADMIN, "hash", by="test")
    ledger.start_session("anna", "cookie", via="password", address="", agent="")
    ledger.add_token("anna", "secret", "check", by="anna")
    ledger.count_login_attempt("anna", "10.0.0.1")
    own = {
        "$RUN": done.id,
        "$WAITING": running.id,
        "$BULK": bulk.id,
        "$LANE": str(running.dscp),
        "$EAST": str(on_east.dscp),
        "$QUEUE": "main-quick-1",
    }
    return own | ANNA | {"$FACTS": "b17e42431a16", "$FILE": file, "$CHANGE": change.id}


def begun_on_east(ledger: Ledger) -> Run:
    """A run on a second host, which has reported and is drained."""
    with Ledger.connect(ledger.settings.model_copy(update={"host_name": "east"})) as east:
        queue = queue_of(QUICK, 9)
        east.announce(worker_of(queue), queue, QUICK, 1)
        east.report_bench({"state": "up"})
        run = submitted(ledger)
        ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue)])
        begun = east.begin(run.id, worker_of(queue), queue)
    assert begun is not None
    ledger.drain_host("east", "anna", "new memory")
    return begun


def fill(command: str, scene: dict[str, str]) -> str:
    for name, value in scene.items():
        command = command.replace(name, value)
    return command


def test_there_are_commands() -> None:
    assert len(commands(CHEAT_SHEET)) > 25


@pytest.mark.parametrize("command", commands(GUIDE))
def test_command_works(command: str, scene: dict[str, str], client: redis.Redis) -> None:
    reply: Any = client.execute_command(*shlex.split(fill(command, scene)))
    if command not in MAY_SHOW_NOTHING:
        assert reply not in (None, [], {}, set(), "", 0), command
        assert not isinstance(reply, list) or any(item is not None for item in reply), command


@pytest.mark.parametrize("command", commands(GUIDE))
def test_command_works_as_typed(command: str, scene: dict[str, str], server: Server) -> None:
    tool = shutil.which("redis-cli")
    if tool is None:
        pytest.skip("no redis-cli here; the same commands have gone through redis-py")
    done = subprocess.run(
        [tool, "-s", server.socket, *shlex.split(fill(command, scene))],
        capture_output=True,
        text=True,
        timeout=patience(10),
        check=False,
    )
    assert done.returncode == 0
    assert not re.match(r"\(error\)|ERR |WRONGTYPE|NOAUTH", done.stdout), done.stdout


@pytest.mark.parametrize("command", commands(CHEAT_SHEET))
def test_command_only_reads(command: str, client: redis.Redis) -> None:
    word = command.split()[0]
    if word in LOOKS_AT_THE_SERVER:
        assert word != "CONFIG" or command.split()[1] == "GET"
    else:
        about: Any = client.execute_command("COMMAND", "INFO", word)
        assert "readonly" in str(about), command


def test_every_kind_of_key_is_shown() -> None:
    from ledger.redis.keys import CATALOGUE

    named = [word for command in commands(CHEAT_SHEET) for word in command.split() if word.startswith("reachq:")]
    own = {
        "$RUN": "0" * 36,
        "$BULK": "0" * 36,
        "$LANE": "32",
        "$EAST": "32",
        "$QUEUE": "main-quick-1",
        "$FACTS": "b17e42431a16",
    }
    own |= {"$FILE": "0" * 64, "$CHANGE": "0" * 36}
    examples = [fill(word, own | ANNA) for word in named]
    unseen = [kind.pattern for kind in CATALOGUE if not any(kind.regex.fullmatch(example) for example in examples)]
    assert unseen == []
