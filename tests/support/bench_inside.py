"""The contents of a running bench, read from outside with the machine's own tools through the bench's descriptors.

It sends no request to the bench, so it also shows what the bench itself has forgotten.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

from netlab.service.status import BenchStatus

LOOK = r"""
ip -o link | sed -E 's/^[0-9]+: ([^:@]*)[^<]*<[^>]*>.*( master [^ ]*).*/link \1\2/; s/^[0-9]+: ([^:@]*).*/link \1/'
ip -o -4 addr | sed -E 's/^[0-9]+: ([^ ]*) +inet ([^ ]*).*/address \1 \2/'
ss -Hntua | sed -E 's/^(tcp|udp) +(LISTEN|UNCONN)/listens &/; t; s/^/socket /'
sed 's/^/connection /' /proc/net/nf_conntrack
for set in open closely; do nft list set ip reachq_bench $set 2>/dev/null | sed -n "s/elements/gate $set: &/p"; done
ip neigh show nud all | grep -v NOARP | sed 's/^/neighbour /'
"""


def network_namespaces(pid: int) -> dict[str, str]:
    """`net:[inode]` -> a path to enter it: the process's own network namespace and all that it holds by a descriptor."""
    found: dict[str, str] = {}
    folder = Path(f"/proc/{pid}/fd")
    for link in (*(folder.iterdir() if folder.exists() else ()), Path(f"/proc/{pid}/ns/net")):
        try:
            name = os.readlink(link)
        except OSError:
            continue
        if name.startswith("net:["):
            found.setdefault(name, str(link))
    return found


def inside(pid: int) -> Counter[str]:
    """How many there are of each link, address, socket, connection, open gate and neighbour, in all its namespaces.

    Two benches of the same network have the same when nothing runs.
    """
    user = [] if os.geteuid() == 0 else ["--preserve-credentials", "--user", f"--target={pid}"]
    found: Counter[str] = Counter()
    for path in network_namespaces(pid).values():
        look = subprocess.run(["nsenter", *user, f"--net={path}", "sh", "-c", LOOK], capture_output=True, text=True)
        assert not look.stderr or not Path(path).exists(), look.stderr
        found.update(["namespace", *look.stdout.splitlines()])
    return found


def differences(before: Counter[str], after: Counter[str]) -> list[str]:
    """What was added and what was removed; empty when nothing changed."""
    return [f"new: {line}" for line in (after - before).elements()] + [
        f"gone: {line}" for line in (before - after).elements()
    ]


def held(names: set[str], mark: str) -> list[str]:
    """The given namespaces that a process with `mark` in its environment still lives in, holds or has mounted.

    The kernel reuses the number of a removed namespace, so other processes are not considered.
    """
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if mark.encode() not in (process / "environ").read_bytes():
                continue
            mounts = (process / "mountinfo").read_text()
        except OSError:
            continue
        found += [f"{name} is mounted for {process.name}" for name in names if name in mounts]
        mine = network_namespaces(int(process.name))
        found += [f"{name} is held by process {process.name}" for name in names & mine.keys()]
    return found


def in_use(status: BenchStatus) -> list[object]:
    """What runs use on the bench: its hosts, locked routers and attempts."""
    return [*status.hosts, *status.locks, *status.attempts]
