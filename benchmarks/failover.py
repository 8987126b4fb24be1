"""What a failover of Redis costs: how long no run ends, and how many accepted runs the new primary does not know.

    .venv/bin/python -m benchmarks.failover [--rounds 5] [--rate 50]

Servers, three Sentinels (down-after-milliseconds 1000), dispatchers and a pool of workers with a stand-in test run on
this machine. Runs are submitted at a constant rate. Each round takes one fault:

- killed: `kill -9` of the primary.
- replaced: `SENTINEL FAILOVER`. The old primary lives on, and so do its connections, as after a network fault that
  separates the old primary and its clients from the Sentinels.

Two set-ups are compared: one replica and `min-replicas-to-write 0` (the default of Redis); two replicas and
`min-replicas-to-write 1`.

- no run ends: seconds from the fault to the first end of a run on the new primary.
- refused: seconds between the last submission accepted before, and the first after, the longest such gap.
- lost: runs whose submission was accepted in the round and that the new primary does not know.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.tables import table
from ledger.errors import RunNotFound, StoreUnavailable
from ledger.events import Kind
from ledger.runs.requests import RunRequest
from ledger.settings import load_settings
from ledger.store import Ledger
from tests.support.parts import Parts
from tests.support.sentinels import Watched
from tests.support.waiting import wait_until

REQUEST = RunRequest.parse("10.1.10.20", "10.3.20.8", "443")
BEFORE_S, AFTER_S = 1.0, 2.0
SETUPS: dict[str, tuple[int, tuple[str, ...]]] = {
    "1 replica, min-replicas 0": (2, ()),
    "2 replicas, min-replicas 1": (3, ("--min-replicas-to-write", "1")),
}


@dataclass(frozen=True)
class Cost:
    """What one failover cost."""

    ends_s: float
    refused_s: float
    lost: int
    accepted: int


class Submitter:
    """Submits runs at a rate from its own thread, and remembers those that were accepted and when."""

    def __init__(self, ledger: Ledger, rate: float) -> None:
        self._ledger, self._pause_s = ledger, 1 / rate
        self.accepted: list[tuple[float, str]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._submit)

    def __enter__(self) -> Submitter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _submit(self) -> None:
        while not self._stopped.wait(self._pause_s):
            with contextlib.suppress(StoreUnavailable):
                run, _ = self._ledger.submit(REQUEST)
                self.accepted.append((time.monotonic(), run.id))

    def longest_gap_s(self) -> float:
        """The longest time without an accepted run."""
        times = [when for when, _ in self.accepted]
        return max(after - before for before, after in pairwise(times))


def cost(watched: Watched, ledger: Ledger, rate: float, *, killed: bool) -> Cost:
    """Cause one failover under load, measure it, and restore the set-up."""
    with Submitter(ledger, rate) as submitter:
        time.sleep(BEFORE_S)
        primary, at = watched.primary(), time.monotonic()
        if killed:
            primary.kill9()
        else:
            watched.fail_over()
        new = watched.replaced(primary)
        with new.client() as client:
            after = f"{int(time.time() * 1000)}-0"  # earlier events may have been copied from the old primary

            def ended() -> bool:
                events = client.xrange("reachq:events", min=after)
                return any(fields.get("kind") == Kind.FINISHED for _, fields in events)

            wait_until(ended, 60, "a run ends on the new primary")
            ends_s = time.monotonic() - at
        if not killed:
            wait_until(lambda: primary.role() == "slave", 60, "the old primary is a replica")
        time.sleep(AFTER_S)
    lost = sum(not _known(ledger, run) for _, run in submitter.accepted)
    if killed:
        primary.start()
        watched.follow(primary, new)
    wait_until(watched.ready, 60, "all replicas are ready for the next failover")
    return Cost(ends_s, submitter.longest_gap_s(), lost, len(submitter.accepted))


def _known(ledger: Ledger, run: str) -> bool:
    try:
        return bool(_insist(lambda: ledger.run(run)))
    except RunNotFound:
        return False


def _insist(ask: Callable[[], object]) -> object:
    while True:
        with contextlib.suppress(StoreUnavailable):
            return ask()
        time.sleep(0.1)


def measure(servers: int, options: tuple[str, ...], rounds: int, rate: float) -> dict[str, list[Cost]]:
    """{fault: costs} of one set-up."""
    with tempfile.TemporaryDirectory() as data, Watched(servers, *options) as watched:
        settings = load_settings(redis_url=watched.url, data=Path(data))
        with Ledger.connect(settings) as ledger, Parts(settings) as parts:
            parts.dispatcher()
            parts.dispatcher()
            parts.pool(4, hold_ms=10)
            return {
                fault: [cost(watched, ledger, rate, killed=fault == "killed") for _ in range(rounds)]
                for fault in ("killed", "replaced")
            }


def main() -> None:
    """Measure, print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rate", type=float, default=50, help="submissions per second")
    given = options.parse_args()
    rows = []
    for setup, (servers, more) in SETUPS.items():
        for fault, costs in measure(servers, more, given.rounds, given.rate).items():
            seconds = [[one.ends_s for one in costs], [one.refused_s for one in costs]]
            cells = [f"{median(values):.1f} / {max(values):.1f}" for values in seconds]
            lost = [one.lost for one in costs]
            accepted = sum(one.accepted for one in costs)
            rows.append([f"{setup}, {fault}", *cells, f"{median(lost):g} / {max(lost)}", str(accepted)])
    columns = ["set-up, fault", "no run ends s", "refused s", "lost", "of accepted"]
    print(table(f"Failover, {given.rounds} rounds each, {given.rate:g} submissions/s, median / max", columns, rows))


if __name__ == "__main__":
    main()
