"""Compares the bench with labs of real-world configurations: `python -m tests.bench.real 1-500` runs many seeds.

Each probe is one cell of quick (did the first packet arrive?) and one of detailed (did the connection come about?). A cell
where the bench says YES or NO and the lab says otherwise is a disagreement. UNKNOWN must have a reason, and is counted.
`--kind NAME` runs only seeds whose network has it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.bench.conftest import Bench, running_bench
from tests.bench.oracle import WORLD
from tests.bench.real_grammar import network
from tests.bench.real_lab import ISP
from tests.support.patience import patience

Truth = list[dict[str, Any]]
MODES = ("quick", "detailed")


@dataclass
class Tally:
    """What one seed, or many, showed."""

    cells: Counter[str] = field(default_factory=Counter)
    """Mode, and `mode YES` for what arrived or connected -> count."""
    unknown: Counter[str] = field(default_factory=Counter)
    """`mode: reason` -> count."""
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another seed."""
        self.cells += other.cells
        self.unknown += other.unknown
        self.wrong += other.wrong


def truth_of(spec: dict[str, Any], facts: Path) -> Truth:
    """Build the lab, write its facts to `facts`, and return what each probe did."""
    command = [*WORLD, sys.executable, "-m", "tests.bench.real_world"]
    text = json.dumps({**spec, "facts": str(facts)})
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=patience(90), check=False)
    if done.returncode:
        raise AssertionError(f"the lab did not come up: {done.stderr}")
    truth: Truth = json.loads(done.stdout)
    return truth


def arrived(spec: dict[str, Any], probe: dict[str, Any]) -> bool:
    """Whether a router took the first packet for itself, or the host that owns its destination received it."""
    for sight in probe["seen"]:
        if sight["how"] == "self":
            return True
        host = spec["hosts"].get(sight["at"])
        if host and any(f" {sight['destination']}/" in line for line in host["ip"]):
            return True
    return False


def _left(spec: dict[str, Any], real: dict[str, Any]) -> bool:
    """Whether the packet reached the internet with a destination that no node has: no truth is known about it."""
    ends = [sight["destination"] for sight in real["seen"] if sight["at"] == ISP]
    nodes = [*spec["hosts"].values(), *spec["routers"].values()]
    return any(not any(f" {end}/" in line for node in nodes for line in node["ip"]) for end in ends)


def compare(spec: dict[str, Any], truth: Truth, bench: Bench) -> Tally:
    """Ask the bench the same."""
    tally = Tally()
    asked = list(zip(spec["probes"], truth, strict=True))
    for (source, destination, port), group in groupby(
        asked, key=lambda item: (item[0]["source"], item[0]["destination"], item[0]["source_port"])
    ):
        probes = list(group)
        services = ",".join(f"{p['port']}/{p['protocol']}" if p["port"] else "icmp" for p, _ in probes)
        for mode in MODES:
            result = getattr(bench, mode)(source, destination, services, source_port=port)
            for (probe, real), service in zip(probes, result["services"], strict=True):
                if _left(spec, real):
                    continue
                is_yes = arrived(spec, real) if mode == "quick" else real["connected"]
                tally.cells[mode] += 1
                tally.cells[f"{mode} YES"] += is_yes
                _judge(tally, mode, probe, real, service, result, is_yes)
    return tally


def _judge(
    tally: Tally,
    mode: str,
    probe: dict[str, Any],
    real: dict[str, Any],
    service: dict[str, Any],
    result: dict[str, Any],
    is_yes: bool,
) -> None:
    about = "{from} {source}:{source_port} -> {destination}:{port}/{protocol}".format_map(probe)
    if service["result"] == "UNKNOWN":
        reason = service["reason"] or result["reason"] or service["sentence"]
        if not reason:
            tally.wrong.append(f"{mode} {about}: UNKNOWN without a reason")
        tally.unknown[f"{mode}: {_general(reason or '')}"] += 1
    elif (service["result"] == "YES") != is_yes:
        way = " ".join(("=" if s["how"] == "self" else "") + f"{s['at']}[{s['destination']}]" for s in real["seen"])
        does = {"quick": ("arrived", "did not arrive"), "detailed": ("connected", "did not connect")}[mode]
        tally.wrong.append(
            f"{mode} {about}: the bench says {service['result']}, it {does[not is_yes]}\n"
            f"  real {way} connected={real['connected']}\n  bench path {service['path']} {service['reason']}\n"
            f"  caveats {result['caveats']}"
        )


def _general(reason: str) -> str:
    """A reason without the names and numbers of one network."""
    return re.sub(r"`[^`]*`", "`…`", re.sub(r"\b(?:\d+(?:\.\d+)*(?:/\w+)?|gw|r\d)\b", "#", reason))[:150]


def examine(seed: int, folder: Path) -> tuple[list[str], Tally]:
    """One seed: its kinds and what it showed."""
    spec = network(seed)
    (folder / "spec.json").write_text(json.dumps(spec, indent=1))
    facts = folder / "network"
    try:
        truth = truth_of(spec, facts)
        (folder / "truth.json").write_text(json.dumps(truth, indent=1))
        with running_bench(facts) as bench:
            return spec["kinds"], compare(spec, truth, bench)
    except AssertionError as bad:
        return spec["kinds"], Tally(wrong=[str(bad)])


def main() -> None:
    """Examine the seeds named on the command line."""
    words = sys.argv[1:]
    kind = words.pop(words.index("--kind") + 1) if "--kind" in words else ""
    total, networks, began = Tally(), 0, time.monotonic()
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        if word.startswith("--"):
            continue
        first, _, last = word.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            if kind and kind not in network(seed)["kinds"]:
                continue
            folder = Path(tempfile.mkdtemp(prefix=f"reachq-real-{seed}-"))
            names, tally = examine(seed, folder)
            networks += 1
            total.add(tally)
            for name in names:
                kinds[name] += Counter(
                    networks=1,
                    cells=sum(tally.cells[mode] for mode in MODES),
                    wrong=len(tally.wrong),
                    unknown=tally.unknown.total(),
                )
            for wrong in tally.wrong:
                print(f"seed {seed} {'+'.join(names)} ({folder}): {wrong}", flush=True)
            if not tally.wrong:
                shutil.rmtree(folder)
    for name, counts in sorted(kinds.items()):
        print(f"{name}: " + ", ".join(f"{value} {key}" for key, value in counts.items()))
    for reason, number in total.unknown.most_common():
        print(f"UNKNOWN {number}: {reason}")
    cells = ", ".join(f"{mode} {total.cells[mode]} cells ({total.cells[f'{mode} YES']} YES)" for mode in MODES)
    print(
        f"{networks} networks, {cells}, {len(total.wrong)} disagreements, {total.unknown.total()} UNKNOWN, "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
