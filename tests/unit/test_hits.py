"""Which rules a result names: one hit for each service on each router, replies apart, never more than are kept."""

from __future__ import annotations

from typing import Any

import pytest

from netlab.results import hits
from netlab.results.document import Result
from tests.support.results import document, read


def rule(router: str, line: int, *, policy: bool = False) -> dict[str, Any]:
    """A rule as a result quotes it; the facts do not show this policy."""
    return {
        "family": "ip",
        "table": "filter",
        "chain": "FORWARD",
        "chains": ["FORWARD"],
        "number": None if policy else line,
        "text": None,
        "file": None if policy else f"{router}/iptables.rules",
        "line": None if policy else line,
        "hook": "forward",
        "verdict": "DROP",
        "policy": policy,
    }


def whole(parts: dict[str, Any]) -> Result:
    """A result with these parts, detailed when a service has hops."""
    services = [{"result": "NO", "path": [], "blocked_by": []} | service for service in parts.get("services", [])]
    mode = "detailed" if any("hops" in service for service in services) else "quick"
    return read(document(services, parts.get("routers"), mode=mode, facts=parts.get("facts", "ab12")))


def counted(parts: dict[str, Any]) -> dict[str, int]:
    return hits.counted(whole(parts))


def stopped_by(parts: dict[str, Any]) -> str:
    return hits.stopped_by(whole(parts))


def facts_of(parts: dict[str, Any]) -> str:
    return hits.facts_of(whole(parts))


def cell(port: int | None, found: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = {"port": port, "protocol": "icmp" if port is None else "tcp", "result": "NO" if found else "YES"}
    return answer | ({"rule": found} if found else {})


def router(name: str, *cells: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "hop": 1, "in": "eth0", "out": "eth1", "services": list(cells)}


def hop(name: str, direction: str, found: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "router": name,
        "direction": direction,
        "in": None,
        "out": None,
        "result": "YES",
        "nat": None,
        "rule": found,
    }


def test_each_service_on_each_router_counts_once() -> None:
    result = {
        "routers": [
            router("gw", cell(22), cell(80, rule("gw", 7)), cell(443, rule("gw", 7)), cell(None, rule("gw", 9))),
            router("gw", cell(80, rule("gw", 7))),  # passed again by the same service: it counts once
            router("core", cell(22, rule("core", 1, policy=True)), cell(80, rule("core", 1, policy=True))),
        ],
        "services": [],
    }
    assert counted(result) == {
        "core/ip filter FORWARD policy": 2,
        "gw/iptables.rules:7": 2,
        "gw/iptables.rules:9": 1,
    }


def test_a_policy_is_named_by_its_line_where_it_has_one() -> None:
    policy = rule("gw", 4) | {"policy": True}
    assert counted({"routers": [router("gw", cell(22, policy))]}) == {"gw/iptables.rules:4": 1}


def test_a_detailed_run_counts_there_and_back() -> None:
    there, back = rule("gw", 7), rule("gw", 3)
    result = {
        "routers": [router("gw", cell(22, there))],
        "services": [
            {"port": 22, "protocol": "tcp", "hops": [hop("gw", "request", there), hop("gw", "reply", back)]},
            {"port": 80, "protocol": "tcp", "hops": [hop("gw", "reply", there), hop("gw", "reply", None)]},
        ],
    }
    assert counted(result) == {"gw/iptables.rules:7": 2, "gw/iptables.rules:3": 1}


def test_what_names_no_rule_counts_nothing() -> None:
    without_place = rule("gw", 1, policy=True) | {"policy": False}
    assert counted({"routers": [router("gw", cell(22), cell(23) | {"rule": without_place})]}) == {}


def test_of_too_many_those_that_decided_most_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "NAMES_MAX", 2)
    cells = [cell(port, rule("gw", port % 3)) for port in range(1, 11)]
    assert counted({"routers": [router("gw", *cells)]}) == {"gw/iptables.rules:1": 4, "gw/iptables.rules:0": 3}


@pytest.mark.parametrize("facts", ["", "3F2A", "../x", "a" * 65, "3f2a9c…"])
def test_a_digest_that_is_none_is_not_used(facts: str) -> None:
    assert facts_of({"facts": facts}) == ""
    assert facts_of({"facts": "b17e42431a16"}) == "b17e42431a16"


def test_who_stopped_it_first() -> None:
    services = [
        {"port": port, "protocol": "tcp", "blocked_by": by}
        for port, by in ((22, ["gw", "core"]), (80, []), (443, ["core"]))
    ]
    routers = [
        router("gw", cell(22, rule("gw", 7))),
        router("core", cell(22, rule("core", 3)), cell(443, rule("core", 0, policy=True))),
    ]
    assert stopped_by({"services": services, "routers": routers}) == "gw iptables.rules:7, core"
    assert stopped_by({"services": [{"port": 1, "protocol": "tcp", "blocked_by": []}]}) == ""


def test_a_stopped_reply_names_who_stopped_it() -> None:
    back = hop("edge", "reply", rule("edge", 9)) | {"result": "NO"}
    service = {
        "port": 22,
        "protocol": "tcp",
        "blocked_by": ["edge"],
        "hops": [hop("edge", "request", None) | {"result": "YES"}, back],
    }
    assert stopped_by({"services": [service], "routers": [router("edge", cell(22))]}) == "edge iptables.rules:9"


def test_a_long_list_of_stoppers_is_cut() -> None:
    services = [{"port": n, "protocol": "tcp", "blocked_by": [f"r{n}"]} for n in range(1, 6)]
    assert stopped_by({"services": services}) == "r1, r2, r3 and 2 more"
