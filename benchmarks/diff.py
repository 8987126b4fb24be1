"""`reachq diff` from the command to the report: one changed rule, and a network of 100 routers. Needs root.

    .venv/bin/python -m benchmarks.diff [--rounds 3]

Each row starts `reachq diff current FOLDER` as a user does, and measures until the process has ended. FOLDER differs from
the current snapshot by one rule. `known` is a folder that was pushed before, so that its bench may be open; a `new` one
differs from every earlier one, so its push and the building of its bench are included. Reference: `reachq --version`,
which is what the start of the command alone takes.

5,000 questions as bulk runs are measured as well, without a comparison: `reachq` is not involved there, and the reference
is the same number of quick runs of one user, submitted at once.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

from benchmarks.large import write_routers
from benchmarks.running_system import running_system
from benchmarks.tables import table
from ledger.runs.bulk import BulkQuestion, in_parts, numbered
from ledger.runs.requests import RunRequest
from ledger.store import Ledger
from netlab.facts.sample import SAMPLE

REACHQ = str(Path(sys.executable).with_name("reachq"))
ROUTERS, QUESTIONS = 100, 5000


def campus_rows() -> Iterator[str]:
    """200 questions of four services each."""
    for source, destination in product(
        range(20, 60), ("10.3.20.8", "10.3.40.5", "10.3.80.10", "10.2.10.9", "10.3.20.53")
    ):
        yield f"10.1.10.{source}, {destination}, 22, 80, 443, icmp"


def large_rows() -> Iterator[str]:
    """5,000 questions of one service, between the branches of the large network."""
    pairs = ((a, b) for a in range(1, ROUTERS) for b in range(1, ROUTERS) if a != b)
    for number, (a, b) in zip(range(QUESTIONS), pairs, strict=False):
        yield f"10.0.{a}.9, 10.0.{b}.9, {1000 + number % 40}"


def changed(folder: Path, edits: Iterator[int]) -> None:
    """Change one rule of the first router with iptables rules, so that the facts are new."""
    file = next(iter(sorted(folder.glob("*/iptables.rules"))))
    lines = [line for line in file.read_text().splitlines() if "-s 172.31." not in line]
    at = lines.index("*filter") + 1
    while lines[at].startswith(":"):
        at += 1
    rule = f"-A FORWARD -s 172.31.{next(edits)}.0/24 -j DROP"
    file.write_text("\n".join([*lines[:at], rule, *lines[at:]]) + "\n")


def diff(ledger: Ledger, folder: Path, rows: Path) -> float:
    """Seconds of one `reachq diff`."""
    command = [REACHQ, "diff", "current", str(folder), "--rows", str(rows), "--data", str(ledger.settings.data)]
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1, 3), done.stderr
    return time.perf_counter() - started


def start_of_the_command() -> float:
    """Seconds of `reachq --version`."""
    started = time.perf_counter()
    subprocess.run([REACHQ, "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def ended(ledger: Ledger, ids: list[str]) -> None:
    """Wait until all these runs have ended."""
    waiting = set(ids)
    while waiting := {run_id for run_id in waiting if not ledger.run(run_id).finished_ms}:
        time.sleep(0.02)


def bulk(ledger: Ledger, questions: list[BulkQuestion]) -> float:
    """Seconds until all questions are answered as bulk runs."""
    started = time.perf_counter()
    ended(ledger, [ledger.submit_bulk(part, user="benchmark")[0].id for part in in_parts(questions)])
    return time.perf_counter() - started


def apart(ledger: Ledger, questions: list[BulkQuestion]) -> float:
    """Seconds until all questions are answered as quick runs of their own."""
    started = time.perf_counter()
    ended(ledger, [ledger.submit(question.asked, user="benchmark")[0].id for question in questions])
    return time.perf_counter() - started


def use(ledger: Ledger, folder: Path) -> None:
    """Push a folder and make it current."""
    command = [REACHQ, "facts", "push", str(folder), "--use", "--data", str(ledger.settings.data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main(rounds: int) -> None:
    """Measure everything in turns and print the table."""
    times: dict[str, list[float]] = {}
    edits = count(1)
    with running_system() as ledger, tempfile.TemporaryDirectory() as scratch:
        small, large, other = (Path(scratch) / name for name in ("small", "large", "other"))
        shutil.copytree(SAMPLE, small)
        write_routers(large, ROUTERS)
        shutil.copytree(large, other)
        rows = {name: Path(scratch) / f"{name}.txt" for name in ("campus", "large")}
        rows["campus"].write_text("\n".join(campus_rows()))
        rows["large"].write_text("\n".join(large_rows()))
        asked = numbered(RunRequest.parse(*line.split(", ")) for line in large_rows())

        def took(name: str, seconds: float) -> None:
            times.setdefault(name, []).append(seconds)

        for _ in range(rounds):
            took("reference: start of the command", start_of_the_command())
            changed(small, edits)
            took("campus, 200 questions, new folder", diff(ledger, small, rows["campus"]))
            took("campus, 200 questions, known folder", diff(ledger, small, rows["campus"]))
        campus = ledger.current_snapshot()
        use(ledger, large)
        time.sleep(2)
        for _ in range(rounds):
            changed(other, edits)
            took("100 routers, 5,000 questions, new folder", diff(ledger, other, rows["large"]))
            took("5,000 questions as bulk runs", bulk(ledger, asked))
            took("reference: 5,000 quick runs", apart(ledger, asked))
        ledger.use_snapshot(campus, by="benchmark")
    lines = [
        [name, f"{min(each):.2f}", f"{sorted(each)[len(each) // 2]:.2f}", f"{max(each):.2f}"]
        for name, each in times.items()
    ]
    print(table("From the command to the report, s", ["", "least", "median", "most"], lines))


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    main(options.parse_args().rounds)
