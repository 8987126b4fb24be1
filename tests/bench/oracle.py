"""Compares the bench with a network that really forwards: `python -m tests.bench.oracle 1-500` runs many seeds by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.bench.conftest import Bench, running_bench
from tests.bench.oracle_grammar import EDGE_HOST, network
from tests.support.patience import patience

WORLD = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
Sightings = list[dict[str, str]]
REMARKED = "re-marks the packet"


def real(spec: dict[str, Any], facts: Path) -> list[Sightings]:
    """Build the network for real, write its facts to `facts`, and return who saw each probe."""
    command = [*WORLD, sys.executable, "-m", "tests.bench.oracle_world"]
    text = json.dumps({**spec, "facts": str(facts)})
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=patience(60), check=False)
    if done.returncode:
        raise AssertionError(f"the real network did not come up: {done.stderr}")
    sightings: list[Sightings] = json.loads(done.stdout)
    return sightings


def differences(spec: dict[str, Any], sightings: list[Sightings], bench: Bench) -> tuple[list[str], int, int]:
    """Test the same on the bench; returns the differences, and how many probes were compared and how many arrived."""
    found, compared, arrived = [], 0, 0
    asked = list(zip(spec["probes"], sightings, strict=True))
    for (source, destination, port), group in groupby(
        asked, key=lambda item: (item[0]["source"], item[0]["destination"], item[0]["source_port"])
    ):
        probes = list(group)
        services = ",".join(f"{p['port']}/{p['protocol']}" if p["port"] else "icmp" for p, _ in probes)
        result = bench.quick(source, destination, services, source_port=port)
        if any(REMARKED in caveat for caveat in result["caveats"]):
            continue
        for (probe, seen), service in zip(probes, result["services"], strict=True):
            wrong = _compare(spec, probe, seen, service)
            compared += 1
            arrived += _arrival(spec, seen)
            if wrong:
                found.append(f"{_spell(probe)}: {wrong}\n  real {_way(seen)}\n  bench {service}")
    return found, compared, arrived


def _arrival(spec: dict[str, Any], seen: Sightings) -> bool:
    """Whether a router took the packet for itself, or the host that owns the destination or the internet received it."""
    for sight in seen:
        if sight["how"] == "self" or sight["at"] == EDGE_HOST:
            return True
        host = spec["hosts"].get(sight["at"])
        if host and any(f" {sight['destination']}/" in line for line in host["ip"]):
            return True
    return False


def _compare(spec: dict[str, Any], probe: dict[str, Any], seen: Sightings, service: dict[str, Any]) -> str:
    arrived = _arrival(spec, seen)
    passed = [sight["at"] for sight in seen if sight["how"] == "wire" and sight["at"] in spec["routers"]]
    if "loop" in (service["reason"] or "") and len(set(passed)) < len(passed):
        return ""  # it does loop; a loop may end when NAT meets its own connection again, which the bench does not test
    if "leaves the network" in (service["reason"] or "") and any(sight["at"] == EDGE_HOST for sight in seen):
        return "" if service["result"] == "UNKNOWN" and passed == service["path"] else "it left at the edge"
    if (service["result"] == "YES") != arrived:
        return f"bench says {service['result']}, it {'arrived' if arrived else 'did not arrive'}"
    if probe["from"] in spec["routers"]:
        passed.insert(0, probe["from"])
    path = service["path"]
    if arrived and passed != path:
        return f"it went {passed}"
    if not arrived and (passed != path[: len(passed)] or service["blocked_by"][:1] != passed[-1:]):
        return f"it went {passed} and no further"
    return ""


def _spell(probe: dict[str, Any]) -> str:
    return "{from} {source}:{source_port} -> {destination}:{port}/{protocol}".format_map(probe)


def _way(seen: Sightings) -> str:
    return " ".join(
        ("=" if sight["how"] == "self" else "") + f"{sight['at']}[{sight['destination']}]" for sight in seen
    )


def examine(seed: int, folder: Path) -> tuple[list[str], int, int]:
    """One seed: the differences, probes compared, probes that arrived."""
    spec = network(seed)
    facts = folder / f"seed-{seed}"
    sightings = real(spec, facts)
    with running_bench(facts) as bench:
        return differences(spec, sightings, bench)


def main() -> None:
    """Examine the seeds named on the command line; prints every difference."""
    compared = arrived = wrong = 0
    for word in sys.argv[1:]:
        first, _, last = word.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            folder = Path(tempfile.mkdtemp(prefix="reachq-oracle-"))
            try:
                found, count, came = examine(seed, folder)
            except AssertionError as bad:
                found, count, came = [str(bad)], 0, 0
            compared, arrived, wrong = compared + count, arrived + came, wrong + len(found)
            for difference in found:
                print(f"seed {seed} ({folder}): {difference}", flush=True)
    print(f"{compared} probes compared, {arrived} arrived, {wrong} differences")


if __name__ == "__main__":
    main()
