"""A result in sentences: one template for both modes, and a quick YES never claims more than was tested."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from app.answers.result_csv import COLUMNS, result_csv
from app.answers.sentences import blocked_services, sentences, summary
from tests.support.results import document, hop, policy, read, router, rule, sample, service

ENDS = "from 10.1.10.20 to 10.3.20.8"
ONE_HOP = [hop("r", "request")]
THERE_ONLY = "(return path not tested)."


def texts(result: dict[str, Any]) -> list[str]:
    return [sentence.text for sentence in sentences(read(result))]


def test_a_quick_answer() -> None:
    assert texts(sample("quick")) == [
        f"22/tcp {ENDS} is blocked by dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:4), and by dc-core, "
        "forward rule 10: reject with icmpx admin-prohibited (dc-core/nft.rules:44).",
        f"53/udp {ENDS} is blocked by dc-gw, policy DROP of FORWARD (dc-gw/iptables.rules:13).",
        f"80/tcp, icmp {ENDS} are allowed on the forward path via hq-core, hq-gw, wan-1, dc-gw, dc-fw, dc-core {THERE_ONLY}",
        f"443/tcp {ENDS} is allowed on the forward path via hq-core, hq-gw, wan-2, dc-gw, dc-fw, dc-core {THERE_ONLY}",
    ]
    assert blocked_services(read(sample("quick"))) == "22/tcp, 53/udp"


def test_a_detailed_answer_in_the_same_words() -> None:
    assert texts(sample("detailed")) == [
        f"22/tcp {ENDS} is blocked by dc-fw, policy DROP of FORWARD (dc-fw/iptables.rules:4); "
        "dc-core, further along the path, would also block it.",
        f"53/udp {ENDS} is blocked by dc-gw, policy DROP of FORWARD (dc-gw/iptables.rules:13).",
        f"80/tcp, icmp {ENDS} work in both directions via hq-core, hq-gw, wan-1, dc-gw, dc-fw, dc-core, "
        "in 0.3 to 0.5 ms.",
        f"443/tcp {ENDS} works in both directions via hq-core, hq-gw, wan-2, dc-gw, dc-fw, dc-core, in 0.4 ms.",
    ]


def test_a_reply_that_is_stopped_and_a_request_that_is_rejected() -> None:
    assert texts(sample("detailed-nat")) == [
        "80/tcp, 443/tcp from 10.1.10.20 to 8.8.8.8 fail: the request arrives, but the reply is dropped by edge, "
        "PREROUTING rule 3: -i eth1 -p tcp -m tcp --sport 0:1023 -j DROP (edge/iptables.rules:7).",
        "53/udp from 10.1.10.20 to 8.8.8.8 is rejected by edge, FORWARD → out rule 8: "
        "-j REJECT --reject-with icmp-admin-prohibited (edge/iptables.rules:35).",
    ]


@pytest.mark.parametrize(
    ("mode", "fields", "said"),
    [
        ("quick", {"result": "UNKNOWN", "reason": "no route is known"}, "has an unknown result: no route is known."),
        ("quick", {"result": "NO", "reason": "r has no route"}, "fails: r has no route."),
        ("quick", {"result": "YES"}, f"is allowed: there is no router in between {THERE_ONLY}"),
        (
            "detailed",
            {"result": "YES", "latency_ms": 0.25},
            "works in both directions (there is no router in between), in 0.2 ms.",
        ),
        (
            "detailed",
            {"result": "UNKNOWN", "outcome": "TIMEOUT", "hops": ONE_HOP},
            "has an unknown result: no reply arrived, but no router stopped a packet.",
        ),
        (
            "detailed",
            {"result": "UNKNOWN", "outcome": "REFUSED", "refused_by": "10.3.20.8", "hops": ONE_HOP},
            "has an unknown result: 10.3.20.8 refuses the connection, but no router stopped a packet.",
        ),
        (
            "detailed",
            {"result": "NO", "blocked": "request", "blocked_by": ["r"], "reason": "loop: r → s → r", "hops": ONE_HOP},
            "fails: routing loop r → s → r.",
        ),
    ],
)
def test_what_no_rule_says(mode: str, fields: dict[str, Any], said: str) -> None:
    result = fields.pop("result")
    assert texts(document([service("22/tcp", result, **fields)], mode=mode)) == [f"22/tcp {ENDS} {said}"]


def test_of_many_services_the_verb_is_of_many_and_the_time_a_range() -> None:
    hops = [hop("r", "request"), hop("r", "reply")]
    services = [service(f"{port}/tcp", "YES", hops=hops, latency_ms=port / 10) for port in (1, 2, 9)]
    (sentence,) = texts(document(services, mode="detailed"))
    assert sentence == f"1-2/tcp, 9/tcp {ENDS} work in both directions via r, in 0.1 to 0.9 ms."


def test_routers_and_rules_lead_to_their_page() -> None:
    first = sentences(read(sample("quick")))[0]
    assert [part for part in first.parts if part[1]] == [
        ("dc-fw", "/network/dc-fw"),
        ("dc-fw/iptables.rules:4", "/network/dc-fw#iptables.rules-4"),
        ("dc-core", "/network/dc-core"),
        ("dc-core/nft.rules:44", "/network/dc-core#nft.rules-44"),
    ]


def test_what_stands_beside_the_verdict() -> None:
    assert summary(read(sample("quick"))) == "2 of 5 blocked"
    assert summary(read(sample("detailed-nat"))) == ""
    assert summary(read(document([service("22/tcp", "YES")]))) == "forward path"
    assert summary(read(document([service("22/tcp", "YES")], mode="detailed"))) == ""
    mixed = [service("22/tcp", "NO"), service("23/tcp", "UNKNOWN"), service("24/tcp", "YES")]
    assert summary(read(document(mixed))) == "1 of 3 blocked, 1 of 3 unknown"
    assert summary(read(document(mixed[1:]))) == "1 of 2 unknown"


def table(result: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result_csv(read(result)), newline="")))


@pytest.mark.parametrize("name", ["quick", "quick-many", "detailed", "detailed-nat"])
def test_the_rule_that_stops_is_always_in_the_table(name: str) -> None:
    lines = table(sample(name))
    assert list(lines[0]) == COLUMNS
    for entry in sample(name)["services"]:
        if entry["result"] == "NO":
            called = f"{entry['port']}/{entry['protocol']}"
            stops = [one for one in lines if one["service"] == called and one["result"] == "NO" and one["rule"]]
            assert stops, called
            assert all(one["file"] and one["line"] for one in stops)


def test_the_table_has_the_way_back() -> None:
    (back,) = [
        one for one in table(sample("detailed-nat")) if one["service"] == "80/tcp" and one["direction"] == "reply"
    ]
    assert (back["answer"], back["router"], back["result"]) == ("NO", "edge", "NO")
    assert back["rule"] == "PREROUTING rule 3: -i eth1 -p tcp -m tcp --sport 0:1023 -j DROP"
    assert (back["file"], back["line"]) == ("edge/iptables.rules", "7")
    assert {one["direction"] for one in table(sample("quick"))} == {"request"}


def test_the_table_says_why_where_no_rule_does() -> None:
    (row,) = [one for one in table(sample("detailed")) if one["note"]]
    assert (row["router"], row["hop"], row["note"]) == ("dc-core", "", "further on; would also block it")
    nowhere = document([service("22/tcp", "NO", reason="r has no route")], [router("r", 1, {"22/tcp": "NO"})])
    assert [one["note"] for one in table(nowhere)] == ["r has no route"]
    assert [one["note"] for one in table(document([service("22/tcp", "UNKNOWN", reason="nobody knows")]))] == [
        "nobody knows"
    ]
    by_rule = document([service("22/tcp", "NO")], [router("r", 1, {"22/tcp": ("NO", policy())})])
    assert [(one["rule"], one["note"]) for one in table(by_rule)] == [("policy DROP of FORWARD", "")]
    formula = document([service("22/tcp", "NO")], [router("=r", 1, {"22/tcp": ("NO", rule("=1", file="+x"))})])
    assert [(one["router"], one["file"]) for one in table(formula)] == [("'=r", "'+x")]
