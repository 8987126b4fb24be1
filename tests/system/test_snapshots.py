"""Snapshots in a whole system: pushed, refused, made current under load, and what the death of a process changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Run, State
from ledger.settings import load_settings
from ledger.snapshots.records import Snapshot, SnapshotState
from ledger.store import Ledger
from netlab.facts import reader
from netlab.results.codec import decode
from tests.support.bench_report import reported
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, REACHQ, System

ASKED = RunRequest.parse("10.1.10.20", "10.3.20.8", "22/tcp")
BLOCKS = {"old": ("dc-fw", "dc-core"), "new": ("dc-core",)}
"""Who blocks 22/tcp: in the sample network, and when the firewall's policy is ACCEPT."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "data", options=["--no-first"], quick=32)
    yield system.ready()
    system.close()


@pytest.fixture
def ledger(system: System) -> Iterator[Ledger]:
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The sample network, with another policy of one firewall."""
    folder = tmp_path / "campus"
    shutil.copytree(CAMPUS, folder)
    rules = folder / "dc-fw" / "iptables.rules"
    text = rules.read_text()
    assert ":FORWARD DROP" in text
    rules.write_text(text.replace(":FORWARD DROP", ":FORWARD ACCEPT"))
    return folder


def digest(folder: Path) -> str:
    return reader.load(folder).digest


def ended(ledger: Ledger, run: Run) -> Run:
    """Wait for the end of a run."""
    wait_until(lambda: ledger.run(run.id).state in ENDED, 60, "the run ended")
    return ledger.run(run.id)


def answered(ledger: Ledger, run: Run) -> tuple[str, tuple[str, ...]]:
    """The facts of an answer, and who blocks."""
    text = ledger.result(run.id)
    assert text, f"{run.state}: {run.error}"
    result = decode(text)
    return result.facts, tuple(sorted(result.services[0].blocked_by, reverse=True))


def await_use(ledger: Ledger, facts: str) -> None:
    """Wait until new runs are tested on this snapshot."""
    wait_until(lambda: reported(ledger).facts == facts, 30, "the bench is used")


def current(ledger: Ledger) -> Snapshot:
    return ledger.snapshot("current")


def test_the_folder_of_up_is_the_first_snapshot(system: System, ledger: Ledger) -> None:
    """It is the one that runs are tested on; its warnings are those of `facts check`."""
    first = current(ledger)
    assert (first.facts, first.origin, first.state) == (digest(CAMPUS), "campus", SnapshotState.READY)
    assert first.by in ("up", "first start"), "the keeper and the task of `up` push the same folder"
    assert any("wan-2" in warning for warning in first.warnings)
    run, _ = ledger.submit(ASKED)
    assert answered(ledger, ended(ledger, run)) == (first.facts, BLOCKS["old"])
    shown = system.run("facts", "list")
    assert first.facts in shown.stdout
    assert "current" in shown.stdout


def test_a_snapshot_is_pushed_used_and_used_back(system: System, ledger: Ledger, changed: Path) -> None:
    """As a folder and as an archive. Only `use` changes what runs are tested on."""
    old, new = digest(CAMPUS), digest(changed)
    archive = changed.with_suffix(".tar.gz")
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(changed, "campus")
    pushed = system.run("facts", "push", str(archive), "--note", "open the firewall", "--json")
    assert pushed.returncode == 0, pushed.stderr
    document = json.loads(pushed.stdout)
    assert (document["facts"], document["state"], document["current"]) == (new, "ready", False)
    again = system.run("facts", "push", str(changed))
    assert "stored before" in again.stdout
    run, _ = ledger.submit(ASKED)
    assert answered(ledger, ended(ledger, run)) == (old, BLOCKS["old"])
    for name, facts, blocks in ((new[:5], new, "new"), (old, old, "old")):
        assert system.run("facts", "use", name).returncode == 0
        await_use(ledger, facts)
        run, _ = ledger.submit(ASKED)
        assert answered(ledger, ended(ledger, run)) == (facts, BLOCKS[blocks])
    changes = system.run("facts", "diff", old, new)
    assert changes.returncode == 1
    assert "1 router changed: dc-fw (1 chain changed)" in changes.stdout
    assert system.run("facts", "diff", old).returncode == 0, "old is current"
    kept = system.run("facts", "get", new, str(changed.with_name("copy")))
    assert kept.returncode == 0, kept.stderr
    assert digest(changed.with_name("copy")) == new


def test_facts_from_which_no_bench_can_be_built_are_refused(system: System, ledger: Ledger, changed: Path) -> None:
    """By the reader before anything is stored, and by the kernel when a host builds the bench: with file and line."""
    before = current(ledger).facts
    (changed / "dc-fw" / "routes.json").write_text("[{]")
    refused = system.run("facts", "push", str(changed), "--use")
    assert refused.returncode == 2
    assert "dc-fw/routes.json:1: is not valid JSON" in refused.stderr
    assert len(ledger.snapshots()) == 1
    shutil.copy(CAMPUS / "dc-fw" / "routes.json", changed / "dc-fw" / "routes.json")
    rules = changed / "dc-fw" / "iptables.rules"
    lines = rules.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("-A FORWARD"))
    lines.insert(at, "-A FORWARD -m set --match-set missing src -j DROP")
    rules.write_text("\n".join(lines) + "\n")
    refused = system.run("facts", "push", str(changed), "--use")
    assert refused.returncode == 2, refused.stdout
    assert f"dc-fw/iptables.rules:{at + 1}: " in refused.stdout + refused.stderr
    newest = ledger.snapshots()[0]
    assert newest.state is SnapshotState.REFUSED
    assert any(f"dc-fw/iptables.rules:{at + 1}: " in problem for problem in newest.problems)
    denied = system.run("facts", "use", newest.facts)
    assert denied.returncode != 0
    assert "no bench can be built" in denied.stderr
    assert current(ledger).facts == before


def test_a_switch_under_load_loses_nothing_and_mixes_nothing(system: System, ledger: Ledger, changed: Path) -> None:
    """300 runs during two switches: each is answered from one snapshot, in the order of the switches."""
    old, new = digest(CAMPUS), digest(changed)
    assert system.run("facts", "push", str(changed)).returncode == 0
    runs: list[Run] = []

    def submit() -> None:
        with Ledger.connect(load_settings(data=system.data)) as own:
            for _ in range(300):
                runs.append(own.submit(ASKED)[0])
                time.sleep(0.01)

    def submitted(count: int) -> bool:
        return len(runs) >= count

    thread = threading.Thread(target=submit)
    thread.start()
    for facts, count in ((new, 100), (old, 200)):
        wait_until(partial(submitted, count), 60, "runs are submitted")
        ledger.use_snapshot(facts, by="ada")
        await_use(ledger, facts)
    thread.join()
    finished = [ended(ledger, run) for run in runs]
    assert {run.state for run in finished} == {State.DONE}
    assert {run.attempt for run in finished} == {1}, "none was repeated"
    answers = [answered(ledger, run) for run in finished]
    assert set(answers) == {(old, BLOCKS["old"]), (new, BLOCKS["new"])}


@pytest.mark.parametrize("when", ["ready", "building"])
def test_a_bench_that_is_killed_is_built_again(system: System, ledger: Ledger, changed: Path, when: str) -> None:
    """Also one that is being built for a snapshot that is not checked yet."""
    if when == "building":
        started = threading.Thread(target=lambda: system.run("facts", "push", str(changed), "--use"))
        started.start()
        wait_until(lambda: len(benches(system)) == 2, 30, "the second bench is started")
        newest = max(benches(system))
        os.kill(newest, signal.SIGKILL)
        started.join()
        assert current(ledger).facts == digest(changed)
    else:
        (pid,) = benches(system)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: benches(system) not in ([], [pid]), 30, "another bench is started")
    run, _ = ledger.submit(ASKED)
    assert ended(ledger, run).state is State.DONE


def test_the_service_and_the_keeper_may_die(system: System, ledger: Ledger, changed: Path) -> None:
    """Runs are answered again, from the snapshot that is current."""
    assert system.run("facts", "push", str(changed), "--use").returncode == 0
    for word in ("--service", "reachq: keeper"):
        for process in [part for part in system.parts() if word in " ".join(part.cmdline())]:
            process.kill()
        run, _ = ledger.submit(ASKED)
        done = ended(ledger, run)
        assert (done.state, done.error) == (State.DONE, "")
        assert answered(ledger, done) == (digest(changed), BLOCKS["new"])


def benches(system: System) -> list[int]:
    """The processes of the benches that the service has started."""
    return sorted(part.pid for part in system.parts("netlab --network"))


def test_a_system_starts_again_with_the_snapshot_that_was_current(tmp_path: Path, changed: Path) -> None:
    """Without --network, the folder of the first start does not replace it."""
    data = tmp_path / "data"
    system = System(data, options=["--no-first"]).ready()
    try:
        assert system.run("facts", "push", str(changed), "--use").returncode == 0
        assert system.end() == 0
    finally:
        system.close()
    again = System(data, argv=(REACHQ, "up", "--data", data, "--port", "0", "--no-first")).ready()
    try:
        with Ledger.connect(load_settings(data=data)) as ledger:
            assert current(ledger).facts == digest(changed)
            run, _ = ledger.submit(ASKED)
            assert answered(ledger, ended(ledger, run)) == (digest(changed), BLOCKS["new"])
        assert again.end() == 0
        again.assert_gone()
        assert not list((data / "facts").glob("*/.*")), "no draft is left"
    finally:
        again.close()
