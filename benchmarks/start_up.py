"""How long the command line takes to start, beside an interpreter that does nothing.

    .venv/bin/python -m benchmarks.start_up [--rounds 15]

The commands take turns, so that a busy moment of the machine slows all of them. `best` is the fastest round, which other
processes disturb least; the ratio is best over the best of the reference. `within` compares the best of `reachq --version`
and `reachq --help` with their limit: 3 times the reference and 100 ms.

Best of 15 rounds in ms, with 2 cores, when every command was loaded at the start and since each is loaded when it is used:

    command                      before  ratio   now  ratio
    python -c pass (reference)       28   1.0x    28   1.0x
    reachq --version                459  16.3x    99   3.6x
    reachq --help                   465  16.5x    79   2.9x
    reachq submit --help            451  16.0x   430  15.5x
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import ms, table

REACHQ = str(Path(sys.executable).parent / "reachq")
REFERENCE = "python -c pass (reference)"
COMMANDS: dict[str, Sequence[str]] = {
    REFERENCE: [sys.executable, "-c", "pass"],
    "reachq --version": [REACHQ, "--version"],
    "reachq --help": [REACHQ, "--help"],
    "reachq bench --help": [REACHQ, "bench", "--help"],
    "reachq submit --help": [REACHQ, "submit", "--help"],
}
LIMITED = ("reachq --version", "reachq --help")
TIMES, EXTRA_S = 3, 0.1


def seconds(command: Sequence[str]) -> float:
    """Run the command once; returns how long it took."""
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    reference = min(taken[REFERENCE])
    limit = TIMES * reference + EXTRA_S
    rows = [
        [
            name,
            f"{min(each) * 1e3:.0f}",
            *ms(each),
            f"{min(each) / reference:.1f}x",
            ("yes" if min(each) <= limit else "no") if name in LIMITED else "",
        ]
        for name, each in taken.items()
    ]
    print(table("start, in ms", ["command", "best", "median", "p90", "ratio", f"within {limit * 1e3:.0f} ms"], rows))


if __name__ == "__main__":
    main()
