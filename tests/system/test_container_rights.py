"""The rights docker-compose.yml gives are enough, and each is needed: tried here with setpriv in a container's place.

What cannot be tried without a container engine is the container itself: its seccomp and AppArmor profiles and its
read-only /proc/sys.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.patience import patience
from tests.support.server import die_with_parent
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, ROOT, clean_environment

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
RIGHTS = {right.lower() for right in COMPOSE["bench"]["cap_add"]}
UID, GID = COMPOSE["bench"]["user"].split(":")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to take away")

ASK = """
import sys
from netlab.service.client import BenchClient
client = BenchClient(sys.argv[1], 5)
assert len(client.status().routers) == 11
with client.attempt(run_id="r", mode="quick", lane=32, fence=1) as attempt:
    print(attempt.quick("10.1.10.20", "10.3.20.8", [(22, "tcp")]).verdict)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """The volume that both containers use, with owner and mode from the Dockerfile."""
    with tempfile.TemporaryDirectory(prefix="reachq-volume-") as made:
        os.chown(made, int(GID), int(GID))
        os.chmod(made, 0o770)
        yield Path(made)


def with_only(rights: set[str], *command: str) -> list[str]:
    """`command` as user and group of the compose file, with these capabilities and no way to get more."""
    kept = ",".join(["-all", *(f"+{right}" for right in sorted(rights))])
    return ["setpriv", f"--regid={GID}", "--clear-groups", "--no-new-privs", f"--bounding-set={kept}", "--", *command]


def bench(rights: set[str], socket: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        with_only(rights, sys.executable, "-m", "netlab"),
        env={**clean_environment(), "REACHQ_NETWORK": str(CAMPUS), "REACHQ_BENCH_SOCKET": str(socket)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=die_with_parent,
    )


def test_the_bench_and_its_workers_manage_with_what_they_get(folder: Path) -> None:
    assert UID == COMPOSE["workers"]["user"].split(":")[0] == "0"
    socket = folder / "bench.sock"
    serving = bench(RIGHTS, socket)
    try:
        assert serving.stdout is not None
        assert "bench ready: 11 routers" in serving.stdout.readline()
        asked = subprocess.run(
            with_only(set(), sys.executable, "-c", ASK, str(socket)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=patience(20),
            check=False,
        )
        assert asked.stdout.strip() == "NO", asked
    finally:
        serving.terminate()
        serving.communicate(timeout=patience(10))
    wait_until(lambda: not socket.exists(), 5, "the socket is removed")


@pytest.mark.parametrize("right", sorted(RIGHTS))
def test_without_any_one_right_there_is_no_bench(folder: Path, right: str) -> None:
    serving = bench(RIGHTS - {right}, folder / "bench.sock")
    try:
        serving.communicate(timeout=patience(20))
    finally:
        serving.kill()
    assert serving.returncode != 0
