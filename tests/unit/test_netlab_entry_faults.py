"""Messages about `ip -j` output: each names the entry, and one cause is one message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netlab.errors import FactsError
from netlab.facts import reader
from netlab.facts.ip_batch import router_commands
from tests.bench.small import write_router


def problems(folder: Path, *, addr: Callable[[list[Any]], object] = list, routes: list[Any]) -> list[str]:
    """All faults of one router with these routes, after `addr` has changed its interfaces; files have one line."""
    write_router(folder, "gw", {"lan": "10.0.1.1/24", "wan": "10.0.2.1/24"})
    interfaces = json.loads((folder / "gw/addr.json").read_text())
    addr(interfaces)
    (folder / "gw/addr.json").write_text(json.dumps(interfaces))
    (folder / "gw/routes.json").write_text(json.dumps(routes))
    try:
        (router,) = reader.load(folder).routers
    except FactsError as bad:
        return [str(problem) for problem in bad.problems]
    return [str(problem) for problem in router_commands(router)[1]]


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"dst": f"10.{7 + (n >> 8)}.{n & 255}.0/24", "gateway": "10.0.2.9", "dev": "wan", **more} for n in range(count)
    ]


REALM = {"flow": {"to": "10"}}
HOPS = [{"gateway": "10.0.2.7", "dev": "wan", "weight": 1}, {"gateway": "10.0.2.8", "dev": "wan", "weight": 1, **REALM}]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dst": "10.7.0.0/16", "gateway": "10.0.2.9", "dev": "wan", **REALM}, "10.7.0.0/16 via 10.0.2.9: realms are"),
        ({"dst": "10.7.0.0/16", "nexthops": HOPS}, "10.7.0.0/16 via 10.0.2.7, 10.0.2.8: realms are not supported"),
        ({"dst": "default", "dev": "wan", "encap": "mpls"}, "default dev wan: encap is not supported"),
        ({"type": "blackhole", "dst": "10.7.0.0/16", "encap": "x"}, "blackhole 10.7.0.0/16: encap is not supported"),
        ({"dst": "10.7.0.0/16", "dev": "ppp0"}, "10.7.0.0/16 dev ppp0: device ppp0 is not in addr.json"),
        ({"dst": ["10.7.0.0/16"], "dev": "wan"}, "['10.7.0.0/16'] dev wan: dst is an array"),
        ({"dst": "10.7.0.0/16", "nexthops": 5, "dev": "wan"}, "10.7.0.0/16 dev wan: nexthops is a number"),
    ],
)
def test_the_entry_is_named(entry: dict[str, Any], message: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, routes=[*many(2), entry])
    assert found.startswith(f"gw/routes.json:1: entry 3, {message}")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"dev": "ppp0"}, "device ppp0 is not in addr.json"),
        (REALM, "realms are not supported"),
        ({"metrics": 5}, "metrics is a number, where an array was expected"),
    ],
)
def test_one_cause_is_one_message(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    found = problems(tmp_path, routes=[*many(1), *many(5_000, **more)])
    assert found == [f"gw/routes.json:1: entry 2, 10.7.0.0/24 via 10.0.2.9: {message} (and 4,999 more entries)"]


def test_many_different_faults_are_counted(tmp_path: Path) -> None:
    found = problems(tmp_path, routes=[{**route, "dev": f"ppp{n}"} for n, route in enumerate(many(100))])
    assert len(found) == 21
    assert found[-1] == "gw/routes.json:1: and 80 more faults like these"


@pytest.mark.parametrize(
    "addr",
    [
        lambda interfaces: interfaces[2].update(ifname="a/b"),
        lambda interfaces: interfaces[2].update(flags=5),
        lambda interfaces: interfaces[2]["addr_info"][0].update(local="10.0.2"),
        lambda interfaces: interfaces.__setitem__(2, "wan"),
        lambda interfaces: interfaces.clear(),
    ],
)
def test_a_fault_of_addr_json_is_not_reported_for_the_routes_too(
    addr: Callable[[list[Any]], object], tmp_path: Path
) -> None:
    (found,) = problems(tmp_path, addr=addr, routes=many(5_000))
    assert found.startswith("gw/addr.json")
