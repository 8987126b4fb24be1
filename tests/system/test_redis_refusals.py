"""What each Redis user may not do, the errors of a refused process, and that no output shows a password."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis.exceptions import NoPermissionError, ResponseError

from ledger.errors import StoreRefused, StoreUnavailable
from ledger.redis.acl import ROLES
from ledger.redis.address import open_client
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.runs import a_request
from tests.support.secured import DEFAULT_USER, REDIS_7, Certificates, Secured
from tests.support.server import server_binary
from tests.support.waiting import wait_until
from tests.support.web import ROOT, Web
from tests.system.running import REACHQ, clean_environment
from tests.system.test_redis_acl import secured, settings_of

PEOPLE = ("HGETALL reachq:user:anna", "SMEMBERS reachq:users", "HGETALL reachq:session:x", "HGETALL reachq:token:x",
          "GET reachq:throttle:x", "DEL reachq:user:anna")  # fmt: skip
LEADS = ("SET reachq:main:leader x", "DEL reachq:main:leader", "INCR reachq:main:epoch")
REPORTS = ("HSET reachq:main:status state up", "ZADD reachq:main:workers 1 q")
ANYBODY = ("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "CONFIG SET maxmemory 1", "ACL LIST", "ACL SETUSER x",
           "SHUTDOWN", "SCRIPT FLUSH", "MONITOR", "CLIENT LIST", "CLIENT KILL TYPE normal", "SAVE", "BGREWRITEAOF",
           "REPLICAOF NO ONE", "PUBLISH a b", "SUBSCRIBE a", "SELECT 1", "SLOWLOG GET", "DUMP reachq:events", "RANDOMKEY",
           "GET elsewhere", "GET reachq:branch:leader", "XLEN reachq-events", "HGETALL reachq:branch:status")  # fmt: skip
"""What no role may do."""
DENIED = {
    "web": (
        *LEADS,
        "SCAN 0",
        *REPORTS,
        "INCR reachq:main:fence",
        "ZADD reachq:main:dispatchers 1 d",
        "RPUSH rq:queue:other x",
    ),
    "dispatcher": (
        *PEOPLE,
        *REPORTS,
        "HSET reachq:main:paused by x",
        "SET reachq:main:restart x",
        "RENAME reachq:user:anna reachq:damaged:1:reachq:user:anna",
        "SMEMBERS rq:workers",
    ),
    "worker": (
        "SCAN 0",
        *PEOPLE,
        *LEADS,
        "GET reachq:main:epoch",
        "HSET reachq:main:paused by x",
        "HGETALL rq:worker:other-quick-1",
    ),
    "operator": ("SCAN 0", *LEADS, *REPORTS, "ZADD reachq:main:dispatchers 1 d", "BLMOVE a b LEFT RIGHT 1"),
    "monitor": ("SCAN 0", *PEOPLE, *LEADS, *REPORTS, "XADD reachq:events * a b", "DEL reachq:events", "EVAL return 0"),
    "system": ("RPUSH rq:queue:other x", "SET rq:suspended 1"),
}
"""What this role may not. SCAN is for the dispatcher, which looks for runs that no list holds."""
TYPED = (
    "bench status",
    "bench status --json",
    "list --json",
    "bench doctor",
    "user add x",
    "redis acl",
    "redis acl --json",
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Secured]:
    server = secured("valkey", tmp_path_factory.mktemp("refusals"), certificates)
    yield server
    server.stop()


@pytest.fixture(params=list(ROLES))
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_role_may_not(house: Secured, role: str, tmp_path: Path) -> None:
    address = settings_of(house, role, tmp_path).redis_address
    allowed = []
    for command in (*ANYBODY, *DENIED[role]):
        client = open_client(address, timeout_s=5, text=True)
        try:
            client.execute_command(*command.split())
            allowed.append(command)
        except NoPermissionError:
            pass
        finally:
            client.close()
    assert allowed == []


@pytest.mark.parametrize("role", ["web", "dispatcher", "worker", "operator"])
def test_a_script_gives_no_more(house: Secured, role: str, tmp_path: Path) -> None:
    """A script may be given any keys, but it cannot do more with them."""
    client = open_client(settings_of(house, role, tmp_path).redis_address, timeout_s=5, text=True)
    for command in (*ANYBODY[-4:], *(one for one in DENIED[role] if "BLMOVE" not in one)):
        words = command.split()
        called = ", ".join(f"'{word}'" for word in words)
        with pytest.raises((ResponseError, NoPermissionError), match=r"permission|ACL|can't"):
            client.eval(f"return redis.call({called})", 1, words[1])
    client.close()


@pytest.mark.parametrize("binary", [server_binary(), REDIS_7])
def test_a_server_does_not_start_without_real_passwords(binary: str | Path | None, tmp_path: Path) -> None:
    if binary is None:
        pytest.skip("no such server here")
    file = tmp_path / "users.acl"
    file.write_text("\n".join(role.rule(["main"], None) for role in ROLES.values()) + "\n")
    words = [
        binary,
        "--port",
        "0",
        "--unixsocket",
        str(tmp_path / "redis.sock"),
        "--dir",
        str(tmp_path),
        "--aclfile",
        str(file),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "hash" in done.stdout + done.stderr


def refusal(address: str, file: str) -> str:
    settings = load_settings(redis_url=address, redis_password_file=file)
    with Ledger.connect(settings, read_timeout_s=1) as ledger, pytest.raises(StoreUnavailable) as error:
        ledger.leader()
    return str(error.value)


def test_a_wrong_password_is_said(house: Secured) -> None:
    error = refusal(house.address("worker"), house.password_file("web"))
    assert error.startswith("Redis refuses the user name or the password: correct REACHQ_REDIS_URL")
    assert "REACHQ_REDIS_PASSWORD_FILE" in error
    no_user = house.address("worker").replace("reachq-main-worker", "default")
    assert refusal(no_user, house.password_file("web")) == error


def test_a_wrong_ca_is_said(house: Secured) -> None:
    error = refusal(house.address("worker", ca="other.pem"), house.password_file("worker"))
    assert error.startswith("The TLS certificate of Redis is not accepted")
    assert "in REACHQ_REDIS_URL, give the CA's certificate as ?ssl_ca_certs=FILE" in error
    elsewhere = house.address("worker").replace("@localhost:", "@127.0.0.1:")
    assert "IP address mismatch" in refusal(elsewhere, house.password_file("worker"))


def test_a_missing_right_is_said(house: Secured, tmp_path: Path) -> None:
    with Ledger.connect(settings_of(house, "worker", tmp_path)) as ledger, pytest.raises(StoreRefused) as error:
        ledger.pause("anna")
    assert "Redis does not permit this to the user of REACHQ_REDIS_URL" in str(error.value)
    assert "`reachq redis acl`" in str(error.value)
    with Ledger.connect(settings_of(house, "monitor", tmp_path)) as ledger, pytest.raises(StoreRefused):
        ledger.user("anna")


def test_a_server_without_tls_is_said(house: Secured, tmp_path: Path) -> None:
    plain = house.address("worker").replace(str(house.gateways["worker"].port), str(house.port))
    error = refusal(plain, house.password_file("worker"))
    assert re.match("No TLS connection to Redis|Redis does not answer the TLS handshake", error)
    assert "write redis://" in error


def test_a_client_certificate_that_is_missing_is_said(tmp_path: Path, certificates: Certificates) -> None:
    server = secured("redis 7", tmp_path, certificates, "--tls-auth-clients", "yes")
    try:
        address, file = server.address("worker"), server.password_file("worker")
        why = "Redis requires a client certificate"
        # Sometimes the closed connection is noticed before its reason has arrived.
        wait_until(lambda: refusal(address, file).startswith(why), 20, why)
        own = f"&ssl_certfile={certificates['client.pem']}&ssl_keyfile={certificates['client.key']}"
        with Ledger.connect(load_settings(redis_url=address + own, redis_password_file=file)) as ledger:
            assert ledger.workers() == []
    finally:
        server.stop()


def test_no_output_shows_a_password(tmp_path: Path, certificates: Certificates) -> None:
    """The password is in the URL, then it is wrong, then the server is gone: logs, answers and process titles."""
    server = secured("valkey", tmp_path, certificates)
    passwords = {name: Path(server.password_file(name)).read_text().strip() for name in ROLES}
    output: list[str] = []

    def environment(name: str, password: str) -> dict[str, str]:
        url = server.address(name).replace("@", f":{password}@")
        return {**clean_environment(), "REACHQ_REDIS_URL": url, "REACHQ_DATA": str(tmp_path), "REACHQ_QUICK": "1"}

    def titles() -> str:
        return "\n".join(" ".join(child.cmdline()) for child in psutil.Process(os.getpid()).children(recursive=True))

    log = tmp_path / "parts.log"
    with log.open("wb") as out:
        parts = [
            subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=environment(name, password), stdout=out, stderr=out
            )
            for name, module in (("dispatcher", "compat_dispatcher"), ("worker", "workers"))
            for password in (passwords[name], passwords[name] + "x")
        ]
    web = Web(environment("web", passwords["web"])["REACHQ_REDIS_URL"], tmp_path)
    try:
        for password in (passwords["operator"], passwords["operator"] + "x"):
            for line in TYPED:
                own = environment("operator", password)
                done = subprocess.run([REACHQ, *line.split()], env=own, capture_output=True, text=True, check=False)
                output += [done.stdout, done.stderr]
        wait_until(lambda: b"refuses the user name" in log.read_bytes(), 20, "a wrong password is logged")
        pages = (
            "/readyz",
            "/api/runs",
            "/api/bench",
            "/api/queue",
            "/metrics",
            "/board",
            "/rq/",
            "/rq/0/data/workers.json",
            "/nosuch",
        )
        for _ in range(2):
            output += [
                titles(),
                *(web.get(page).body.decode() for page in pages),
                web.get("/readyz", token=None).body.decode(),
            ]
            if server.answers():
                server.kill9()
        output += [log.read_text(), web.log.read_text()]
    finally:
        for process in (*parts, web.process):
            process.terminate()
        for process in (*parts, web.process):
            process.wait(15)
        server.stop()
    output += [log.read_text(), web.log.read_text()]
    assert any("Redis refuses the user name or the password" in text for text in output)
    assert not [text for text in output for password in passwords.values() if password in text]


@pytest.mark.parametrize(
    "bad", ["http://u:{}@h", "redis://u:{}@h:0", "rediss://u:{}@h?ssl_ca_certs=/none", "redis://h?password={}"]
)
def test_a_refused_address_shows_no_password(bad: str) -> None:
    for words in (["bench", "status"], ["up"], ["redis", "acl"]):
        environment = {**clean_environment(), "REACHQ_REDIS_URL": bad.format("s3cr3t")}
        done = subprocess.run([REACHQ, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert re.match("reachq: REACHQ_REDIS_URL: ", done.stderr), done.stderr
        assert "s3cr3t" not in done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["valkey", "redis 7"])
def test_runs_are_there_after_a_restart_of_the_server(kind: str, tmp_path: Path, certificates: Certificates) -> None:
    """A server reads its append-only file as the user `default`, whom the guide switches off."""
    assert DEFAULT_USER in (ROOT / "docs" / "operations.md").read_text()
    server = secured(kind, tmp_path, certificates, "--appendonly", "yes", "--appendfsync", "always")
    try:
        with Ledger.connect(settings_of(server, "operator", tmp_path)) as ledger:
            ledger.add_own_network(by="start")
            run, _ = ledger.submit(a_request(), user="ada")
            server.restart()
            wait_until(lambda: _answers(ledger), 10, "the ledger is connected again")
            assert ledger.run(run.id).user == "ada"
            assert [one.id for one in ledger.runs()[0]] == [run.id]
    finally:
        server.stop()


def _answers(ledger: Ledger) -> bool:
    try:
        return ledger.networks() != []
    except StoreUnavailable:
        return False


def test_a_network_that_the_rules_do_not_cover_is_not_added(house: Secured, tmp_path: Path) -> None:
    with Ledger.connect(settings_of(house, "operator", tmp_path)) as ledger:
        with pytest.raises(StoreRefused, match="reachq redis acl --network main --network branch"):
            ledger.add_network("branch", by="ada")
        assert ledger.network_names() == ["main"]
