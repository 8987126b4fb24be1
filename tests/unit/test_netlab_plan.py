"""From `ip -j` entries to lines of `ip -batch`, and the entries that have no counterpart."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from netlab.errors import FactsError, Problem
from netlab.facts import reader
from netlab.facts.ip_batch import router_commands
from netlab.topology.topology import Topology
from tests.bench.small import write_router

CAMPUS = Path(__file__).parents[2] / "networks" / "campus"


OWN = {"type": "local", "dst": "10.0.1.1", "dev": "eth0", "table": "local", "protocol": "kernel", "scope": "host"}
"""The kernel's route to one of the router's own addresses."""


def planned(
    folder: Path, *, routes: list[dict[str, Any]] | None = None, rules: list[dict[str, Any]] | None = None
) -> Any:
    """Commands' texts and problems of one router with these entries."""
    write_router(folder, "r1", {"eth0": "10.0.1.1/24", "eth1": "10.0.2.1/24"})
    if routes is not None:
        (folder / "r1" / "routes.json").write_text(json.dumps(routes))
    if rules is not None:
        (folder / "r1" / "rules.json").write_text(json.dumps(rules))
    (router,) = reader.load(folder).routers
    commands, problems = router_commands(router)
    return [command.text for command in commands], [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"dst": "default", "gateway": "10.0.1.2", "dev": "eth0"}, "route add unicast default via 10.0.1.2 dev eth0"),
        ({"type": "blackhole", "dst": "10.5.0.0/16", "metric": 5}, "route add blackhole 10.5.0.0/16 metric 5"),
        (
            {"dst": "10.5.0.0/16", "dev": "eth0", "scope": "link", "prefsrc": "10.0.1.1", "tos": "0x10"},
            "route add unicast 10.5.0.0/16 tos 0x10 scope link src 10.0.1.1 dev eth0",
        ),
        (
            {"dst": "10.5.0.0/16", "gateway": "172.16.0.1", "dev": "eth0", "flags": ["onlink"], "table": "isp"},
            "route add unicast 10.5.0.0/16 table 10000 via 172.16.0.1 dev eth0 onlink",
        ),
        ({"dst": "10.5.0.0/16", "dev": "eth0", "table": "77"}, "route add unicast 10.5.0.0/16 table 77 dev eth0"),
        (
            {"dst": "10.5.0.0/16", "nexthops": [{"gateway": "10.0.1.2", "dev": "eth0", "weight": 2}, {"dev": "eth1"}]},
            "route add unicast 10.5.0.0/16 nexthop via 10.0.1.2 dev eth0 weight 2 nexthop dev eth1 weight 1",
        ),
        ({"dst": "10.5.0.0/16", "dev": "eth0", "metrics": [{"mtu": 1400}]}, "route add unicast 10.5.0.0/16 dev eth0"),
    ],
)
def test_routes(tmp_path: Path, entry: dict[str, Any], line: str) -> None:
    texts, problems = planned(tmp_path, routes=[entry])
    assert problems == []
    assert texts[-1] == line


@pytest.mark.parametrize(
    "entry",
    [
        {"dst": "2001:db8::/32", "dev": "eth0", "flags": []},
        {"dst": "default", "gateway": "fe80::1", "dev": "eth0", "pref": "medium"},
        {"type": "broadcast", "dst": "10.0.1.255", "dev": "eth0", "table": "local", "protocol": "kernel"},
        {"type": "local", "dst": "10.0.1.1", "dev": "eth0", "table": "local", "protocol": "kernel"},
        {"dst": "10.5.0.0/16", "gateway": "10.0.1.2", "dev": "eth0", "flags": ["dead", "linkdown"]},
        {},
    ],
)
def test_routes_that_are_passed_over(tmp_path: Path, entry: dict[str, Any]) -> None:
    texts, problems = planned(tmp_path, routes=[entry, OWN])
    assert problems == []
    assert not any(text.startswith("route") for text in texts)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"src": "10.1.0.0", "srclen": 16, "table": "main"}, "from 10.1.0.0/16 lookup 254"),
        ({"not": None, "src": "all", "dst": "10.1.2.3", "table": "5"}, "from all to 10.1.2.3 lookup 5"),
        ({"src": "all", "fwmark": "0x10", "fwmask": "0xf0", "table": "isp"}, "from all fwmark 0x10/0xf0 lookup 10000"),
        (
            {"src": "all", "iif": "eth0", "iif_detached": None, "oif": "eth1", "goto": 9},
            "from all iif eth0 oif eth1 goto 9",
        ),
        ({"src": "all", "tos": "0x10", "action": "blackhole"}, "from all tos 0x10 blackhole"),
        (
            {"src": "all", "ipproto": "tcp", "dport": 22, "sport_start": 5, "sport_end": 9, "nop": None},
            "from all ipproto tcp sport 5-9 dport 22 nop",
        ),
        (
            {"src": "all", "uid_start": 0, "uid_end": 9, "table": "main", "suppress_prefixlen": 0},
            "from all uidrange 0-9 lookup 254 suppress_prefixlength 0",
        ),
    ],
)
def test_rules(tmp_path: Path, entry: dict[str, Any], line: str) -> None:
    texts, problems = planned(tmp_path, rules=[{"priority": 7, **entry}])
    assert problems == []
    negated = "not " if "not" in entry else ""
    assert texts[-1] == f"rule add {negated}priority 7 {line}"
    assert "rule flush" in texts


@pytest.mark.parametrize(
    ("kind", "entry", "why"),
    [
        ("routes", {"dst": "10.5.0.0/16", "dev": "eth0", "encap": "ip"}, "encap is not supported"),
        (
            "routes",
            {"dst": "10.5.0.0/16", "dev": "eth0", "via": {"family": "inet6", "host": "::1"}},
            "an IPv6 next hop",
        ),
        ("routes", {"dst": "10.5.0.0/16 x", "dev": "eth0"}, "is not an IPv4 network"),
        ("routes", {"dst": "10.5.0.0/16#", "dev": "eth0"}, "is not an IPv4 network"),
        ("routes", {"dst": "", "dev": "eth0"}, "is not an IPv4 network"),
        ("routes", {"dst": "10.5.0.0/16\ud800", "dev": "eth0"}, "is not an IPv4 network"),
        ("routes", {"dev": "eth0"}, "is not what `ip -j` prints: KeyError"),
        ("rules", {"priority": 5, "src": "all"}, "does not say what to do"),
        ("rules", {"priority": 5, "src": "all", "l3mdev": None}, "l3mdev is not supported"),
        ("rules", {"src": "all", "table": "5"}, "KeyError"),
        (
            "rules",
            {"priority": 5, "src": "all", "ipproto": "tcp", "sport": 0, "table": "5"},
            "sport is not in the range 1-65535",
        ),
        ("rules", {"priority": 5, "src": "all", "dport_start": 1, "dport_end": 99999, "table": "5"}, "dport is not"),
    ],
)
def test_what_has_no_counterpart(tmp_path: Path, kind: str, entry: dict[str, Any], why: str) -> None:
    entries: Any = {
        kind: [{"dst": "10.6.0.0/16", "dev": "eth0"} if kind == "routes" else {"priority": 1, "table": "9"}, entry]
    }
    _, (problem,) = planned(tmp_path, **entries)
    assert problem.startswith(f"r1/{kind}.json:1: ")
    assert why in problem


def test_routes_without_gateway_come_first(tmp_path: Path) -> None:
    entries = [{"dst": "default", "gateway": "10.7.0.1"}, {"dst": "10.7.0.0/16", "dev": "eth0", "scope": "link"}]
    texts, _ = planned(tmp_path, routes=entries)
    assert [text.split()[3] for text in texts if text.startswith("route")] == ["10.7.0.0/16", "default"]


def test_connected_routes_come_from_the_dump_when_it_has_them(tmp_path: Path) -> None:
    texts, _ = planned(tmp_path)
    assert "addr add 10.0.1.1/24 dev eth0 noprefixroute" in texts
    assert any(text.startswith("route add unicast 10.0.1.0/24") for text in texts)
    bare, _ = planned(tmp_path / "b", routes=[OWN])
    assert "addr add 10.0.1.1/24 dev eth0" in bare


OTHERS: list[Any] = [None, True, 0, -1, 10**30, 1.5, "", "x y", "default", "10.0.0.1", [], [1], {}, {"a": 1}, "\ud800"]


def spoil(random: Random, text: str) -> str:
    """The JSON with one to three values replaced or removed."""
    data = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            places.append((node, key))
            walk(value)

    walk(data)
    for node, key in random.sample(places, random.choice([1, 1, 3])):
        if isinstance(node, dict) and random.random() < 0.2:
            node.pop(key, None)
        else:
            node[key] = random.choice(OTHERS)
    return json.dumps(data)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_stands_in_a_field_there_is_no_crash(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    for router in ("hq-gw", "dc-gw"):
        (tmp_path / router).mkdir()
        for file in (CAMPUS / router).iterdir():
            (tmp_path / router / file.name).write_bytes(file.read_bytes())
    spoiled = random.choice(sorted(tmp_path.glob("*/*.json")))
    spoiled.write_text(spoil(random, spoiled.read_text()))
    refused: list[Problem] = []
    try:
        found = reader.load(tmp_path)
        Topology(found)
        planned = [problem for router in found.routers for problem in router_commands(router)[1]]
    except FactsError as bad:
        refused, planned = list(bad.problems), []
    assert all(problem.file and problem.message for problem in refused)
    assert all(problem.line for problem in planned)
