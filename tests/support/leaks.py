"""What a test may leave behind: unknown keys, broken invariants, processes, network namespaces."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import psutil
import redis

from ledger.redis import keys
from tests.support.invariants import violations


def stray_keys(client: redis.Redis) -> list[str]:
    """Keys that belong to neither ledger/redis/keys.py nor RQ, and keys of another type than described."""
    wrong = []
    names: list[str] = list(client.scan_iter("*", count=1000))
    for key in names:
        owner = keys.owner(key)
        if owner is None and not key.startswith("rq:"):
            wrong.append(f"nobody owns the key {key}")
        elif owner is not None and (kind := str(client.type(key))) not in (owner.type, "none") and owner.type != "any":
            wrong.append(f"{key} is a {kind}, not a {owner.type}")
    return wrong


def benches(client: redis.Redis) -> set[str]:
    """Benches that have any key."""
    names = {key.split(":")[1] for key in client.scan_iter("reachq:*:*", count=1000)}
    return names - {"run"} - keys.NO_BENCH


def broken_invariants(client: redis.Redis) -> list[str]:
    """Violated invariants of all benches."""
    return [f"{bench}: {what}" for bench in sorted(benches(client)) for what in violations(client, bench)]


def child_processes() -> set[psutil.Process]:
    """All descendants of the test process. Each test calls this twice, so only their own files in /proc are read."""
    found = set[psutil.Process]()
    parents = [os.getpid()]
    while parents:
        for file in Path("/proc", str(parents.pop()), "task").glob("*/children"):
            with contextlib.suppress(OSError, psutil.NoSuchProcess):  # it has ended in the meantime
                children = [psutil.Process(int(pid)) for pid in file.read_text().split()]
                found.update(children)
                parents += [child.pid for child in children]
    return found


def left_processes(before: set[psutil.Process], grace_s: float = 2.0, *, but: Sequence[str] = ()) -> list[str]:
    """Children that are new and have not ended after a short grace time, but for commands with one of these texts."""

    def counts(child: psutil.Process) -> bool:
        return _lives(child) and not any(text in _command(child) for text in but)

    new = [child for child in child_processes() - before if counts(child)]
    _, alive = psutil.wait_procs(new, timeout=grace_s) if new else ([], [])
    return [f"process {child.pid} still runs: {_command(child)}" for child in alive if _lives(child)]


def named_namespaces() -> set[str]:
    """Network namespaces with a name, but for those that another live test process made for its hosts.

    Benches never have one. `tests.support.two_hosts` names its namespaces after its process.
    """
    folder = Path("/run/netns")
    names = set(os.listdir(folder)) if folder.is_dir() else set()
    return {name for name in names if not _is_of_another(name)}


def _is_of_another(name: str) -> bool:
    owner = re.fullmatch(r"rq-(\d+)(-.*)?", name)
    return bool(owner and int(owner[1]) != os.getpid() and psutil.pid_exists(int(owner[1])))


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "?"
