"""Opening and closing benches one after another in one service: whether build time and memory stay flat. Needs root.

    .venv/bin/python -m benchmarks.many_benches [--benches 20] [--routers 100]

Each bench is closed before the next one is opened. The first one is the reference. `open` is the time until the bench is
ready, and `close` until the service has ended it. `service MB` is the resident memory of the service, and `kernel MB` the
unreclaimable slab memory of the machine. `stalled` is the longest delay of a clock that opens a socket every 10 ms: the
kernel frees network namespaces in the background, with locks that other processes need.
"""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.bench_up import write_chain
from benchmarks.tables import table
from netlab.benches.client import BenchesClient, service_address

TICK_S = 0.01


class Clock(threading.Thread):
    """Notes its longest delay."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest_s = 0.0

    def run(self) -> None:
        """Tick until the process ends."""
        last = time.monotonic()
        while True:
            time.sleep(TICK_S)
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last - TICK_S)
            last = now


def slab_mb() -> int:
    """Unreclaimable slab memory of the kernel, where network namespaces are, in MB."""
    found = re.search(r"SUnreclaim: +(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) // 1024 if found else 0


def main() -> None:
    """Open and close the benches, and print a row for each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--benches", type=int, default=20)
    options.add_argument("--routers", type=int, default=100)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        facts, bench = Path(folder, "facts"), Path(folder, "bench-main.sock")
        write_chain(facts, asked.routers)
        address = service_address(str(bench))
        command = [sys.executable, "-m", "netlab", "--service", "--socket", str(bench)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            try:
                assert service.stdout
                assert "ready" in service.stdout.readline()
                rows = measure(
                    BenchesClient(address, 60), facts, Path(folder), psutil.Process(service.pid), asked.benches
                )
            finally:
                service.terminate()
    columns = ["bench", "open s", "to the first", "close s", "service MB", "kernel MB", "stalled ms"]
    print(table(f"{asked.benches} benches of {asked.routers} routers, one after another", columns, rows))


def measure(client: BenchesClient, facts: Path, folder: Path, service: psutil.Process, benches: int) -> list[list[str]]:
    """Return a row for each bench."""
    rows: list[list[str]] = []
    first_s = 0.0
    for number in range(1, benches + 1):
        clock = Clock()
        clock.start()
        begun = time.monotonic()
        client.open(f"main-{number:012x}", facts, network="large", address=str(folder / f"bench-{number}.sock"))
        opened = time.monotonic()
        client.close(f"main-{number:012x}")
        closed = time.monotonic()
        first_s = first_s or opened - begun
        rows.append(
            [
                *(str(number), f"{opened - begun:.2f}", f"{(opened - begun) / first_s:.2f}x", f"{closed - opened:.2f}"),
                *(str(service.memory_info().rss >> 20), str(slab_mb()), f"{clock.longest_s * 1e3:.0f}"),
            ]
        )
    return rows


if __name__ == "__main__":
    main()
