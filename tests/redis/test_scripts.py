"""The headers of the Lua files, their code and the typed wrappers agree; scripts survive SCRIPT FLUSH."""

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
    "agree",
    "begin",
    "renew",
    "finish",
    "progress",
    "explain",
    "remove_change",
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
    *("drain", "undrain"),
    "restart",
    "take_restart",
    *("set_aside", "place", "tidy", "move_away"),
    *("settle_check", "use", "pin", "unpin", "drop", "remove"),
}
ONLY_READS = {"view", "search", "find_session", "find_token"}
each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.verb)


def header(script: Script, name: str) -> str:
    """One header line of a file, joined over no line break: a header line stays one line."""
    found = re.search(rf"^-- {name}: ?(.*)$", script.text, re.MULTILINE)
    assert found, f"{script.verb}.lua has no {name} line"
    return found.group(1)


def test_every_file_has_a_wrapper_and_every_wrapper_a_file() -> None:
    files = {path.stem for path in FOLDER.glob("*/*.lua") if path.parent.name != "include"}
    assert {script.verb for script in SCRIPTS} == files
    assert len(SCRIPTS) == len({script.verb for script in SCRIPTS})


def locals_of(code: str) -> list[str]:
    """The names that lines of the main chunk declare."""
    found = re.findall(r"^local (?:function )?([\w, ]+)", code, re.MULTILINE)
    return [name.strip() for names in found for name in names.split(",")]


@pytest.mark.parametrize("path", sorted((FOLDER / "include").glob("*.lua")), ids=lambda path: path.stem)
def test_an_included_file_is_shared_and_names_what_it_needs(path: Path) -> None:
    users = [script for script in SCRIPTS if f"-- INCLUDE {path.stem}\n" in script.text]
    assert len(users) > 1
    head, _, body = path.read_text().partition("\n")
    assert head.startswith("-- NEEDS:")
    for name in head.removeprefix("-- NEEDS:").split():
        assert re.search(rf"\b{name}\b", body)
        for script in users:
            before = script.source.splitlines()[: script.text[: script.text.index(path.stem)].count("\n")]
            assert re.search(rf"\blocal (function {name}\(|[^=;]*\b{name}\b[^=;]*=)", "\n".join(before)), (
                f"{name} is not a local yet"
            )


@each
def test_a_script_uses_the_names_of_its_header(script: Script) -> None:
    header_names = {"call", *script.keys, *script.fixed_args}
    header_names |= {name.removesuffix("_quick") for name in header_names if name.endswith("_quick")}
    own = [*locals_of(script.text), *(name for file in included(script) for name in locals_of(file))]
    assert not header_names & set(own), "a local hides a name of the header"
    assert len(own) == len(set(own)), "a name is declared twice"
    assert not re.search(r"\b(KEYS|ARGV)\[\d", script.text), "the header names it"


@each
def test_redis_reports_the_line_numbers_of_the_file(script: Script) -> None:
    assert len(script.source.splitlines()) == len(script.text.splitlines())
    for line in script.source.splitlines():
        assert "-- INCLUDE" not in line


def included(script: Script) -> list[str]:
    names = re.findall(r"^-- INCLUDE (\w+)$", script.text, re.MULTILINE)
    return [(FOLDER / "include" / f"{name}.lua").read_text() for name in names]


@each
def test_header_and_wrapper_agree(script: Script) -> None:
    assert header(script, "PURPOSE").split()
    assert tuple(header(script, "KEYS").split()) == script.keys
    assert tuple(header(script, "ARGV").split()) == script.args
    statuses = {way.split()[0] for way in header(script, "RETURNS").split(" | ")}
    assert statuses == script.statuses


@each
def test_statuses_in_the_code_are_those_of_the_header(script: Script) -> None:
    code = "\n".join(line for line in script.text.splitlines() if not line.startswith("--"))
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
