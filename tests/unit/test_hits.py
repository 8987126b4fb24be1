"""Which rules a result names: one hit for each service on each router, replies apart, never more than are kept."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.runs import hits
from ledger.runs.hits import counted, facts_of, stopped_by


def rule(router: str, line: int, *, policy: bool = False) -> dict[str, Any]:
    """A rule as a result quotes it; this policy is written nowhere."""
    return {
        "family": "ip",
        "table": "filter",
        "chain": "FORWARD",
        "file": None if policy else f"{router}/iptables.rules",
        "line": None if policy else line,
        "policy": policy,
    }


def cell(port: int | None, found: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = {"port": port, "protocol": "icmp" if port is None else "tcp", "result": "NO" if found else "YES"}
    return answer | ({"rule": found} if found else {})


def router(name: str, *cells: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "hop": 1, "in": "eth0", "out": "eth1", "services": list(cells)}


def hop(name: str, direction: str, found: dict[str, Any] | None) -> dict[str, Any]:
    return {"router": name, "direction": direction, "rule": found}


def test_each_service_on_each_router_counts_once() -> None:
    result = {
        "routers": [
            router("gw", cell(22), cell(80, rule("gw", 7)), cell(443, rule("gw", 7)), cell(None, rule("gw", 9))),
            router("gw", cell(80, rule("gw", 7))),  # met again by the same service: it was decided once
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


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"routers": [], "services": []},
        {"routers": [router("gw", cell(22), {"rule": None}, {"rule": {"policy": False, "file": None, "line": None}})]},
        {"routers": [{}], "services": [{"port": None}, {"hops": [{}]}]},
    ],
)
def test_what_names_no_rule_counts_nothing(result: dict[str, Any]) -> None:
    assert counted(result) == {}


def test_of_too_many_those_that_decided_most_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "NAMES_MAX", 2)
    cells = [cell(port, rule("gw", port % 3)) for port in range(10)]
    assert counted({"routers": [router("gw", *cells)]}) == {"gw/iptables.rules:0": 4, "gw/iptables.rules:1": 3}


@pytest.mark.parametrize("facts", [None, "", "3F2A", "../x", "a" * 65, "3f2a9c…", 7])
def test_a_digest_that_is_none_is_not_used(facts: object) -> None:
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
    services = [{"port": n, "protocol": "tcp", "blocked_by": [f"r{n}"]} for n in range(5)]
    assert stopped_by({"services": services}) == "r0, r1, r2 and 2 more"
