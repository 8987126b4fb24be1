"""The command line on another machine: with REACHQ_URL and REACHQ_TOKEN, and without Redis."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.running import CAMPUS, REACHQ, System, clean_environment

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("remote") / "data", options=["--no-first"], quick=4)
    yield system.ready()
    system.close()


def remote(system: System, *words: str, **settings: str) -> Done:
    """Run a command as on a machine that has only the address and a token."""
    token = (system.data / "token").read_text().strip()
    environment = clean_environment() | {"HOME": "/nonexistent", "REACHQ_URL": system.url, "REACHQ_TOKEN": token}
    return run(environment | settings, *words)


def run(environment: dict[str, str], *words: str) -> Done:
    return subprocess.run(
        [str(REACHQ), *words], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_test_is_submitted_and_its_result_shown(system: System) -> None:
    done = remote(system, "submit", "10.1.10.20", "10.3.20.8", "22,443", "--wait")
    assert (done.returncode, "is blocked by dc-fw" in done.stdout) == (1, True), done.stderr
    listed = json.loads(remote(system, "list", "--json").stdout)["runs"][0]
    assert listed["verdict"] == "NO"
    assert remote(system, "show", listed["id"][:8]).stdout == done.stdout
    document = json.loads(remote(system, "show", listed["id"], "--json").stdout)
    assert [service["result"] for service in document["services"]] == ["NO", "YES"]


def test_a_yes_is_exit_code_0_and_a_detailed_run_works(system: System) -> None:
    assert remote(system, "submit", "10.1.10.20", "10.3.20.8", "443", "--wait").returncode == 0
    done = remote(system, "submit", "10.1.10.20", "10.3.20.8", "443", "--mode", "detailed", "--wait")
    assert (done.returncode, "YES" in done.stdout) == (0, True), done.stderr


def test_without_wait_the_run_can_be_shown_and_cancelled(system: System) -> None:
    done = remote(system, "submit", "10.1.10.20", "10.3.20.8", "443")
    run_id = done.stdout.split()[1]
    assert remote(system, "submit", "10.1.10.20", "10.3.20.8", "443", "--json").returncode == 0
    done = remote(system, "cancel", run_id)
    assert done.returncode in (0, 4), "it may have ended"


@pytest.mark.parametrize(
    ("words", "settings", "code", "message"),
    [
        (["submit", "10.1.10.20", "10.1.10.20", "443"], {}, 2, "destination"),
        (["show", "ffffffff"], {}, 2, "None of the newest 500 runs"),
        (["show", "x y"], {}, 2, "is not a valid run id"),
        (["queue"], {}, 2, "this command needs Redis"),
        (["list", "--network", "nosuch"], {}, 2, "There is no network nosuch"),
        (["list"], {"REACHQ_TOKEN": "wrong"}, 4, "no valid session or token"),
        (["list"], {"REACHQ_TOKEN": ""}, 2, "REACHQ_TOKEN"),
        (["list"], {"REACHQ_URL": "127.0.0.1:8080"}, 2, "is not an address of a web server"),
        (["list"], {"REACHQ_URL": "http://ada:secret@127.0.0.1"}, 2, "must not contain a user"),
        (["list"], {"REACHQ_URL": "http://127.0.0.1:1"}, 4, "does not answer: Connection refused"),
        (["list"], {"REACHQ_URL": "https://no-such-host.invalid"}, 4, "there is no such host"),
    ],
)
def test_what_cannot_be_done_says_why(
    system: System, words: list[str], settings: dict[str, str], code: int, message: str
) -> None:
    done = remote(system, *words, **settings)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_token_is_not_sent_to_another_address(system: System, tmp_path: Path) -> None:
    """A server that answers with a redirect, or with something else than reachq."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            if self.path.startswith("/api"):
                self.send_response(302)
                self.send_header("Location", "/stolen")
            else:
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = remote(system, "list", REACHQ_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (done.returncode, seen) == (4, ["/api/runs?limit=20&offset=0"])
    assert "answered with status 302; is REACHQ_URL the address of reachq?" in done.stderr


def test_a_data_folder_wins_over_the_address(system: System) -> None:
    environment = {**clean_environment(), "REACHQ_URL": "http://127.0.0.1:1", "REACHQ_TOKEN": "x"}
    done = run(environment, "queue", "--data", os.fspath(system.data))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def own(tmp_path: Path) -> Iterator[System]:
    """A system for one test, which may leave benches open."""
    system = System(tmp_path / "data", options=["--no-first"], quick=1)
    yield system.ready()
    system.close()


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The sample network without one rule of dc-fw."""
    folder = tmp_path / "changed"
    shutil.copytree(CAMPUS, folder)
    file = folder / "dc-fw" / "iptables.rules"
    rule = "-A to-servers -d 10.3.20.0/24 -p udp -m udp --dport 53 -j ACCEPT\n"
    text = file.read_text()
    assert rule in text
    file.write_text(text.replace(rule, ""))
    return folder


def test_a_change_is_compared(own: System, changed: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("10.1.10.20, 10.3.20.53, 53/udp\n10.1.10.20, 10.3.20.8, 443\n")
    done = remote(own, "diff", "current", str(changed), "--rows", str(rows))
    assert (done.returncode, done.stderr) == (1, "")
    assert "10.1.10.20 no longer reaches 10.3.20.53 on 53/udp: dc-fw drops it" in done.stdout
    expectation = tmp_path / "change.yaml"
    expectation.write_text("version: 1\nlost:\n  - {from: 10.1.10.0/24, to: 10.3.20.53, services: 53/udp}\n")
    done = remote(own, "diff", "current", str(changed), "--rows", str(rows), "--expect", str(expectation), "--json")
    assert (done.returncode, json.loads(done.stdout)["impact"]["counts"]["lost"]) == (0, 1)
    done = remote(own, "diff", "current", str(CAMPUS), "--rows", str(rows))
    assert (done.returncode, "nothing changed, so nothing was asked" in done.stderr) == (0, True), done.stderr
    done = remote(own, "diff", "current", "ffff", "--rows", str(rows))
    assert (done.returncode, "There is no snapshot ffff" in done.stderr) == (2, True), done.stderr
    rows.write_text("10.1.10.20, 10.1.10.20, 443\n")
    done = remote(own, "diff", "current", str(changed), "--rows", str(rows))
    assert (done.returncode, "rows.txt:1: destination" in done.stderr) == (2, True)


def test_a_folder_is_pushed_and_one_that_does_not_load_is_refused(own: System, changed: Path) -> None:
    done = remote(own, "facts", "push", str(changed), "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "ready"), done.stderr
    before = json.loads(remote(own, "facts", "push", str(CAMPUS), "--use", "--json").stdout)
    assert (before["state"], before["current"]) == ("ready", True)
    with (changed / "dc-fw" / "iptables.rules").open("a") as file:
        file.write("*filter\n-A FORWARD -j NOSUCHTARGET\nCOMMIT\n")
    done = remote(own, "facts", "push", str(changed))
    assert (done.returncode, "dc-fw/iptables.rules" in done.stdout + done.stderr) == (2, True), done.stdout
    done = remote(own, "diff", "current", str(changed))
    assert (done.returncode, "dc-fw/iptables.rules" in done.stderr) == (2, True), done.stderr
