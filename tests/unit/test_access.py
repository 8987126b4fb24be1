"""The ACL rules cover every script, key and command; missing rights are named."""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main, reachq
from ledger.redis import acl, scripts
from ledger.redis.acl import ROLES
from ledger.redis.keys import CATALOGUE
from ledger.redis.scripts import Script

LEDGER = Path(scripts.__file__).parents[1]
ALL = {name: script for name, script in vars(scripts).items() if isinstance(script, Script)}
PEOPLE = ("reachq:user:anna", "reachq:users", f"reachq:session:{'0' * 64}", f"reachq:token:{'0' * 64}")
SPELLED = {
    "delete": "del",
    "xreadgroup": "xread",
    "execute": "",
    "pipeline": "",
    "close": "",
    "ping": "",  # only `reachq up` sends it
    "config_get": "",  # not asked by the users of these rules: it shows passwords
}
"""Methods of redis-py with another name than their command; an empty one sends none."""


def covered(role: str, key: str) -> str:
    """The rights of a role on a key: `RW`, `R` or ``."""
    found = {access for pattern, access in ROLES[role].patterns("main").items() if fnmatch.fnmatchcase(key, pattern)}
    return "RW" if "RW" in found else "".join(found)


def test_each_script_is_some_roles() -> None:
    used = {script for role in ROLES.values() for script in role.scripts}
    missing = sorted(name for name, script in ALL.items() if script not in used)
    assert not missing, f"add these scripts to the roles in ledger/redis/acl.py that run them: {missing}"


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_key_of_a_script_has_a_pattern(name: str) -> None:
    for key in acl.key_names(ALL[name]):
        assert acl.patterns(key, "main"), f"{name}: ledger.redis.acl.patterns does not know the key {key!r}"


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_call_of_a_script_is_overlooked(name: str) -> None:
    """Each `call` and `pcall` names its command as a string, or unpacks a table that begins with it."""
    calls = re.findall(r"call\((.)", ALL[name].source)
    odd = [first for first in calls if first not in "'u"]
    assert not odd, f"{name}.lua: a command is not spelled as the first word of a call: rules cannot be derived"
    assert ALL[name].commands


def test_each_key_of_the_catalogue_is_somebodys() -> None:
    filled = {"<id>": "0" * 36, "<bench>": "main", "<mode>": "quick", "<name>": "anna", "<hash>": "0" * 64}
    filled |= {
        "<n>": "32",
        "<queue>": "main-quick-1",
        "<facts>": "abc",
        "<host>": "ward",
        "<ms>": "1",
        "<key>": "reachq:events",
    }
    for key in CATALOGUE:
        name = key.pattern
        for part, value in filled.items():
            name = name.replace(part, value)
        assert key.regex.fullmatch(name), f"fill in the new part of {key.pattern} here"
        assert any(covered(role, name) == "RW" for role in ROLES), (
            f"no role may write {key.pattern}: ledger/redis/acl.py"
        )


USERS_OF = {
    "part": ("web", "operator"),
    **dict.fromkeys(
        ("reading", "processes", "survey", "metrics_counts", "hosts", "control", "users", "tokens"), ("web", "operator")
    ),
    "questions": ("web", "worker", "operator"),
    "storing": ("web", "operator"),
    **dict.fromkeys(("waiting", "sessions", "audit", "searching", "submitting", "cancelling"), ("web",)),
    **dict.fromkeys(("reaping", "dispatching", "rq_layout", "wrong_types", "repair"), ("dispatcher",)),
    "listing": ("web", "worker", "operator"),
    "pushing": ("web", "operator"),
    "changing": ("web", "operator"),
    "checking": ("worker",),
    "working": ("worker",),
    "inspection": ("web", "dispatcher", "worker", "operator"),
    "events": ("web", "dispatcher"),
}
"""Modules of the ledger that send commands outside scripts, and the roles that may send all of them."""


@pytest.mark.parametrize("file", sorted(LEDGER.rglob("*.py")), ids=lambda file: file.stem)
def test_each_command_the_ledger_sends_is_in_the_rules(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if ast.unparse(node.func.value).rpartition(".")[2] not in ("pipe", "client") or file.stem == "connection":
            continue
        name = SPELLED.get(node.func.attr, node.func.attr.replace("_", "|", 1))
        at = f"{file.name}:{node.lineno}"
        assert not name or file.stem in USERS_OF, f"{at}: say in USERS_OF which roles use this module"
        for role in USERS_OF.get(file.stem, ()):
            allowed = {*ROLES[role].all_commands, *(("sort",) if ROLES[role].sorts else ())}
            assert not name or name in allowed, f"{at}: give {name!r} to the role {role} in ledger/redis/acl.py"


@pytest.mark.parametrize("role", ["dispatcher", "worker", "monitor"])
def test_people_are_the_webs_and_the_operators(role: str) -> None:
    assert [covered(role, key) for key in PEOPLE] == [""] * len(PEOPLE)
    assert [covered("web", key) for key in PEOPLE] == ["RW"] * len(PEOPLE)


def test_the_monitor_writes_nothing() -> None:
    assert set(ROLES["monitor"].patterns("main").values()) == {"R"}
    assert "eval" not in ROLES["monitor"].rule("main", "x")


def test_another_bench_has_users_and_keys_of_its_own() -> None:
    rule = ROLES["worker"].rule(["branch"], None)
    assert rule.startswith("user reachq-branch-worker reset on #SHA256-OF-THE-PASSWORD resetchannels ")
    assert "main" not in rule


def test_acl_prints_a_line_for_each_role() -> None:
    done = CliRunner().invoke(reachq, ["redis", "acl"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [role.rule(["main"], None) for role in ROLES.values()]
    one = CliRunner().invoke(reachq, ["redis", "acl", "--role", "worker", "--bench", "branch", "--json"])
    (user,) = json.loads(one.output)["users"]
    assert user["user"] == "reachq-branch-worker"
    assert user["rule"] == ROLES["worker"].rule(["branch"], None)


def test_one_set_of_users_covers_several_networks() -> None:
    words = ["redis", "acl", "--role", "worker", "--network", "main", "--network", "lab", "--json"]
    (user,) = json.loads(CliRunner().invoke(reachq, words).output)["users"]
    assert user["user"] == "reachq-main-worker"
    assert user["keys"] == ROLES["worker"].patterns("main") | ROLES["worker"].patterns("lab")
    assert user["rule"] == ROLES["worker"].rule(["main", "lab"], None)


def test_acl_makes_passwords_once_and_prints_their_hashes(tmp_path: Path) -> None:
    words = ["redis", "acl", "--passwords", str(tmp_path / "redis")]
    first, again = CliRunner().invoke(reachq, words), CliRunner().invoke(reachq, words)
    assert first.exit_code == again.exit_code == 0
    assert first.output == again.output
    files = sorted((tmp_path / "redis").iterdir())
    assert {file.name for file in files} == {role.user("main") for role in ROLES.values()}
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        password = file.read_text().strip()
        assert len(password) > 30
        assert password not in first.output
        assert hashlib.sha256(password.encode()).hexdigest() in first.output


def test_acl_names_a_password_file_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reachq-main-web").write_text("two\nlines\n")
    with pytest.raises(SystemExit) as ended:
        main(["redis", "acl", "--role", "web", "--passwords", str(tmp_path)])
    assert ended.value.code == 2
    assert "must hold the password on one line" in capsys.readouterr().err
