"""The matrix of a result: rows, merged columns, UNKNOWN apart from NO, and the text of each cell for screen readers."""

from __future__ import annotations

from typing import Any

import pytest

from app.answers import matrix as matrices
from app.answers.matrix import Matrix
from app.answers.paths import service_paths
from app.answers.rule_text import rule_text
from tests.support.results import Document, document, policy, read, read_rule, router, rule, sample, service


def matrix(result: Document) -> Matrix:
    typed = read(result)
    return matrices.matrix(typed, service_paths(typed))


def results(found: Matrix) -> list[tuple[str, ...]]:
    """(router, in, out, one letter for each cell)."""
    return [
        (row.called, *row.through.split(" → "), "".join(cell.result[:1] or "." for cell in row.cells))
        for row in found.rows
    ]


def labels(found: Matrix) -> list[str]:
    return [column.label for column in found.columns]


def test_routers_in_hop_order_services_across() -> None:
    found = matrix(sample("quick"))
    assert labels(found) == ["22/tcp", "80/tcp", "443/tcp", "53/udp", "icmp"]
    assert results(found) == [
        ("hq-core", "eth1", "eth0", "YYYYY"),
        ("hq-gw", "eth0", "eth1", "YY.YY"),
        ("hq-gw", "eth0", "eth2", "..Y.."),
        ("wan-1", "eth0", "eth1", "YY.YY"),
        ("wan-2", "eth0", "eth1", "..Y.."),
        ("dc-gw", "eth0", "eth2", "YY.NY"),
        ("dc-gw", "eth1", "eth2", "..Y.."),
        ("dc-fw", "eth0", "eth1", "NYYYY"),
        ("dc-core", "bond0", "eth2", "NYYYY"),
    ]
    assert [row.hop for row in found.rows] == [1, 2, 2, 3, 3, 4, 4, 5, 6]
    assert [cell.result for cell in found.together] == ["NO", "YES", "YES", "NO", "YES"]


def test_a_cell_in_words() -> None:
    found = matrix(sample("quick"))
    labels = {cell.spoken for row in found.rows for cell in row.cells}
    assert "dc-core, 22/tcp: NO, forward rule 10" in labels
    assert "dc-fw, 22/tcp: NO, policy DROP of FORWARD" in labels
    assert "hq-core, icmp: YES" in labels
    assert "wan-2, 22/tcp: does not pass here" in labels
    assert found.together[0].spoken == "overall, 22/tcp: NO, stopped by dc-fw, dc-core"


def test_a_packet_stopped_inside_shares_the_row_of_those_that_came_in_as_it_did() -> None:
    found = matrix(sample("detailed"))
    assert ("dc-gw", "eth0", "eth2", "YY.NY") in results(found)
    assert ("dc-fw", "eth0", "eth1", "NYY.Y") in results(found)
    assert [row.called for row in found.rows].count("dc-gw") == 2


def test_a_packet_for_the_router_itself_keeps_a_row_of_its_own() -> None:
    routers = [router("r", 1, {"22/tcp": "YES"}), router("r", 1, {"80/tcp": "YES"}, out_iface=None)]
    found = matrix(document([service("22/tcp", "YES"), service("80/tcp", "YES")], routers))
    assert results(found) == [("r", "eth0", "eth1", "Y."), ("r", "eth0", "itself", ".Y")]


def test_a_reply_has_rows_of_its_own() -> None:
    found = matrix(sample("detailed-nat"))
    assert results(found)[2:] == [("edge", "eth0", "eth1", "YYN"), ("edge, reply", "eth1", "stopped here", "NN.")]
    assert found.together[0].spoken == "overall, 80/tcp: NO, the reply is blocked by edge, PREROUTING rule 3"
    assert [cell.small for cell in found.together] == ["reply", "reply", "request"]
    stopped = found.rows[3].cells[0]
    assert stopped.spoken == "edge, reply, 80/tcp: NO, PREROUTING rule 3"
    assert stopped.rule is not None
    assert stopped.rule == found.together[0].rule
    assert (stopped.rule.where, stopped.rule.href) == ("edge/iptables.rules:7", "/network/edge#iptables.rules-7")


@pytest.mark.parametrize("name", ["quick", "quick-many", "detailed", "detailed-nat"])
def test_no_column_says_no_together_and_nowhere_else(name: str) -> None:
    found = matrix(sample(name))
    for n, together in enumerate(found.together):
        assert ("NO" in {row.cells[n].result for row in found.rows}) == (together.result == "NO")


def test_a_router_further_on_is_in_the_matrix_too() -> None:
    found = matrix(sample("detailed"))
    (core,) = [row for row in found.rows if row.called == "dc-core"]
    assert core.cells[0].spoken == "dc-core, 22/tcp: NO, would also block it"
    assert core.cells[0].small == "also blocks"
    alone = sample("detailed")
    alone["services"] = alone["services"][:1]
    assert results(matrix(alone))[-1][0] == "dc-core"
    assert matrix(alone).rows[-1].through == "further on"


def test_a_quick_yes_says_that_it_is_about_one_way() -> None:
    found = matrix(sample("quick"))
    assert [cell.small for cell in found.together] == ["", "forward path", "forward path", "", "forward path"]
    assert found.together[1].spoken == "overall, 80/tcp: YES, only the forward path was tested"
    assert {cell.small for cell in matrix(sample("detailed")).together} == {"", "request"}


def test_where_it_ends_in_the_router() -> None:
    cells = {"22/tcp": "NO"}, {"23/tcp": "YES"}, {"24/tcp": "UNKNOWN"}
    services = [service(name, answer) for each in cells for name, answer in each.items()]
    routers = [router("r", 1, each, in_iface=f"eth{n}", out_iface=None) for n, each in enumerate(cells)]
    assert {row.through for row in matrix(document(services, routers)).rows} == {
        *("eth0 → stopped here", "eth1 → itself", "eth2 → ends here")
    }


def test_unknown_is_not_a_no() -> None:
    services = [service("22/tcp", "NO"), service("23/tcp", "UNKNOWN", reason="the next hop is nobody's")]
    found = matrix(document(services, [router("r", 1, {"22/tcp": "NO", "23/tcp": "UNKNOWN"})]))
    assert labels(found) == ["22/tcp", "23/tcp"]
    assert [cell.result for cell in found.rows[0].cells] == ["NO", "UNKNOWN"]
    assert [cell.mark for cell in found.together] == ["✕", "?"]
    assert found.together[1].spoken == "overall, 23/tcp: UNKNOWN, the next hop is nobody's"


def answers(first: int, last: int, answer: Any) -> dict[str, Any]:
    return {f"{port}/tcp": answer for port in range(first, last + 1)}


def folded(given: dict[str, Any]) -> Matrix:
    services = [
        service(name, answer[0] if isinstance(answer, tuple) else answer, blocked_by=["r"])
        for name, answer in given.items()
    ]
    return matrix(document(services, [router("r", 1, given)]))


def test_ports_in_a_row_that_fare_the_same_fold() -> None:
    found = matrix(sample("quick-many"))
    assert labels(found) == ["1-21/tcp", "22/tcp", "23-24/tcp", "25/tcp", "26-40/tcp"]
    assert found.columns[0].names == tuple(f"{port}/tcp" for port in range(1, 22))
    assert found.rows[2].cells[0].spoken == "edge, 1-21/tcp: NO, FORWARD → out rule 8"


@pytest.mark.parametrize(
    "other",
    [("NO", rule("-j REJECT")), ("NO", rule(number=8)), ("UNKNOWN", rule()), "NO"],
    ids=["text", "number", "result", "no rule"],
)
def test_another_result_or_rule_does_not_fold(other: Any) -> None:
    assert labels(folded({"80/tcp": ("NO", rule()), "81/tcp": ("NO", rule())})) == ["80-81/tcp"]
    assert labels(folded({"80/tcp": ("NO", rule()), "81/tcp": other})) == ["80/tcp", "81/tcp"]


def test_few_services_that_do_not_follow_each_other_stay_apart() -> None:
    assert labels(folded({"80/tcp": "YES", "82/tcp": "YES", "83/udp": "YES"})) == ["80/tcp", "82/tcp", "83/udp"]


def test_many_services_fold_whatever_their_ports() -> None:
    odd = {f"{port}/tcp": "YES" if port < 100 else "NO" for port in range(1, 200, 2)}
    found = folded(odd)
    assert labels(found) == ["1/tcp … 99/tcp (50)", "101/tcp … 199/tcp (50)"]
    assert [cell.result for cell in found.rows[0].cells] == ["YES", "NO"]


def test_no_router_on_the_way() -> None:
    found = matrix(document([service("icmp", "YES")]))
    assert found.rows == ()
    assert [cell.spoken for cell in found.together] == ["overall, icmp: YES, only the forward path was tested"]


def test_a_rule_in_short_and_in_full() -> None:
    words = rule_text(read_rule(rule("-s 10.0.0.0/8 -j DROP", chains=("FORWARD", "users-out"))))
    assert words is not None
    assert words.short == "FORWARD → users-out rule 7"
    assert words.text == "-s 10.0.0.0/8 -j DROP"
    assert words.named == "FORWARD → users-out rule 7 (r/iptables.rules:31)"
    assert words.whole == "FORWARD → users-out rule 7 of table filter: -s 10.0.0.0/8 -j DROP (r/iptables.rules:31)"


def test_a_policy_is_called_one_and_counts_nothing() -> None:
    words = rule_text(read_rule(policy()))
    assert words is not None
    assert (words.short, words.text, words.does) == ("policy DROP of FORWARD", "", "drops")
    assert words == rule_text(read_rule(policy(text=":FORWARD DROP [0:0]")))


def test_a_rule_the_facts_do_not_show() -> None:
    words = rule_text(read_rule(rule(number=None, text=None, file=None, line=None, verdict="REJECT")))
    assert words is not None
    assert (words.short, words.where, words.whole) == (
        "a rule of FORWARD (REJECT)",
        "",
        "a rule of FORWARD (REJECT) of table filter",
    )
    assert rule_text(None) is None
