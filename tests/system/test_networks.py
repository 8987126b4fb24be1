"""Two networks in one running system: added, tested side by side, and removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Run
from ledger.settings import load_settings
from ledger.store import Ledger
from netlab.facts import reader
from netlab.results.codec import decode
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, System

ASKED = RunRequest.parse("10.1.10.20", "10.3.20.8", "22/tcp")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "data", options=["--no-first"], quick=4)
    yield system.ready()
    system.close()


@pytest.fixture
def ledger(system: System) -> Iterator[Ledger]:
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger


@pytest.fixture
def lab_folder(tmp_path: Path) -> Path:
    """The sample network, with another policy of one firewall."""
    folder = tmp_path / "lab"
    shutil.copytree(CAMPUS, folder)
    rules = folder / "dc-fw" / "iptables.rules"
    rules.write_text(rules.read_text().replace(":FORWARD DROP", ":FORWARD ACCEPT"))
    return folder


def answered(ledger: Ledger, run: Run) -> str:
    """The facts of the answer."""
    wait_until(lambda: ledger.run(run.id).state in ENDED, 60, "the run ended")
    text = ledger.result(run.id)
    assert text, ledger.run(run.id).error
    return decode(text).facts


def pool(system: System) -> list[psutil.Process]:
    """The worker pool and its children."""
    return system.parts("-m workers")


def test_a_second_network_is_added_tested_and_removed(system: System, ledger: Ledger, lab_folder: Path) -> None:
    campus, lab_facts = reader.load(CAMPUS).digest, reader.load(lab_folder).digest
    alone = len(pool(system))
    unknown = system.run("facts", "push", str(lab_folder), "--network", "lab")
    assert (unknown.returncode, "reachq network add lab" in unknown.stderr) == (2, True)
    added = system.run("network", "add", "lab")
    assert "reachq facts push FOLDER --use --network lab" in added.stdout
    pushed = system.run("facts", "push", str(lab_folder), "--use", "--network", "lab")
    assert pushed.returncode == 0, pushed.stderr
    lab = ledger.of_network("lab")
    assert (ledger.current_snapshot(), lab.current_snapshot()) == (campus, lab_facts)
    wait_until(lambda: len(pool(system)) == 2 * alone - 1, 30, "the second network has workers of its own")

    runs = [(its, its.submit(ASKED)[0]) for _ in range(20) for its in (ledger, lab)]
    assert {(run.bench, answered(its, run)) for its, run in runs} == {("main", campus), ("lab", lab_facts)}
    asked = ("submit", ASKED.source, ASKED.destination, "22/tcp", "--wait", "--json")
    assert json.loads(system.run(*asked).stdout)["facts"] == campus
    assert json.loads(system.run(*asked, "--network", "lab").stdout)["facts"] == lab_facts
    listed = json.loads(system.run("network", "list", "--json").stdout)["networks"]
    assert [(one["name"], one["current"], one["default"]) for one in listed] == [
        ("lab", lab_facts, False),
        ("main", campus, True),
    ]

    removed = system.run("network", "remove", "lab", "--yes")
    assert removed.returncode == 0, removed.stderr
    wait_until(lambda: len(pool(system)) == alone, 30, "the workers of the second network have ended")
    wait_until(lambda: not list(system.data.glob("bench-lab*")), 30, "its benches are closed")
    assert not (system.data / "facts" / "lab").exists()
    assert answered(ledger, ledger.submit(ASKED)[0]) == campus
    gone = system.run(*asked, "--network", "lab")
    assert (gone.returncode, "There is no network lab" in gone.stderr) == (2, True)


def test_the_facts_of_the_default_network_are_not_those_of_another(system: System, ledger: Ledger) -> None:
    """A network without a snapshot answers nothing: its runs wait, and the reason says so."""
    system.run("network", "add", "lab")
    lab = ledger.of_network("lab")
    run, _ = lab.submit(ASKED)
    wait_until(lambda: lab.run(run.id).wait_reason, 30, "there is a reason")
    wait_until(lambda: "no snapshot" in lab.run(run.id).wait_reason, 30, "the reason names the missing snapshot")
    assert not lab.snapshots()
    assert "no snapshot" in lab.health().why_not(run.mode, remedy=True)
    assert "cancelled" in system.run("cancel", run.id).stdout
