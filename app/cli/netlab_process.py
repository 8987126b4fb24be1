"""Runs the bench's own command line as a separate process."""

from __future__ import annotations

import os
import subprocess
import sys


def run_netlab(*arguments: str) -> int:
    """Run the bench's own command line, and return its exit code. Only that command line enters namespaces."""
    argv, environment = netlab_command(*arguments)
    sys.stdout.flush()
    return subprocess.run(argv, env=environment, check=False).returncode


def netlab_command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of the bench's own command line."""
    sbin = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return [sys.executable, "-m", "netlab", *arguments], {**os.environ, "PATH": sbin, "PYTHONSAFEPATH": "1"}
