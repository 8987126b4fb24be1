"""Processes of another local user. Only root can start them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.patience import patience

STRANGER = 65534
"""The uid of `nobody`, which is also what the kernel shows for a user that a user namespace does not map."""
ANOTHER = 64321
"""A uid without an account."""
IMPOSTOR = Path(__file__).with_name("impostor.py")
PYTHON = str(Path(sys.executable).resolve())
"""The interpreter that .venv was made with: another user may be unable to enter this checkout."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def run_as(uid: int, code: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    """`python -c code arguments` as this user; it can read the standard library, and maybe nothing else."""
    return subprocess.Popen(
        [PYTHON, "-I", "-c", code, *arguments],
        user=uid,
        group=uid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        **more,
    )


@contextlib.contextmanager
def readable_by_all(*folders: Path) -> Iterator[Path]:
    """A folder that every user can read, with a copy of each of these folders and of msgspec; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="reachq-readable-") as at:
        os.chmod(at, 0o755)
        for folder in (*folders, Path(msgspec.__file__).parent):
            shutil.copytree(folder, Path(at, folder.name), ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(at)


class Impostor:
    """The process of tests/support/impostor.py at one address."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def said(self) -> list[str]:
        """Its output so far: `connected`, and `asked LINE`."""
        return self._log.read_text().splitlines()[1:]


@contextlib.contextmanager
def impostor(address: str, uid: int = STRANGER) -> Iterator[Impostor]:
    """An impostor that listens at `address`; killed at the end."""
    with tempfile.TemporaryDirectory(prefix="reachq-impostor-") as folder:
        log = Path(folder) / "log"
        process = run_as(uid, IMPOSTOR.read_text(), address)
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line == "listening\n", f"the impostor could not listen at {address}"
            log.write_text(line)
            with log.open("a") as output:
                copier = subprocess.Popen(["cat"], stdin=process.stdout, stdout=output)
            try:
                yield Impostor(process, log)
            finally:
                process.kill()
                process.wait(patience(10))
                copier.wait(patience(10))
        finally:
            process.kill()
            process.communicate(timeout=patience(10))
            if not address.startswith("@"):
                Path(address).unlink(missing_ok=True)
