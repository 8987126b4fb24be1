"""Headers of the Lua files, their code and the typed wrappers say the same; scripts survive SCRIPT FLUSH."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

import ledger
from ledger.redis import scripts
from ledger.redis.scripts import SCRIPTS, Script
from ledger.runs.records import Answer
from ledger.store import Ledger
from tests.support.runs import running, submitted

FOLDER = Path(ledger.__file__ or "").with_name("lua")
MAY_WRITE_WHEN_FULL = {
    "lead",
    "resign",
    "begin",
    "renew",
    "finish",
    "progress",
    "explain",
    "mark",
    "cancel",
    "reap",
    "trim",
    "announce",
    "withdraw",
    "report",
    "pause",
    "resume",
    "note",
    *(
        "update_user",
        "remove_user",
        "start_session",
        "end_session",
        "revoke_token",
        "touch",
        "count_login_attempt",
        "reset_login_attempts",
        "uncount_login_attempt",
    ),
    "restart",
    "take_restart",
    *("set_aside", "place", "tidy", "move_away"),
}
ONLY_READS = {"view", "search", "find_session", "find_token"}
each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.verb)


def header(script: Script, name: str) -> str:
    """One header line of a file, joined over no line break: a header line stays one line."""
    found = re.search(rf"^-- {name}: ?(.*)$", script.source, re.MULTILINE)
    assert found, f"{script.verb}.lua has no {name} line"
    return found.group(1)


def test_every_file_has_a_wrapper_and_every_wrapper_a_file() -> None:
    files = {path.stem for path in FOLDER.glob("*/*.lua") if path.parent.name != "include"}
    assert {script.verb for script in SCRIPTS} == files
    assert len(SCRIPTS) == len({script.verb for script in SCRIPTS})


@pytest.mark.parametrize("path", sorted((FOLDER / "include").glob("*.lua")), ids=lambda path: path.stem)
def test_an_included_file_is_shared_and_names_what_it_needs(path: Path) -> None:
    users = [file.read_text() for file in FOLDER.glob("*/*.lua") if f"-- INCLUDE {path.stem}\n" in file.read_text()]
    assert len(users) > 1
    head, _, body = path.read_text().partition("\n")
    assert head.startswith("-- NEEDS: ")
    for name in head.removeprefix("-- NEEDS: ").split():
        assert re.search(rf"\b{name}\b", body)
        for text in users:
            before = text.partition(f"-- INCLUDE {path.stem}\n")[0]
            assert re.search(rf"^local [^=]*\b{name}\b[^=]*=", before, re.MULTILINE), f"{name} is not a local yet"


@each
def test_header_and_wrapper_agree(script: Script) -> None:
    assert header(script, "PURPOSE").split()
    assert tuple(header(script, "KEYS").split()) == script.keys
    assert tuple(header(script, "ARGV").split()) == script.args
    statuses = {way.split()[0] for way in header(script, "RETURNS").split(" | ")}
    assert statuses == script.statuses


@each
def test_statuses_in_the_code_are_those_of_the_header(script: Script) -> None:
    code = "\n".join(line for line in script.source.splitlines() if not line.startswith("--"))
    returned = set(re.findall(r"return \{'([a-z-]+)'", code))
    returned |= set(re.findall(r"return \{\w+ and '([a-z-]+)' or '[a-z-]+'\}", code))
    returned |= set(re.findall(r"return \{\w+ and '[a-z-]+' or '([a-z-]+)'\}", code))
    returned |= set(re.findall(r"^local (?:reply|outcomes) = \{'([a-z-]+)'", code, re.MULTILINE))
    assert returned == script.statuses


@each
def test_a_script_is_short_and_declares_what_it_may(script: Script) -> None:
    lines = script.source.splitlines()
    code = [line for line in lines if line.strip() and not line.startswith("--")]
    assert len(code) <= 100, f"{script.verb}.lua has {len(code)} lines of code"
    flags = "allow-oom" if script.verb in MAY_WRITE_WHEN_FULL else "no-writes" if script.verb in ONLY_READS else ""
    assert lines[0] == (f"#!lua flags={flags}" if flags else "#!lua")


def test_a_wrapper_called_with_wrong_names_says_which() -> None:
    with pytest.raises(TypeError, match="token"):
        scripts.RENEW.order({"run": "r", "leases": "l", "workers": "w"}, {"id": "1", "lease_ms": 1}, ())
    with pytest.raises(TypeError, match="no further"):
        scripts.RENEW.order(
            {"run": "r", "leases": "l", "workers": "w"}, {"id": "1", "token": "t", "lease_ms": 1}, ("more",)
        )


def test_scripts_are_loaded_again_after_script_flush(ledger: Ledger, client: redis.Redis) -> None:
    run = running(ledger)
    client.script_flush()
    assert ledger.renew(run.id, run.token).alive
    client.script_flush()
    assert ledger.finish(run.id, run.token, Answer("YES"))
    client.script_flush()
    assert submitted(ledger).seq == 2
