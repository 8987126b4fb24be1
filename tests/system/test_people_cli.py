"""`reachq user` and `reachq token` against a real server, and the first start of the web server."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from app.cli.login_name import login_name
from app.people.accounts import Accounts, BadCredentials
from ledger.people.records import UserRole
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.web import Web
from tests.system.running import REACHQ, clean_environment

Command = Callable[..., subprocess.CompletedProcess[str]]
SECRET = re.compile(r"[a-z2-9]{4}(-[a-z2-9]{4}){3}")


@pytest.fixture
def reachq(server: Server, tmp_path: Path) -> Command:
    def command(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        env = clean_environment() | {"REACHQ_REDIS_URL": server.url, "REACHQ_DATA": str(tmp_path)}
        return subprocess.run(
            [REACHQ, *words], env=env, input=typed, capture_output=True, text=True, timeout=patience(30), check=False,
            start_new_session=True,  # no terminal: what is typed comes from the pipe
        )  # fmt: skip

    return command


def signs_in(ledger: Ledger, name: str, password: str) -> bool:
    try:
        Accounts(ledger).sign_in(name, password, "10.0.0.1", "test")
    except BadCredentials:
        return False
    return True


def test_a_users_life(reachq: Command, ledger: Ledger) -> None:
    assert "no users yet" in reachq("user", "list").stdout
    made = reachq("user", "add", "anna", "--role", "admin")
    assert made.returncode == 0
    first = made.stdout.removeprefix("password of anna: ").strip()
    assert SECRET.fullmatch(first), made.stdout
    assert signs_in(ledger, "anna", first)
    reachq("user", "add", "ben")
    assert ledger.user("ben").role is UserRole.USER
    second = reachq("user", "password", "anna").stdout.removeprefix("password of anna: ").strip()
    assert not signs_in(ledger, "anna", first)
    assert signs_in(ledger, "anna", second)
    assert reachq("user", "role", "ben", "viewer").stdout == "ben is viewer now\n"
    assert reachq("user", "role", "ben", "viewer").stdout == "ben is viewer already\n"
    table = reachq("user", "list").stdout
    assert re.search(rf"anna +admin +\d+ s ago +1 +0 +{login_name()}", table), table
    assert re.search(rf"ben +viewer +never +0 +0 +{login_name()}", table), table
    document = json.loads(reachq("user", "list", "--json").stdout)
    assert [user["name"] for user in document["users"]] == ["anna", "ben"]
    assert "argon2" not in json.dumps(document)
    assert reachq("user", "remove", "ben").stdout == "ben has been removed\n"
    assert [user.name for user in ledger.users()] == ["anna"]
    assert {event.fields["by"] for event in ledger.events("0-0", count=100) if event.kind != "signed-in"} <= {
        login_name(),
        "",
    }


def test_a_password_that_is_typed(reachq: Command, ledger: Ledger) -> None:
    typed = "correct horse battery\n" * 2
    made = reachq("user", "add", "anna", "--role", "admin", "--prompt", typed=typed)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "anna signs in with the password that you typed\n"
    assert "horse" not in made.stdout + made.stderr
    assert signs_in(ledger, "anna", "correct horse battery")
    short = reachq("user", "password", "anna", "--prompt", typed="short\nshort\n")
    assert short.returncode == 2
    assert "password: must be 10-200 characters long" in short.stderr


def test_tokens(reachq: Command, ledger: Ledger) -> None:
    reachq("user", "add", "anna", "--role", "admin")
    assert "no tokens" in reachq("token", "list").stdout
    made = reachq("token", "make", "anna", "nightly check").stdout
    found = re.fullmatch(r"token ([0-9a-f]{8}) of anna: (rq_[\w-]{43})\n", made)
    assert found, made
    assert Accounts(ledger).find_token(found[2]) is not None
    for words in (["anna"], []):
        table = reachq("token", "list", *words).stdout
        assert re.search(rf"{found[1]} +anna +admin +nightly check +\d+ s ago +\d+ s ago", table), table
    document = reachq("token", "list", "anna", "--json").stdout
    assert [token["id"] for token in json.loads(document)["tokens"]] == [found[1]]
    assert found[2] not in document
    assert reachq("token", "revoke", "anna", found[1]).returncode == 0
    assert Accounts(ledger).find_token(found[2]) is None


MISTAKES = {
    "no such user": (["user", "password", "nobody"], "There is no user nobody"),
    "no such role": (["user", "add", "cleo", "--role", "boss"], "use one of viewer, user, admin"),
    "no name": (["user", "add", "Anna Smith"], "is not a valid user name"),
    "a name of ours": (["user", "add", "api"], "choose another"),
    "there already": (["user", "add", "anna"], "A user named anna already exists"),
    "the last admin's role": (["user", "role", "anna", "user"], "anna is the last admin"),
    "the last admin": (["user", "remove", "anna"], "anna is the last admin"),
    "removing nobody": (["user", "remove", "nobody"], "There is no user nobody"),
    "a token of nobody": (["token", "make", "nobody", "x"], "There is no user nobody"),
    "a token for nothing": (["token", "make", "anna", " "], "is not a valid label"),
    "no such token": (["token", "revoke", "anna", "00000000"], "anna has no token 00000000"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_and_exit_2(reachq: Command, ledger: Ledger, case: str) -> None:
    ledger.add_user("anna", UserRole.ADMIN, "hash", by="test")
    words, message = MISTAKES[case]
    done = reachq(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [(user.name, user.role) for user in ledger.users()] == [("anna", UserRole.ADMIN)]


# the first start


def said_after_ready(web: Web) -> str:
    """The output of the web server after it is ready, until it ends."""
    web.process.terminate()
    assert web.process.stdout is not None
    with web.process.stdout as stdout:  # not communicate(), which does not know what readline() has read ahead
        output = stdout.read().decode()
    assert web.process.wait(patience(10)) == 0
    return output


def test_the_first_start_makes_an_admin_and_says_so_once(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    web = Web(server.url, tmp_path)
    output = said_after_ready(web)
    found = re.fullmatch(
        rf"first start: sign in at http://127\.0\.0\.1:{web.port} as admin with the password (\S+);"
        r" it is not shown again \(a new one: reachq user password admin\)\n",
        output,
    )
    assert found, output
    assert SECRET.fullmatch(found[1])
    assert signs_in(ledger, "admin", found[1])
    assert found[1] not in web.log.read_text()
    assert said_after_ready(Web(server.url, tmp_path)) == ""


def test_two_first_starts_at_once_make_one(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(2)]
    for folder in folders:
        folder.mkdir()
    webs = [Web(server.url, folder, wait=False) for folder in folders]
    for web in webs:
        web.wait_ready()
    output = [said_after_ready(web) for web in webs]
    assert sorted(len(lines.splitlines()) for lines in output) == [0, 1]
    (password,) = re.findall(r"with the password (\S+);", "".join(output))
    assert signs_in(ledger, "admin", password)


def test_redis_may_come_later_than_the_web_server(tmp_path: Path) -> None:
    late = Server()
    web = Web(late.url, tmp_path)
    late.start()
    client = late.client()
    try:
        wait_until(lambda: client.exists("reachq:user:admin"), 10, "the admin is made")
        output = web.process.stdout
        assert output is not None
        line = wait_until(lambda: output.readline(), 10, "it says so")
        assert line.startswith(b"first start: ")
        assert web.get("/api/runs").status == 200
    finally:
        web.stop()
        client.close()
        late.stop()


def test_who_has_users_gets_no_admin(server: Server, ledger: Ledger, client: redis.Redis, tmp_path: Path) -> None:
    ledger.add_user("anna", UserRole.ADMIN, "hash", by="test")
    assert said_after_ready(Web(server.url, tmp_path)) == ""
    assert client.smembers("reachq:users") == {"anna"}
