"""What runs notice while another snapshot becomes current: their times without and with switches. Needs root.

    .venv/bin/python -m benchmarks.switch [--rounds 5] [--runs 300]

In each round, `reachq up` on the sample network answers the same quick test twice, submitted every 10 ms by one user:
first without a switch, which is the reference, and then with two, to a snapshot with another firewall policy and back.
`waited` is from the submission of a run to its start and `answered` to its end, by the clock of Redis, in ms. `over
50 ms` counts the runs that waited more than 50 ms longer than the median of the reference.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.running_system import running_system
from benchmarks.tables import table
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Run, State
from ledger.store import Ledger
from netlab.facts.sample import SAMPLE
from netlab.results.codec import decode

ASKED = RunRequest.parse("10.1.10.20", "10.3.20.8", "22/tcp")
PAUSE_S = 0.01


def changed_sample(folder: Path) -> Path:
    """Copy the sample network, with another policy of one firewall, and return its folder."""
    shutil.copytree(SAMPLE, folder)
    rules = folder / "dc-fw" / "iptables.rules"
    rules.write_text(rules.read_text().replace(":FORWARD DROP", ":FORWARD ACCEPT"))
    return folder


def phase(ledger: Ledger, count: int, switches: dict[int, str]) -> list[Run]:
    """Submit the runs and wait for their ends; before the n-th, make the snapshot `switches[n]` current."""
    ids = []
    for number in range(count):
        if number in switches:
            ledger.use_snapshot(switches[number], by="benchmark")
        ids.append(ledger.submit(ASKED, user="benchmark")[0].id)
        time.sleep(PAUSE_S)
    runs = [ledger.run(run_id) for run_id in ids]
    while not all(run.state in ENDED for run in runs):
        time.sleep(PAUSE_S)
        runs = [ledger.run(run_id) for run_id in ids]
    assert {run.state for run in runs} == {State.DONE}, Counter(run.state for run in runs)
    return runs


def push(ledger: Ledger, folder: Path) -> None:
    """Store the folder as a snapshot, and wait until it is checked."""
    command = [str(Path(sys.executable).with_name("reachq")), "facts", "push", str(folder)]
    env = os.environ | {"REACHQ_DATA": str(ledger.settings.data)}
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def row(name: str, runs: Iterable[Run], usual_ms: float) -> list[str]:
    """One row of the table, for the runs of one kind of phase."""
    runs = list(runs)
    waited = [(run.started_ms or 0) - run.submitted_ms for run in runs]
    answered = [(run.finished_ms or 0) - run.submitted_ms for run in runs]
    repeated = sum(run.attempt != 1 for run in runs)
    late = sum(wait > usual_ms + 50 for wait in waited)
    return [name, str(len(runs)), *times(waited), *times(answered), str(late), str(repeated)]


def times(values: list[int]) -> tuple[str, str]:
    """Median and longest."""
    return f"{median(values):.0f}", str(max(values))


def main() -> None:
    """Measure both phases of each round, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--runs", type=int, default=300)
    asked = options.parse_args()
    still: list[Run] = []
    switched: list[Run] = []
    answers: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as place, running_system() as ledger:
        before = ledger.snapshots()[0].facts
        push(ledger, changed_sample(Path(place, "campus")))
        after = next(each.facts for each in ledger.snapshots() if each.facts != before)
        for _ in range(asked.rounds):
            still += phase(ledger, asked.runs, {})
            runs = phase(ledger, asked.runs, {asked.runs // 3: after, asked.runs * 2 // 3: before})
            switched += runs
            for run in runs:
                result = decode(ledger.result(run.id) or "")
                blockers = " and ".join(sorted(result.services[0].blocked_by))
                answers["before" if result.facts == before else "after", blockers] += 1
    usual_ms = median((run.started_ms or 0) - run.submitted_ms for run in still)
    columns = ["", "runs", "waited ms", "longest", "answered ms", "longest", "over 50 ms", "repeated"]
    rows = [row("no switch", still, usual_ms), row("two switches", switched, usual_ms)]
    print(table(f"A quick test every {PAUSE_S * 1e3:.0f} ms, {asked.rounds} rounds", columns, rows))
    print("Answers during the switches, by snapshot and by the routers that block:")
    for (snapshot, blockers), count in sorted(answers.items()):
        print(f"  {snapshot}: {blockers}: {count}")


if __name__ == "__main__":
    main()
