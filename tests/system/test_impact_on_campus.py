"""Five planted changes of the sample network, and which of 900 answers they change. Read from the rules by hand.

Sources are the 100 hq users 10.1.10.130-229. Each is in dc-fw's set app-clients, and none is a database user.

| question | before | after |
|---|---|---|
| user → 10.3.20.8: 443 | YES by wan-2 | the same; NO for 10.1.10.200-207, dc-fw policy (app-clients) |
| user → 10.3.20.8: 80 | YES by wan-1 | YES by wan-2 (route); NO for 10.1.10.200-207, dc-fw policy |
| user → 10.3.20.8: 22 | NO, dc-fw policy | the same |
| user → 10.3.20.53: 53/udp | YES | NO, dc-fw policy (rule removed) |
| user → 10.3.80.10: 443 | YES by wan-2 | the same |
| user → 10.3.80.10: 80 | YES by wan-1 | YES by wan-2 (route) |
| user → 10.3.80.10: 8080 | NO, dc-fw rejects it | the same |
| 10.3.20.8 → user: 443 | NO, hq-core policy | YES (policy inverted) |
| user → 10.3.80.100: 443 | YES, DNAT to 10.3.20.8:8443 | NO: DNAT to 8080, which dc-core rejects; 10.1.10.200-207: dc-fw |
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.running import CAMPUS, REACHQ, System

SOURCES = [f"10.1.10.{last}" for last in range(130, 230)]
EXCLUDED = [f"10.1.10.{last}" for last in range(200, 208)]
APP, DNS, WEB, IN_DMZ = "10.3.20.8", "10.3.20.53", "10.3.80.10", "10.3.80.100"
PLANTED = {
    "dc-fw/iptables.rules": [
        ("-A to-servers -d 10.3.20.0/24 -p udp -m udp --dport 53 -j ACCEPT\n", ""),
        ("--to-destination 10.3.20.8:8443", "--to-destination 10.3.20.8:8080"),
    ],
    "dc-fw/ipset.rules": [
        (
            "add app-clients 10.1.10.64/26 nomatch\n",
            "add app-clients 10.1.10.64/26 nomatch\nadd app-clients 10.1.10.200/29 nomatch\n",
        ),
    ],
    "hq-core/iptables.rules": [(":FORWARD DROP", ":FORWARD ACCEPT")],
    "hq-gw/routes.json": [
        (
            '{"dst":"10.3.0.0/16","gateway":"10.255.11.2","dev":"eth1","protocol"',
            '{"dst":"10.3.0.0/16","gateway":"10.255.12.2","dev":"eth2","protocol"',
        )
    ],
}
Cell = tuple[str, str, str]
"""(source, destination, service)."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "data", options=["--no-first"], quick=4)
    yield system.ready()
    system.close()


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    folder = tmp_path / "changed"
    shutil.copytree(CAMPUS, folder)
    for file, edits in PLANTED.items():
        text = (folder / file).read_text()
        for old, new in edits:
            assert text.count(old) == 1, (file, old)
            text = text.replace(old, new)
        (folder / file).write_text(text)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = []
    for source in SOURCES:
        lines += [f"{source}, {APP}, 443, 80, 22", f"{source}, {DNS}, 53/udp", f"{source}, {WEB}, 443, 80, 8080"]
        lines += [f"{APP}, {source}, 443", f"{source}, {IN_DMZ}, 443"]
    file = tmp_path / "rows.txt"
    file.write_text("\n".join(lines))
    return file


def expected() -> dict[str, dict[Cell, str]]:
    """The changed cells by class, with the router that blocks them after the change, or "" if none does."""
    lost = {(source, DNS, "53/udp"): "dc-fw" for source in SOURCES}
    lost |= {(source, IN_DMZ, "443/tcp"): "dc-fw" if source in EXCLUDED else "dc-core" for source in SOURCES}
    lost |= {(source, APP, service): "dc-fw" for source in EXCLUDED for service in ("443/tcp", "80/tcp")}
    rerouted = {(source, WEB, "80/tcp"): "" for source in SOURCES}
    rerouted |= {(source, APP, "80/tcp"): "" for source in SOURCES if source not in EXCLUDED}
    return {"lost": lost, "gained": {(APP, source, "443/tcp"): "" for source in SOURCES}, "rerouted": rerouted}


def diff(system: System, *words: object) -> tuple[int, str]:
    command = [str(REACHQ), "diff", *map(str, words), "--data", str(system.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 1, 3), done.stderr
    return done.returncode, done.stdout


def test_exactly_the_planted_changes_are_found(system: System, changed: Path, rows: Path) -> None:
    code, text = diff(system, "current", changed, "--rows", rows, "--json")
    impact: dict[str, Any] = json.loads(text)["impact"]
    found: dict[str, dict[Cell, str]] = {}
    for cell in impact["cells"]:
        service = f"{cell['port']}/{cell['protocol']}"
        blocker = (cell["after"]["blocked_by"] or [""])[0]
        found.setdefault(cell["kind"], {})[cell["source"], cell["destination"], service] = blocker
    assert found == expected()
    counts = impact["counts"]
    assert (counts["questions"], counts["same"], counts["undetermined"], counts["other_rule"]) == (500, 392, 0, 0)
    assert code == 1
    routers = {router["router"]: router["summary"] for router in impact["changes"]["routers"]}
    assert Counter(routers) == {
        "dc-fw": "1 rule removed, 1 changed, 1 set entry added",
        "hq-core": "1 chain changed",
        "hq-gw": "1 route changed",
    }


def test_a_change_in_the_other_direction_is_the_opposite(system: System, changed: Path, rows: Path) -> None:
    _, text = diff(system, changed, "current", "--rows", rows, "--json")
    counts = json.loads(text)["impact"]["counts"]
    assert (counts["lost"], counts["gained"], counts["rerouted"], counts["same"]) == (100, 216, 192, 392)


def test_what_is_announced_is_as_expected_and_nothing_else(
    system: System, changed: Path, rows: Path, tmp_path: Path
) -> None:
    expectation = tmp_path / "change.yaml"
    announced = f"""version: 1
lost:
  - {{from: 10.1.10.128/25, to: {DNS}, services: 53/udp}}
  - {{from: 10.1.10.128/25, to: {IN_DMZ}}}
  - {{from: 10.1.10.200/29, to: {APP}, services: "80,443"}}
gained:
  - {{from: {APP}, to: 10.1.10.128/25, services: 443/tcp}}
rerouted: any
"""
    expectation.write_text(announced)
    code, text = diff(system, "current", changed, "--rows", rows, "--expect", expectation)
    assert (code, "As expected." in text) == (0, True)
    expectation.write_text(announced.replace("10.1.10.200/29", "10.1.10.200/30"))
    code, text = diff(system, "current", changed, "--rows", rows, "--expect", expectation)
    assert code == 1
    assert "Not as expected: 8 unexpected changes." in text
