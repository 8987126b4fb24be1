"""The whole system for one benchmark: `reachq up` on the sample network, in a temporary folder that is removed
afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.runs.requests import RunRequest
from ledger.settings import load_settings
from ledger.store import Ledger


@contextmanager
def running_system() -> Iterator[Ledger]:
    """Start the system, wait for its first result, yield its ledger."""
    with tempfile.TemporaryDirectory() as data:
        env = os.environ | {"REACHQ_DATA": data, "REACHQ_PORT": "0"}
        env.pop("REACHQ_REDIS_URL", None)
        command = [str(Path(sys.executable).with_name("reachq")), "up", "--data", data, "--port", "0"]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as system:
            try:
                assert system.stdout
                for line in system.stdout:
                    if "answered" in line:
                        break
                # Read and drop its further output: it would stop once the pipe is full.
                threading.Thread(target=system.stdout.read, daemon=True).start()
                ledger = Ledger.connect(load_settings(data=Path(data), redis_url=""))
                yield ledger
                ledger.close()
            finally:
                system.terminate()


def submit_and_wait(ledger: Ledger, request: RunRequest, count: int) -> None:
    """Submit the request `count` times at once and wait until all have ended."""
    waiting = {ledger.submit(request)[0].id for _ in range(count)}
    while waiting := {run for run in waiting if not ledger.run(run).finished_ms}:
        time.sleep(0.0005)
