"""A whole system as a user starts it: the real `reachq up`, and all its processes.

Every process inherits a mark in its environment, so that leftovers are found by any name and with any parent.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.support.patience import patience
from tests.support.server import die_with_parent
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CAMPUS = ROOT / "networks" / "campus"
REACHQ = Path(sys.executable).parent / "reachq"
READY = "Ctrl-C here stops everything."
NOBODY = 65534
MARK = "UP_TEST_MARK"


def clean_environment() -> dict[str, str]:
    """Ours without any setting of reachq's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REACHQ_")}


class System:
    """`reachq up`, or another starter, on a data folder of its own."""

    def __init__(
        self,
        data: Path,
        *,
        argv: Sequence[str | Path] = (),
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
        quick: int = 4,
        settings: dict[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.data = data
        self.mark = uuid.uuid4().hex
        self.environment = {
            **clean_environment(),
            MARK: self.mark,
            "REACHQ_QUICK": str(quick),
            **(settings or {}),
        }
        up = (REACHQ, "up", "--data", data, "--network", CAMPUS, "--port", "0", *options)
        self.log = Path(tempfile.mkstemp(prefix="reachq-up-", suffix=".log")[1])
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*map(str, prefix), *map(str, argv or up)],
                env=self.environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )

    @property
    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        """The address of its web server."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.output)
        assert found, self.output
        return found.group()

    def ready(self, timeout_s: float = 60) -> System:
        """Wait until it reports that the system is up."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output}"
            return READY in self.output

        wait_until(is_ready, timeout_s, f"all is up; so far:\n{self.output}")
        return self

    def run(self, *words: str, timeout_s: float = 60, typed: str = "") -> subprocess.CompletedProcess[str]:
        """One `reachq` command against this system; `typed` is its input."""
        return subprocess.run(
            [REACHQ, *words],
            input=typed,
            env={**self.environment, "REACHQ_DATA": str(self.data)},
            capture_output=True,
            text=True,
            timeout=patience(timeout_s),
            check=False,
        )

    def parts(self, word: str = "") -> list[psutil.Process]:
        """Living processes of this system whose command line holds `word`, however they came to be.

        `-m app` does not find `-m app.launch`.

        The server writes its title over its environment, so it is known by its socket.
        """
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                ours = process.environ().get(MARK) == self.mark or f"unixsocket:{self.data}/" in command
                if (
                    ours
                    and re.search(rf"{re.escape(word)}(?!\.)", command)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def end(self, number: signal.Signals = signal.SIGINT, timeout_s: float = 10) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(patience(timeout_s))

    def traces(self) -> list[str]:
        """Leftovers on this machine: processes, the sockets of the bench and of the server."""
        left = [f"process {process.pid}" for process in self.parts()]
        return left + [str(path) for path in self.data.glob("*.sock") if path.is_socket()]

    def assert_gone(self, *, but: Sequence[str] = (), timeout_s: float = 5) -> None:
        """Check that nothing is left, after the moment that a dying process takes, except the given names."""
        wait_until(
            lambda: not [trace for trace in self.traces() if not trace.endswith(tuple(but) or ("\0",))],
            timeout_s,
            f"nothing is left of the system: {self.traces()}",
        )

    def close(self) -> None:
        """End all processes that are still alive, and delete the log."""
        self.process.kill()
        for process in self.parts():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(patience(10))
        self.log.unlink(missing_ok=True)


def as_nobody(folder: Path) -> list[str]:
    """The words that run a command without any privilege, with `folder` its own; empty when we have none anyway.

    The user `nobody` where it may read this checkout; otherwise a user namespace that maps us to an ordinary user, which
    gives up root's rights but for the ownership of files.
    """
    if os.geteuid() != 0:
        return []
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    if subprocess.run([*drop, REACHQ, "--version"], capture_output=True, check=False, cwd="/").returncode == 0:
        os.chown(folder, NOBODY, NOBODY)
        return drop
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]


def copy_network(folder: Path, *routers: str) -> Path:
    """A network of some routers of the sample."""
    for router in routers:
        shutil.copytree(CAMPUS / router, folder / router)
    return folder
