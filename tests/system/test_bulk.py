"""Bulk runs on a real system: rows of a file, batches over the API, cancellation, dead workers, snapshots, damage."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from ledger.redis import keys
from ledger.runs.bulk import BulkRequest, numbered
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.settings import load_settings
from ledger.store import Ledger
from netlab.facts import reader
from netlab.results.bulk import BulkResult, decode_bulk
from tests.support.patience import patience
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, REACHQ, System

SOURCE, DESTINATION = "10.1.10.20", "10.3.20.8"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for all tests of this file; a lost worker is noticed after 3 s."""
    data = tmp_path_factory.mktemp("bulk") / "data"
    running = System(data, options=["--no-first"], settings={"REACHQ_LEASE_MS": "3000"}).ready()
    yield running
    running.end()
    running.assert_gone()
    running.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[System]:
    """A system for one test, which leaves it with other processes."""
    running = System(tmp_path / "data", options=["--no-first"], settings={"REACHQ_LEASE_MS": "3000"}).ready()
    yield running
    running.close()


@pytest.fixture
def ledger(system: System) -> Iterator[Ledger]:
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger


@pytest.fixture
def stored(ledger: Ledger) -> redis.Redis:
    """A client of the system's own Redis."""
    return ledger.connection.client


def rows(count: int) -> str:
    """Rows in file order, with a comment, and a blocked service in every third one."""
    lines = [f"10.1.10.{20 + n % 40},{DESTINATION},{22 if n % 3 == 0 else 443}" for n in range(1, count + 1)]
    return "\n".join(["# source, destination, services", *lines])


def many(count: int = 256, services: int = 40) -> BulkRequest:
    """A bulk run that takes several seconds: the bench needs about a ms for each service."""
    asked = [
        RunRequest.parse(SOURCE, DESTINATION, f"{1000 + n}-{999 + n + services}", Mode.QUICK) for n in range(count)
    ]
    return BulkRequest(tuple(numbered(asked)))


def under_way(ledger: Ledger, run: Run, percent: int = 1) -> Run:
    """The run when the bench has answered some of its questions."""

    def has_answers() -> bool:
        log = ledger.log(run.id)
        return bool(log) and percent <= log[-1].percent < 100

    wait_until(has_answers, 30, "some questions are answered")
    return ledger.run(run.id)


def ended(ledger: Ledger, run: Run, timeout_s: float = 90) -> Run:
    wait_until(lambda: ledger.run(run.id).state in ENDED, timeout_s, "the run has ended")
    return ledger.run(run.id)


def result(ledger: Ledger, run: Run) -> BulkResult:
    text = ledger.result(run.id)
    assert text, f"{run.state}: {run.error}"
    return decode_bulk(text)


def call(system: System, path: str, body: object = None, key: str = "") -> Any:
    """The JSON reply of a request to the API."""
    headers = {"Authorization": f"Bearer {(system.data / 'token').read_text().strip()}"}
    headers |= {"Content-Type": "application/json"} if body else {}
    headers |= {"Idempotency-Key": key} if key else {}
    request = urllib.request.Request(f"{system.url}{path}", json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=patience(30)) as reply:
        return json.load(reply)


def test_300_rows_of_a_file(system: System, ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"{rows(300)}\n{SOURCE},{DESTINATION},443,detailed\n")
    done = system.run("submit", "--file", str(file), "--wait")
    assert done.returncode == 1, done
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(2, 303))
    assert lines[0].split() == ["2", "YES", "forward", "path", "10.1.10.21", "→", DESTINATION, "443/tcp"]
    assert lines[2].split()[1:] == ["NO", "10.1.10.23", "→", DESTINATION, "22/tcp", "dc-fw", "iptables.rules:4"]
    assert lines[-1].split()[:2] == ["302", "YES"]
    newest, _ = ledger.search(limit=3)
    assert sorted((run.mode, run.questions) for run in newest) == [("bulk", 150), ("bulk", 150), ("detailed", 1)]
    shown = system.run("show", next(run.id for run in newest if run.mode is Mode.BULK))
    assert shown.returncode == 1
    assert shown.stdout.startswith("150 questions: 100 YES, 50 NO")
    for command in ("list", "queue"):
        assert "150 questions: 10.1.10." in system.run(command).stdout, command


def test_rows_as_json_and_csv(system: System) -> None:
    done = system.run("submit", "--file", "-", "--wait", "--json", typed=rows(4))
    document = json.loads(done.stdout)
    assert [(row["line"], row["verdict"]) for row in document["answers"]] == [
        (2, "YES"),
        (3, "YES"),
        (4, "NO"),
        (5, "YES"),
    ]
    assert [run["questions"] for run in document["runs"]] == [4]
    done = system.run("submit", "--file", "-", "--wait", "--csv", typed=rows(2))
    assert done.returncode == 0
    assert [row["answer"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["YES", "YES"]
    done = system.run("submit", "--file", "-", "--json", typed=rows(2))
    assert [run["state"] for run in json.loads(done.stdout)["runs"]] == ["pending"]


def test_a_wrong_row_submits_nothing(system: System, ledger: Ledger) -> None:
    before = ledger.search(limit=1)[1]
    wrong = f"{rows(2)}\n{SOURCE},{DESTINATION},http3\n10.1.10.300,{DESTINATION},22"
    done = system.run("submit", "--file", "-", "--wait", typed=wrong)
    assert (done.returncode, done.stdout) == (2, "")
    first, second, last = done.stderr.splitlines()
    assert first.startswith("line 4: services: 'http3'")
    assert second.startswith("line 5: source: '10.1.10.300'")
    assert last == "reachq: nothing was submitted: 2 of 4 rows are invalid"
    assert ledger.search(limit=1)[1] == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--file", "/nonexistent"), "file: '/nonexistent' cannot be read: No such file or directory"),
        (("--file", "-"), "file: '-' has no rows"),
        (("--file", "-", SOURCE, DESTINATION, "22"), "give either --file, or SOURCE, DESTINATION and SERVICES"),
        (("--file", "-", "--csv"), "give --csv with --wait"),
        ((SOURCE, DESTINATION), "Missing argument 'SERVICES'"),
        (("--file", "-", "--mode", "bulk"), "mode: 'bulk' is not a valid mode: use quick or detailed"),
    ],
)
def test_a_wrong_command(system: System, words: tuple[str, ...], says: str) -> None:
    done = system.run("submit", *words)
    assert (done.returncode, says in done.stderr) == (2, True), done


def test_ctrl_c_stops_the_waiting_not_the_runs(system: System, ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(f"{SOURCE},{DESTINATION},{1000 + n}-{1039 + n}" for n in range(256)))
    command = subprocess.Popen(
        [REACHQ, "submit", "--file", str(file), "--wait"],
        env={**system.environment, "REACHQ_DATA": str(system.data)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any(run.questions == 256 for run in ledger.queue().running), 30, "the run is under way")
    (run,) = ledger.queue().running
    under_way(ledger, run, 20)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=patience(10))
    assert command.returncode == 4
    assert "1 run submitted, not stopped by the end of this command: `reachq show RUN` shows a run" in errors
    assert run.id[:8] in errors
    assert " of 256 questions answered" in errors
    assert ledger.run(run.id).state is State.RUNNING
    assert system.run("cancel", run.id[:8]).returncode == 0
    assert ended(ledger, run, 10).state is State.CANCELLED


def test_a_batch_over_the_api(system: System, ledger: Ledger) -> None:
    questions = [{"source": SOURCE, "destination": DESTINATION, "services": f"443,{1000 + n}"} for n in range(300)]
    runs = call(system, "/api/batches", {"questions": questions}, key="batch-1")["runs"]
    again = call(system, "/api/batches", {"questions": questions}, key="batch-1")["runs"]
    assert [run["id"] for run in runs] == [run["id"] for run in again]
    lines = []
    for run in runs:
        assert call(system, f"/api/runs/{run['id']}?wait=30")["state"] == "done"
        page = call(system, f"/api/runs/{run['id']}/answers?verdict=NO&text=dc-fw&limit=500")
        assert (page["matching"], page["totals"]) == (150, {"YES": 0, "NO": 150, "UNKNOWN": 0})
        assert {answer["services"][1]["rule"]["file"] for answer in page["answers"]} == {"dc-fw/iptables.rules"}
        lines += [answer["line"] for answer in page["answers"]]
        assert len(call(system, f"/api/runs/{run['id']}/result")["answers"]) == 150
    assert lines == list(range(1, 301))


def test_a_run_is_cancelled_in_the_middle(ledger: Ledger, system: System) -> None:
    run, _ = ledger.submit_bulk(many())
    under_way(ledger, run)
    assert ledger.cancel(run.id).cancelling
    after = ended(ledger, run, 10)
    assert (after.state, ledger.result(run.id)) == (State.CANCELLED, None)
    small, _ = ledger.submit_bulk(many(3, 2))
    assert ended(ledger, small, 20).state is State.DONE, "its lane and worker are free again"


def test_a_killed_worker_is_replaced_and_all_is_answered_once(own: System) -> None:
    with Ledger.connect(load_settings(data=own.data)) as ledger:
        run, _ = ledger.submit_bulk(many())
        worker = psutil.Process(int(under_way(ledger, run).worker.rpartition(".")[2]))
        worker.kill()
        after = ended(ledger, run)
        assert (after.state, after.attempt) == (State.DONE, 2), after.error
        assert [answer.line for answer in result(ledger, after).answers] == list(range(1, 257))


def test_a_named_snapshot_is_asked(own: System, tmp_path: Path) -> None:
    folder = tmp_path / "campus"
    shutil.copytree(CAMPUS, folder)
    rules = folder / "dc-fw" / "iptables.rules"
    rules.write_text(rules.read_text().replace(":FORWARD DROP", ":FORWARD ACCEPT"))
    assert own.run("facts", "push", str(folder)).returncode == 0
    facts = reader.load(folder).digest
    body = {"questions": [{"source": SOURCE, "destination": DESTINATION, "services": "22"}], "snapshot": facts[:6]}
    (document,) = call(own, "/api/batches", body)["runs"]
    with Ledger.connect(load_settings(data=own.data)) as ledger:
        run = ended(ledger, ledger.run(document["id"]))
        assert (run.state, run.snapshot) == (State.DONE, facts), run.error
        found = result(ledger, run)
        assert found.facts == facts
        assert found.answers[0].services[0].blocked_by == ("dc-core",)
        assert ledger.current_snapshot() != facts


@pytest.mark.parametrize("damage", ["[", None, "wrong type"])
def test_damaged_questions_fail_with_a_reason_and_hold_nothing_up(
    ledger: Ledger, stored: redis.Redis, damage: str | None
) -> None:
    ledger.pause("test")
    run, _ = ledger.submit_bulk(many(5, 1))
    key = keys.questions(run.id)
    stored.delete(key)
    if damage == "wrong type":
        stored.sadd(key, "x")
    elif damage:
        stored.set(key, damage)
    behind, _ = ledger.submit_bulk(many(5, 1))
    ledger.resume("test")
    after = ended(ledger, run, 30)
    assert (after.state, "questions" in after.error) == (State.FAILED, True), after.error
    assert ended(ledger, behind, 30).state is State.DONE
