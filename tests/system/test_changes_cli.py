"""`reachq diff`, `reachq changes` and `reachq network flows` on a real system, with every form and exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.runs.run import State
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support import leaks
from tests.support.patience import patience
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, REACHQ, System

RULES = "dc-fw/iptables.rules"
DATABASE = "-A to-db -s 10.1.10.32/27 -p tcp -m tcp --dport 5432 -j ACCEPT\n"
ROWS = "# the clients\n10.1.10.40, 10.3.40.10, 5432\n10.1.10.20, 10.3.20.8, 22,443\n"
LOST = "10.1.10.40 no longer reaches 10.3.40.10 on 5432/tcp: dc-fw rejects it"
EXPECTED = "version: 1\nlost:\n  - {from: 10.1.10.32/27, to: 10.3.40.0/24, services: 5432}\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("changes") / "data", options=["--no-first"])
    try:
        yield system.ready()
        system.end()
        system.assert_gone()
    finally:
        system.close()


@pytest.fixture(autouse=True)
def _leaves_nothing(system: System) -> Iterator[None]:
    """As for all tests, except for the benches of snapshots, which stay for a while when they are idle."""
    before = leaks.child_processes()
    yield
    wrong = leaks.left_processes(before, but=("-m netlab --network=",))
    assert not wrong, "left behind:\n" + "\n".join(wrong)


@pytest.fixture
def ledger(system: System) -> Iterator[Ledger]:
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger
        ledger.set_management_flows("", by="test")
        ledger.resume("test")


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The sample network, in which the clients may not use the database."""
    return folder(tmp_path / "changed", RULES, DATABASE, "")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    (tmp_path / "rows.txt").write_text(ROWS)
    return str(tmp_path / "rows.txt")


def folder(at: Path, file: str, before: str, after: str) -> Path:
    """A copy of the sample network with another text in one file."""
    shutil.copytree(CAMPUS, at)
    text = (at / file).read_text()
    assert before in text
    (at / file).write_text(text.replace(before, after))
    return at


def diff(system: System, after: Path | str, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return system.run("diff", "current", str(after), *words, typed=typed)


def test_text_with_the_worst_first(system: System, changed: Path, rows: str) -> None:
    done = diff(system, changed, "--rows", rows)
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stdout.split())
    assert text.startswith("1 cell lost, 2 the same (3 cells of 2 questions)")
    assert f"{LOST} ({RULES}:33). (line 2)" in text
    assert "1 router changed: dc-fw (1 rule removed)" in text
    assert "A change that has no effect on these cells can have an effect on other packets." in text


def test_json_is_the_document_of_the_api(system: System, changed: Path, rows: str, ledger: Ledger) -> None:
    done = diff(system, changed, "--rows", rows, "--json", "--note", "ticket 7")
    report = json.loads(done.stdout)
    assert (done.returncode, report["judgement"]["exit_code"], report["expected"]) == (1, 1, False)
    assert [(cell["kind"], cell["line"], cell["source_port"]) for cell in report["impact"]["cells"]] == [
        ("lost", 2, None)
    ]
    assert ledger.changes()[0].note == "ticket 7"


def test_csv_and_markdown(system: System, changed: Path, rows: str) -> None:
    done = diff(system, changed, "--rows", rows, "--csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (done.returncode, row["class"], row["service"], row["blocked_by_after"]) == (1, "lost", "5432/tcp", "dc-fw")
    done = diff(system, changed, "--rows", rows, "--markdown")
    assert done.returncode == 1
    assert done.stdout.startswith("## Impact of the change from <code>")
    assert "### lost (1 cell)" in done.stdout
    assert diff(system, changed, "--csv", "--json").returncode == 2


def test_a_filter_changes_no_exit_code(system: System, changed: Path, rows: str) -> None:
    done = diff(system, changed, "--rows", rows, "--class", "gained", "--csv")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)
    for words in (("--router", "dc-fw"), ("--address", "10.3.40.0/24"), ("--services", "5432", "--class", "lost")):
        done = diff(system, changed, "--rows", rows, "--csv", *words)
        assert (done.returncode, len(done.stdout.splitlines())) == (1, 2), words
    for words in (("--class", "worse"), ("--address", "10.3.40.1/24"), ("--services", "http3")):
        assert diff(system, changed, "--rows", rows, *words).returncode == 2, words


def test_an_expectation(system: System, changed: Path, rows: str, tmp_path: Path) -> None:
    file = tmp_path / "change.yaml"
    file.write_text(EXPECTED)
    done = diff(system, changed, "--rows", rows, "--expect", str(file))
    assert done.returncode == 0, done.stderr
    assert "As expected." in done.stdout
    file.write_text(EXPECTED.replace("lost", "gained"))
    done = diff(system, changed, "--rows", rows, "--expect", str(file))
    assert done.returncode == 1
    assert "1 unexpected change, 1 expected change did not occur" in done.stdout
    assert f"unexpected: {LOST}" in " ".join(done.stdout.split())
    file.write_text("version: 1\nbroken: any\n")
    done = diff(system, changed, "--rows", rows, "--expect", str(file))
    assert done.returncode == 2
    assert f"{file}:2" in done.stderr


def test_a_change_without_an_effect(system: System, tmp_path: Path, rows: str, ledger: Ledger) -> None:
    """Other facts but the same answers; then only other counters, so that nothing has to be asked."""
    other = folder(tmp_path / "other", RULES, "-A to-dmz -j DROP\n", "")
    done = diff(system, other, "--rows", rows)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("3 cells the same (3 cells of 2 questions)")
    counters = folder(tmp_path / "counters", RULES, ":FORWARD DROP [0:0]", ":FORWARD DROP [5:60]")
    before = ledger.change_ids()
    done = diff(system, counters, "--rows", rows)
    assert (done.returncode, ledger.change_ids()) == (0, before)
    assert "nothing changed, so nothing was asked" in done.stderr
    assert "the facts are the same" in done.stdout
    (tmp_path / "change.yaml").write_text(EXPECTED)
    done = diff(system, counters, "--rows", rows, "--expect", str(tmp_path / "change.yaml"))
    assert done.returncode == 1, "an announced change did not occur"
    done = diff(system, "current", "--rows", rows)
    assert done.returncode == 2
    assert "is the same snapshot" in done.stderr


def test_an_unknown_result_has_its_own_exit_code(system: System, tmp_path: Path) -> None:
    """A rule that decides by chance lets some packets through."""
    rule = f"{DATABASE[:-1]}\n"
    chance = rule.replace("-p tcp -m tcp", "-p tcp -m statistic --mode random --probability 0.50000000000 -m tcp")
    other = folder(tmp_path / "chance", RULES, DATABASE, chance)
    done = diff(system, other, "--rows", "-", typed="10.1.10.40, 10.3.40.10, 5432\n")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "1 cell undetermined" in done.stdout


def test_facts_that_do_not_load(system: System, tmp_path: Path, rows: str, ledger: Ledger) -> None:
    """Refused by the reader, and by the kernel: each with file and line."""
    bad = folder(tmp_path / "bad", RULES, "*filter\n", "*fliter\n")
    done = diff(system, bad, "--rows", rows)
    assert done.returncode == 2
    assert f"{RULES}:2: " in done.stderr
    text = DATABASE + "-A to-db -m set --match-set missing src -j DROP\n"
    worse = folder(tmp_path / "worse", RULES, DATABASE, text)
    done = diff(system, worse, "--rows", rows)
    assert done.returncode == 2, done.stdout
    assert f"{RULES}:34: " in done.stderr


def test_rows_from_standard_input(system: System, changed: Path) -> None:
    done = diff(system, changed, "--rows", "-", typed=ROWS)
    assert done.returncode == 1
    assert "3 cells of 2 questions" in done.stdout


def test_wrong_rows_are_all_listed_and_nothing_is_asked(system: System, changed: Path, ledger: Ledger) -> None:
    before = ledger.change_ids(), ledger.runs()[1]
    done = diff(system, changed, "--rows", "-", typed="x, 10.3.20.8, 22\n10.1.10.20, 10.3.20.8, http3, detailed\n")
    assert done.returncode == 2
    assert "standard input:1: source: " in done.stderr
    assert "standard input:2: services: " in done.stderr
    assert "2 rows are invalid" in done.stderr
    assert (ledger.change_ids(), ledger.runs()[1]) == before
    for words in (("--rows", "/none"), ("--expect", "/none")):
        done = diff(system, changed, *words)
        assert (done.returncode, "/none" in done.stderr) == (2, True)


def test_sides_that_are_nothing(system: System, rows: str) -> None:
    for side in ("nosuch", "0" * 12, "./nosuch"):
        done = diff(system, side, "--rows", rows)
        assert done.returncode == 2
        assert f"after: '{side}' is not a folder, an archive or a snapshot" in done.stderr


def test_recent_questions(system: System, changed: Path) -> None:
    assert system.run("submit", "10.1.10.41", "10.3.40.10", "5432", "--wait").returncode == 0
    done = diff(system, changed, "--recent", "1")
    assert done.returncode == 1
    assert "10.1.10.41 no longer reaches" in done.stdout
    assert "(1 cell of 1 question)" in done.stdout


def test_a_lock_out(system: System, changed: Path, tmp_path: Path, ledger: Ledger) -> None:
    assert "no management flows" in system.run("network", "flows").stdout
    done = system.run("network", "flows", "-", typed="10.1.10.40, 10.3.40.10, 5432\n")
    assert done.stdout == "1 management flow of network main\n"
    assert system.run("network", "flows").stdout == "10.1.10.40, 10.3.40.10, 5432\n"
    wrong = system.run("network", "flows", "-", typed="x\n")
    assert (wrong.returncode, "standard input:1: " in wrong.stderr) == (2, True)
    (tmp_path / "any.yaml").write_text("version: 1\nlost: any\n")
    done = diff(
        system, changed, "--rows", "-", "--expect", str(tmp_path / "any.yaml"), typed="10.1.10.20, 10.3.20.8, 22\n"
    )
    assert done.returncode == 1
    assert done.stdout.startswith("possible lock-out")
    assert system.run("network", "flows", "--clear").returncode == 0
    assert ledger.management_flows() == ""


def test_a_stored_comparison_is_listed_shown_and_removed(
    system: System, changed: Path, rows: str, ledger: Ledger
) -> None:
    first = diff(system, changed, "--rows", rows, "--note", "ticket 8")
    change = ledger.changes()[0]
    assert change.id[:8] in system.run("changes", "list").stdout
    assert json.loads(system.run("changes", "list", "--json").stdout)["changes"][0]["note"] == "ticket 8"
    again = system.run("changes", "show", change.id[:8])
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)
    assert "lost,2," in system.run("changes", "show", change.id, "--csv").stdout
    assert "is removed" in system.run("changes", "remove", change.id[:8]).stdout
    for words in (("show",), ("remove",)):
        gone = system.run("changes", *words, change.id)
        assert (gone.returncode, "There is no comparison" in gone.stderr) == (2, True)
    assert system.run("changes", "show", "xyz").returncode == 2


def test_ctrl_c_ends_the_waiting_and_not_the_comparison(
    system: System, changed: Path, rows: str, ledger: Ledger
) -> None:
    ledger.pause("test", "")
    before = ledger.change_ids()
    command = subprocess.Popen(
        [REACHQ, "diff", "current", str(changed), "--rows", rows],
        env={**os.environ, **system.environment, "REACHQ_DATA": str(system.data)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: ledger.change_ids() != before, 30, "the comparison is stored")
    command.send_signal(signal.SIGINT)
    error = command.communicate(timeout=patience(20))[1]
    change = ledger.changes()[0]
    assert command.returncode == 4
    assert f"`reachq changes show {change.id[:8]}` shows its report" in error
    ledger.resume("test")
    shown = system.run("changes", "show", change.id[:8])
    assert (shown.returncode, LOST in " ".join(shown.stdout.split())) == (1, True)


def test_no_report_when_a_run_is_cancelled(system: System, changed: Path, rows: str, ledger: Ledger) -> None:
    diff(system, changed, "--rows", rows)
    ledger.pause("test", "")
    command = subprocess.Popen(
        [REACHQ, "diff", "current", str(changed), "--rows", rows],
        env={**os.environ, **system.environment, "REACHQ_DATA": str(system.data)},
        stderr=subprocess.PIPE,
        text=True,
    )
    before = ledger.change_ids()
    wait_until(lambda: ledger.change_ids() != before, 30, "the comparison is stored")
    change = ledger.changes()[0]
    ledger.cancel(change.runs_after[0], by="bob")
    error = command.communicate(timeout=patience(20))[1]
    assert (command.returncode, "was cancelled" in error) == (4, True)
    assert system.run("changes", "remove", change.id).returncode == 0
    assert ledger.run(change.runs_before[0]).state is State.CANCELLED


def test_without_a_system(tmp_path: Path, rows: str) -> None:
    environment = {**os.environ, "REACHQ_DATA": str(tmp_path / "none")}
    done = subprocess.run(
        [REACHQ, "diff", "current", "current", "--rows", rows],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(20),
    )
    assert done.returncode == 4
    assert "reachq is not running here" in done.stderr
