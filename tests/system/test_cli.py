"""The `reachq` command against a real system: results, exit codes, documents, and error messages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.bench_documents import BenchDocument
from app.api.documents import CancelDocument, LanesDocument, QueueDocument, RunDocument, RunPage
from ledger.settings import load_settings
from ledger.store import Ledger
from netlab.facts.reader import COLLECT_COMMANDS
from tests.support.bench_report import reported
from tests.support.patience import patience
from tests.support.results import read
from tests.support.server import Server, die_with_parent
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, REACHQ, ROOT, System, clean_environment

SOURCE, DESTINATION = "10.1.10.20", "10.3.20.8"
MIXED = "22,80,443/tcp,53/udp,icmp"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for all tests of this file."""
    running = System(tmp_path_factory.mktemp("cli") / "data", options=["--no-first"]).ready()
    yield running
    running.end()
    running.assert_gone()
    running.close()


@pytest.fixture
def record(system: System) -> Iterator[Ledger]:
    """The system's own ledger, to prepare states and to check the data."""
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger


def test_all_yes_is_exit_0(system: System) -> None:
    done = system.run("submit", SOURCE, DESTINATION, "80,443,icmp", "--wait")
    assert done.returncode == 0, done
    assert f"{SOURCE} → {DESTINATION}  YES" in done.stdout


def test_a_no_is_exit_1_and_names_who_blocks(system: System) -> None:
    done = system.run("submit", SOURCE, DESTINATION, MIXED, "--wait")
    assert done.returncode == 1, done
    assert f"{SOURCE} → {DESTINATION}  NO" in done.stdout
    assert "22/tcp from 10.1.10.20 to 10.3.20.8 is blocked by dc-fw, policy DROP of FORWARD" in done.stdout
    assert "path  hq-core → hq-gw → wan-1 → dc-gw → dc-fw → dc-core" in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.strip().startswith("router "))
    assert header.split() == ["router", "in", "→", "out", "22/tcp", "80/tcp", "443/tcp", "53/udp", "icmp"]


def test_what_a_rule_decided_is_counted(system: System, record: Ledger) -> None:
    facts = reported(record).facts
    before = record.rule_hits(facts)
    system.run("submit", SOURCE, DESTINATION, "22,53/udp", "--wait")
    after = record.rule_hits(facts)
    more = {name: hits - before.get(name, (0, 0))[0] for name, (hits, _) in after.items()}
    assert more["dc-gw/iptables.rules:13"] == 1
    assert any(count and name.startswith("dc-core/nft.rules:") for name, count in more.items())


def test_the_result_document(system: System) -> None:
    done = system.run("submit", SOURCE, DESTINATION, MIXED, "--wait", "--json")
    document = json.loads(done.stdout)
    read(document)
    assert done.returncode == 1
    assert document["source"] == SOURCE
    assert [service["result"] for service in document["services"]] == ["NO", "YES", "YES", "NO", "YES"]
    again = system.run("show", document["run_id"], "--json")
    assert json.loads(again.stdout) == document
    assert again.returncode == 1


def test_the_source_port_is_taken(system: System) -> None:
    done = system.run("submit", SOURCE, DESTINATION, "80", "--source-port", "31337", "--wait", "--json")
    assert json.loads(done.stdout)["source_port"] == 31337


def test_submit_without_waiting_prints_the_id(system: System) -> None:
    done = system.run("submit", SOURCE, DESTINATION, "80")
    assert done.returncode == 0
    (run_id,) = re.findall(r"[0-9a-f-]{36}", done.stdout)
    wait_until(lambda: system.run("show", run_id[:13]).returncode == 0, 10, "it is answered")
    as_json = json.loads(system.run("submit", SOURCE, DESTINATION, "80", "--json").stdout)
    RunDocument.model_validate(as_json)
    assert "token" not in as_json


def test_a_hundred_services_fit(system: System) -> None:
    done = system.run("submit", SOURCE, DESTINATION, "9000-9098,icmp", "--wait")
    assert done.returncode == 1
    assert "9000-9098/tcp from 10.1.10.20 to 10.3.20.8 are blocked by" in done.stdout


BAD_INPUT = {
    "no address": (["10.1.10.300", DESTINATION, "22"], "source: '10.1.10.300'"),
    "a name": ([SOURCE, "server.example", "22"], "destination: 'server.example' is a name"),
    "itself": ([SOURCE, SOURCE, "22"], "is also the source"),
    "no services": ([SOURCE, DESTINATION, ""], "services:"),
    "bad port": ([SOURCE, DESTINATION, "22,99999"], "99999"),
    "bad service": ([SOURCE, DESTINATION, "22,nonsense/tcp"], "nonsense"),
    "too many": ([SOURCE, DESTINATION, "1-101"], "100"),
    "bad mode": ([SOURCE, DESTINATION, "22", "--mode", "slow"], "mode: 'slow'"),
    "too many for detailed": ([SOURCE, DESTINATION, "1-51", "--mode", "detailed"], "at most 50"),
    "bad source port": ([SOURCE, DESTINATION, "22", "--source-port", "0"], "source_port"),
    "no number": ([SOURCE, DESTINATION, "22", "--source-port", "x"], "--source-port"),
    "too few words": ([SOURCE], "Missing argument"),
    "unknown option": ([SOURCE, DESTINATION, "22", "--fast"], "--fast"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_exit_2_in_one_line_and_nothing_is_stored(system: System, record: Ledger, case: str) -> None:
    words, message = BAD_INPUT[case]
    before = record.runs()[1]
    done = system.run("submit", *words)
    assert done.returncode == 2, done
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("reachq: ")
    assert not done.stdout
    assert record.runs()[1] == before


def test_list_and_its_pages(system: System) -> None:
    for port in (1001, 1002, 1003):
        system.run("submit", SOURCE, DESTINATION, str(port), "--wait")
    page = json.loads(system.run("list", "--limit", "2", "--json").stdout)
    RunPage.model_validate(page)
    assert len(page["runs"]) == 2
    assert page["total"] >= 3
    text = system.run("list", "--limit", "2").stdout
    assert page["runs"][0]["id"][:8] in text
    assert "continue with --offset 2" in text
    assert "1003/tcp" in text
    following = json.loads(system.run("list", "--limit", "2", "--offset", "2", "--json").stdout)
    assert page["runs"][0]["id"] not in {run["id"] for run in following["runs"]}
    assert system.run("list", "--state", "failed").stdout.strip() == "no runs yet"


def test_queue_lanes_and_bench(system: System) -> None:
    wait_until(lambda: "nothing is running" in system.run("queue").stdout, 10, "the queue is idle")
    assert "nothing is waiting" in system.run("queue").stdout
    QueueDocument.model_validate_json(system.run("queue", "--json").stdout)
    assert "all 32 lanes are free (DSCP 32-63)" in system.run("lanes").stdout
    lanes = LanesDocument.model_validate_json(system.run("lanes", "--json").stdout)
    assert [lane.dscp for lane in lanes.lanes] == list(range(32, 64))
    text = system.run("bench", "status").stdout
    assert "11 routers" in text
    assert "leader" in text
    assert "4 quick (0 busy)" in text
    BenchDocument.model_validate_json(system.run("bench", "status", "--json").stdout)


def test_pause_and_resume(system: System, record: Ledger) -> None:
    done = system.run("bench", "pause", "--why", "new facts")
    assert done.returncode == 0, done
    assert re.fullmatch(r"the bench is paused by \S+, 0 s ago: new facts\n", done.stdout)
    try:
        assert "nothing changed" in system.run("bench", "pause").stdout
        assert "paused   the bench is paused by" in system.run("bench", "status").stdout
        (run_id,) = re.findall(r"[0-9a-f-]{36}", system.run("submit", SOURCE, DESTINATION, "80").stdout)
        wait_until(lambda: record.run(run_id).wait_code == "paused", 5, "the run waits for it")
        queue = system.run("queue").stdout
        assert queue.startswith("the bench is paused by ")
        assert re.search(r"the bench is paused by \S+: new facts\n", queue)
        assert system.run("bench", "pause", "--why", "x" * 201).returncode == 2
    finally:
        assert "resumed" in system.run("bench", "resume").stdout
    wait_until(lambda: record.run(run_id).verdict == "YES", 10, "it is answered")
    assert system.run("bench", "resume").stdout == "the bench is not paused\n"


def test_a_run_is_found_by_the_start_of_its_id(system: System, record: Ledger) -> None:
    system.run("submit", SOURCE, DESTINATION, "443", "--wait")
    run = record.runs(limit=1)[0][0]
    assert system.run("show", run.id[:8]).returncode == 0
    assert system.run("show", run.id[:8].upper()).returncode == 0
    unknown = system.run("show", "0" * 36)
    assert unknown.returncode == 2
    assert "no run" in unknown.stderr
    for word in ("", "zzz", "../..", "*"):
        done = system.run("show", word)
        assert done.returncode == 2
        assert "is not a valid run id" in done.stderr
    ids = [found.id for found in record.runs(limit=500)[0]]
    shared = next((a[0] for a in ids for b in ids if a != b and a[0] == b[0]), None)
    if shared:
        assert "give more of the id" in system.run("show", shared).stderr


def test_cancel_an_ended_run(system: System, record: Ledger) -> None:
    system.run("submit", SOURCE, DESTINATION, "443", "--wait")
    done = system.run("cancel", record.runs(limit=1)[0][0].id)
    assert done.returncode == 2
    assert "ended" in done.stderr


def stopped(system: System) -> Iterator[None]:
    """The pool's workers are stopped, so that submitted runs stay under way; then they continue."""
    pool = system.parts("-m workers")
    for process in pool:
        process.suspend()
    yield
    for process in pool:
        process.resume()


@pytest.fixture
def standstill(system: System) -> Iterator[None]:
    """No worker moves while the test runs; runs wait. Afterwards the system is as before."""
    yield from stopped(system)
    wait_until(
        lambda: system.run("submit", SOURCE, DESTINATION, "80", "--wait").returncode == 0, 30, "it answers again"
    )


@pytest.mark.usefixtures("standstill")
def test_ctrl_c_stops_waiting_and_not_the_run(system: System, record: Ledger) -> None:
    before = record.runs()[1]
    waiter = subprocess.Popen(
        [REACHQ, "submit", SOURCE, DESTINATION, "80", "--wait"],
        env={**system.environment, "REACHQ_DATA": str(system.data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    wait_until(lambda: record.runs()[1] > before, 10, "it is submitted")
    view = record.queue()
    run = [*view.running, *view.waiting][0]
    waiter.send_signal(signal.SIGINT)
    out, err = waiter.communicate(timeout=patience(10))
    assert waiter.returncode == 4
    assert f"run {run.id[:8]} continues" in err or f"while run {run.id[:8]} was submitted" in err
    assert "Traceback" not in out + err
    shown = system.run("show", run.id)
    assert shown.returncode == 4
    assert run.id in shown.stdout
    assert system.run("cancel", run.id).returncode == 0


@pytest.mark.usefixtures("standstill")
def test_the_queue_says_why_a_run_waits(system: System, record: Ledger) -> None:
    """Four workers stand still: a while later none counts as live, and the fifth run waits for one."""
    ids = [json.loads(system.run("submit", SOURCE, DESTINATION, "80", "--json").stdout)["id"] for _ in range(6)]
    wait_until(lambda: any(run.wait_reason for run in record.queue().waiting), 15, "a reason is given")
    view = record.queue()
    text = system.run("queue").stdout
    first = next(run for run in view.waiting if run.wait_reason)
    assert first.id[:8] in text
    assert re.search(rf"\d\.\s+{first.id[:8]}.*\S", text)
    document = QueueDocument.model_validate_json(system.run("queue", "--json").stdout)
    assert [run.position for run in document.waiting] == list(range(1, len(document.waiting) + 1))
    done = system.run("cancel", first.id[:12])
    assert done.returncode == 0
    assert f"run {first.id[:8]} has been cancelled" in done.stdout
    assert "cancelled" in system.run("show", first.id).stdout
    for run_id in ids:
        system.run("cancel", run_id)


@pytest.mark.usefixtures("standstill")
def test_several_runs_are_cancelled_at_once(system: System, record: Ledger) -> None:
    """By filter, or all. It asks before, and a script says --yes."""
    assert system.run("cancel", "--all", "--yes").returncode == 0
    for services in ("80", "80", "53/udp"):
        system.run("submit", SOURCE, DESTINATION, services)
    asked = system.run("cancel", "--text", "80", typed="n\n")
    assert asked.stdout == "Cancel 2 waiting or running runs? [y/N]: nothing was done\n"
    asked = system.run("cancel", "--text", "80", typed="y\n")
    assert asked.stdout.endswith("2 runs have been cancelled\n")
    rest = json.loads(system.run("cancel", "--all", "--json").stdout)
    assert CancelDocument.model_validate(rest) == CancelDocument(cancelled=1, cancelling=0)
    assert system.run("cancel", "--all").stdout == "no waiting or running run matches\n"
    assert not record.queue().waiting
    for wrong in (["cancel"], ["cancel", "abc", "--all"], ["cancel", "--state", "done"]):
        assert system.run(*wrong).returncode == 2, wrong


NOT_HERE = [
    ["list"],
    ["queue"],
    ["lanes"],
    ["host", "list"],
    ["host", "drain", "local"],
    ["show", "abc"],
    ["cancel", "abc"],
    ["bench", "status"],
    ["submit", SOURCE, DESTINATION, "80"],
]


@pytest.mark.parametrize("words", NOT_HERE, ids=" ".join)
def test_without_a_system_it_says_how_to_start_one(words: list[str], tmp_path: Path) -> None:
    for where in ({"REACHQ_DATA": str(tmp_path)}, {"REACHQ_REDIS_URL": f"unix://{tmp_path}/none.sock"}):
        done = subprocess.run(
            [REACHQ, *words], env={**clean_environment(), **where}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 4
        assert len(done.stderr.splitlines()) == 1
        assert "reachq up" in done.stderr or "REACHQ_REDIS_URL" in done.stderr
        assert not done.stdout


def test_a_server_that_cannot_write_is_named_and_may_still_be_read(tmp_path: Path) -> None:
    """As with a full disk: it refuses every write, and PING with them."""
    folder = tmp_path / "gone"
    folder.mkdir()
    server = Server(options=("--dir", str(folder), "--save", "3600 1")).start()
    try:
        with server.client() as client:
            folder.rmdir()
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 5, "the save to fail")
        environment = {**clean_environment(), "REACHQ_REDIS_URL": server.url, "REACHQ_DATA": str(tmp_path)}
        for words, code, message in (
            (["list"], 0, "no runs yet"),
            (["queue"], 0, "nothing is waiting"),
            (["submit", SOURCE, DESTINATION, "80"], 4, "Redis refuses: MISCONF"),
        ):
            done = subprocess.run([REACHQ, *words], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == code, done
            assert message in done.stdout + done.stderr
            assert "does not answer" not in done.stderr
    finally:
        server.stop()


def test_the_data_option_wins_over_the_environment(system: System, tmp_path: Path) -> None:
    done = subprocess.run(
        [REACHQ, "bench", "status", "--data", system.data],
        env={**clean_environment(), "REACHQ_REDIS_URL": f"unix://{tmp_path}/none.sock", "REACHQ_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [REACHQ, "list"],
        env={**clean_environment(), "REACHQ_LEASE_MS": "soon", "REACHQ_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "REACHQ_LEASE_MS: 'soon'" in done.stderr


def facts(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REACHQ, "facts", *words], env=clean_environment(), capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_facts_check(tmp_path: Path) -> None:
    good = facts("check", CAMPUS)
    assert good.returncode == 0, good
    assert "11 routers" in good.stdout
    assert facts("check", "--offline", CAMPUS).returncode == 0
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "addr.json").write_text("[\n{")
    bad = facts("check", tmp_path)
    assert bad.returncode == 2
    assert "r1/addr.json:2" in bad.stderr
    assert "r1/routes.json" in bad.stderr
    assert facts("check", tmp_path / "none").returncode == 2


def test_facts_collect_prints_a_script_that_saves_what_facts_check_loads(tmp_path: Path) -> None:
    script = facts("collect").stdout
    assert all(f"save {file} " in script for file in COLLECT_COMMANDS)
    in_a_namespace = ["unshare", "--net", "--mount", "sh", "-c", "ip link set lo up; sh -s r1"]
    done = subprocess.run(in_a_namespace, cwd=tmp_path, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "network").mkdir()
    subprocess.run(["tar", "-C", "network", "-xzf", "r1.tar.gz"], cwd=tmp_path, check=True)
    assert {"addr.json", "routes.json", "collected.txt"} <= {file.name for file in (tmp_path / "network/r1").iterdir()}
    checked = facts("check", str(tmp_path / "network"))
    assert checked.returncode == 0, checked.stderr
    warnings = [line for line in checked.stdout.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 1, f"an empty file that root saved is complete: {warnings}"
    assert "no router has a default route" in warnings[0]


def test_the_script_of_facts_collect_refuses_to_run_without_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    without_root = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s"]
    script = facts("collect").stdout
    done = subprocess.run(without_root, cwd=tmp_path, input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "run this as root" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bench_doctor() -> None:
    done = subprocess.run(
        [REACHQ, "bench", "doctor", "--network", CAMPUS],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert "11 routers" in done.stdout


def test_help_and_version_need_nothing() -> None:
    for words in (["--help"], ["submit", "--help"], ["bench", "--help"], ["--version"]):
        done = subprocess.run([REACHQ, *words], env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
        assert done.returncode == 0
        assert done.stdout


def test_a_reader_that_leaves_is_no_error(system: System) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{REACHQ} list --json --limit 500 | head -c 1"],
        env={**system.environment, "REACHQ_DATA": str(system.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert not done.stderr
