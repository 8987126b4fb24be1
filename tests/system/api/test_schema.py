"""The API against its own OpenAPI document, asked by schemathesis: every operation, what fits it and what does not.

It looks for a 5xx, a status, a type or a document that is not described, what fits and is refused, what does not fit and
is accepted, and an answer without a token. It asks as each role, of runs that wait, have ended well and have failed,
and also follows what one answer says about the next. `schema.toml` beside this file says how it asks; the seed is fixed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.request_models import RunBody
from ledger.runs.records import Choice
from ledger.runs.requests import examine
from ledger.runs.run import Mode, Run
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.patience import patience
from tests.support.people import person
from tests.support.results import answer_with
from tests.support.runs import a_request, leading
from tests.support.web import TOKEN, Web
from tests.system.api.test_runs import RESULT

CONFIG = Path(__file__).with_name("schema.toml")
SHORT = "request-timeout = 0.3"
"""The limit for an endless response in CONFIG, for an idle machine."""
MINUTE_S = 60
ONE = re.compile(r"^/api/runs/[^/]+")
READS = {
    ("GET", path): {200}
    for path in ("/api/runs", "/api/queue", "/api/lanes", "/api/limits", "/api/bench", "/api/events")
}
ONE_RUN = {
    ("GET", "/api/runs/ID"): {200, 404},
    ("GET", "/api/runs/ID/log"): {200, 404},
    ("GET", "/api/runs/ID/result"): {200, 404, 409},
}
WRITES = {("POST", "/api/runs"): {202, 400, 415, 422}, ("DELETE", "/api/runs/ID"): {202, 404, 409}}
SEEN = {
    "admin": READS | ONE_RUN | WRITES | {("GET", "/readyz"): {200}},
    "viewer": READS | ONE_RUN | {operation: {403} for operation in WRITES},
    "user": READS | ONE_RUN | WRITES,
}
"""Statuses that each role must have received, so that the requests were useful."""


@pytest.fixture
def ready(settings: Settings) -> Iterator[None]:
    """A dispatcher that gives each waiting run a reason, a worker and a bench, for as long as the test takes."""
    over = threading.Event()

    def say() -> None:
        with Ledger.connect(settings) as ledger:
            while True:
                ledger.lead("d1")
                ledger.announce("w1", "main-quick-0", Mode.QUICK, 1)
                ledger.report_bench({"state": "up", "facts": "3f2a"})
                ledger.explain({run.run_id: ("bench-full", "all lanes are in use") for run in ledger.view().waiting})
                if over.wait(0.3):
                    return

    thread = threading.Thread(target=say)
    thread.start()
    yield
    over.set()
    thread.join()


def begun(ledger: Ledger, owner: str) -> Run:
    """A run that a worker has begun."""
    run, _ = ledger.submit(a_request(), user=owner)
    ledger.announce("w2", "main-quick-1", Mode.QUICK, 1)
    ledger.promote(leading(ledger), [Choice(run.id, Mode.QUICK, "main-quick-1")])
    found = ledger.begin(run.id, "w2")
    assert found is not None
    return found


def some_runs(ledger: Ledger, owner: str) -> list[str]:
    """Runs: one with a result, one that failed, one of another user, and some waiting ones to cancel one after another."""
    done = begun(ledger, owner)
    ledger.finish(done.id, done.token, answer_with({**RESULT, "run_id": done.id}))
    failed = begun(ledger, owner)
    ledger.fail(failed.id, failed.token, "the bench refused facts")
    others, _ = ledger.submit(a_request(), user="anna")
    return [done.id, failed.id, others.id, *(ledger.submit(a_request(), user=owner)[0].id for _ in range(4))]


def ask(web: Web, token: str, runs: list[str], folder: Path) -> tuple[int, str, dict[tuple[str, str], set[int]]]:
    """Exit status, output, and the statuses of each operation."""
    config = CONFIG.read_text()
    assert SHORT in config
    (folder / "schema.toml").write_text(config.replace(SHORT, f"request-timeout = {patience(0.3):.1f}"))
    (folder / "runs.dict").write_text("".join(f'"{run}"\n' for run in runs))
    report = folder / "asked.har"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schema.toml"),
            *("run", f"http://127.0.0.1:{web.port}/api/openapi.json", "--report-har-path", str(report)),
            *("-H", f"Authorization: Bearer {token}"),
        ],
        cwd=folder, capture_output=True, text=True, timeout=patience(2 * MINUTE_S),
        env={**os.environ, "NO_PROXY": "127.0.0.1", "COLUMNS": "120"},
    )  # fmt: skip
    statuses: dict[tuple[str, str], set[int]] = defaultdict(set)
    for entry in json.loads(report.read_text())["log"]["entries"]:
        path = "/" + entry["request"]["url"].split("/", 3)[3].partition("?")[0]
        statuses[entry["request"]["method"], ONE.sub("/api/runs/ID", path)].add(entry["response"]["status"])
    return done.returncode, done.stdout + done.stderr, statuses


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("role", SEEN)
def test_the_api_keeps_to_its_document(web: Web, ledger: Ledger, tmp_path: Path, role: str) -> None:
    somebody = person(ledger, "somebody", role)
    runs = some_runs(ledger, "somebody")
    returncode, printed, statuses = ask(web, somebody.token, runs, tmp_path)
    assert returncode == 0, printed
    for operation, expected in SEEN[role].items():
        assert statuses[operation] >= expected, (operation, statuses[operation])
    if role == "viewer":
        for operation in WRITES:
            assert statuses[operation] <= {401, 403, 405}, "a viewer is told nothing else"


@pytest.mark.parametrize(
    ("query", "last", "status"),
    [
        ("", "", 200), ("", "0-0", 200), ("?with=board", "1763900000000", 200), ("?with=", "", 422), ("?with=all", "", 422),
        ("?with=board&with=board", "", 422), ("?limit=1", "", 422), ("", "x", 422), ("", "0--1", 422), ("", "9" * 21, 422),
    ],
)  # fmt: skip
def test_a_stream_is_asked_for_as_described(web: Web, query: str, last: str, status: int) -> None:
    headers = {"Last-Event-ID": last} if last else {}
    answer = web.call("HEAD", f"/api/events{query}", headers=headers, token=TOKEN)
    kind = "text/event-stream" if status == 200 else "application/problem+json"
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (status, kind)
    operation = web.get("/api/openapi.json").json["paths"]["/api/events"]["get"]
    assert kind in operation["responses"][str(status)]["content"]


@pytest.mark.parametrize("text", ["1_0", "+5", "5.0", " 5", "5 ", "٣", "0x5", "1e1", "--5", ""])
def test_a_number_is_written_in_digits(web: Web, text: str) -> None:
    from urllib.parse import quote

    for path in ("/api/runs", "/api/queue"):
        answer = web.get(f"{path}?limit={quote(text)}")
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "limit")


def test_an_address_the_document_takes_the_parser_takes() -> None:
    """And vice versa, except for 255.0.0.0/8, of which only the broadcast address is refused."""
    pattern = re.compile(RunBody.model_json_schema()["properties"]["source"]["pattern"])
    for octet in range(300):
        for text in (
            f"{octet}.0.9.255",
            f"10.{octet}.0.{octet}",
            f"0{octet}.1.1.1",
            f"10.1.1.0{octet}",
            f"10.1.{octet}",
        ):
            request, _ = examine(text, "10.3.20.8", "22", "quick", None)
            taken = request is not None and not text.startswith("255.")
            assert bool(pattern.search(text)) == taken, text
