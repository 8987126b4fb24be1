"""The loaded part of `nft list ruleset`, with unchanged line numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netlab.facts.reader import RouterFacts
from netlab.rules.native_tables import loadable


def router(nft: str, iptables: str = "") -> RouterFacts:
    return RouterFacts("r1", (), (), None, iptables, "", nft)


IPTABLES = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n*nat\nCOMMIT\n"
SHOWN = """# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		meta l4proto tcp # xt_tcp counter packets 0 bytes 0 accept
		xt match "string" drop
	}
}
table ip6 filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet own {
	chain c { type filter hook forward priority 5; policy accept; log prefix "} table ip x {" }
}
table ip nat {
}
"""


def test_tables_of_iptables_and_ipv6_are_blanked() -> None:
    text, problems = loadable(router(SHOWN, IPTABLES))
    assert problems == []
    lines = text.split("\n")
    assert [number for number, line in enumerate(lines, start=1) if line] == [1, 14, 15, 16]
    assert "own" in lines[13]


def test_a_native_table_of_the_same_name_in_another_family_stays() -> None:
    text, problems = loadable(router("table inet filter {\n}\ntable bridge nat {\n}\n", IPTABLES))
    assert (text, problems) == ("table inet filter {\n}\ntable bridge nat {\n}", [])


def test_iptables_table_that_iptables_rules_lacks() -> None:
    _, (problem,) = loadable(router(SHOWN.split("table ip6")[0].replace("xt", "x"), "*nat\nCOMMIT\n"))
    assert str(problem).startswith("r1/nft.rules:2: table filter is iptables', but iptables.rules lacks it")


def test_rules_that_cannot_be_read_back() -> None:
    _, problems = loadable(
        router('table ip own {\n\tchain c {\n\t\tcounter # xt_string drop\n\t\tlog prefix "# xt_x"\n\t}\n}')
    )
    assert [(problem.file, problem.line) for problem in problems] == [("r1/nft.rules", 3)]


def test_flowtables_are_left_out_and_rules_keep_their_number() -> None:
    text, problems = loadable(
        router(
            """table inet f {
\tflowtable ft {
\t\thook ingress priority filter
\t\tdevices = { lan, up }
\t}
\tflowtable one { hook ingress priority 0; devices = { lan }; }
\tchain c {
\t\ttype filter hook forward priority filter; policy accept;
\t\tflow add @ft
\t\tmeta l4proto { tcp, udp } flow offload @ft counter packets 0 bytes 0
\t\ttcp dport 80 drop
\t}
}"""
        )
    )
    assert problems == []
    lines = text.split("\n")
    assert lines[1:6] == [""] * 5
    assert [line.strip() for line in lines[8:11]] == [
        "counter",
        "meta l4proto { tcp, udp } counter counter packets 0 bytes 0",
        "tcp dport 80 drop",
    ]


names = st.sampled_from(["filter", "nat", "own", "t-1"])
families = st.sampled_from(["", "ip ", "ip6 ", "inet ", "bridge "])
bodies = st.sampled_from(
    [
        [],
        ["\tchain c {", "\t\tdrop # }", "\t}"],
        ["\tset s {", "\t\telements = { 1, 2 }", "\t}"],
        ['\t\tcomment "{{"', ""],
    ]
)


@given(st.lists(st.tuples(families, names, bodies), max_size=6), st.booleans())
def test_no_line_moves(tables: list[tuple[str, str, list[str]]], saved: bool) -> None:
    lines: list[str] = []
    for family, name, body in tables:
        lines += [f"table {family}{name} {{", *body, "}"]
    text, _ = loadable(router("\n".join(lines), IPTABLES if saved else ""))
    kept = text.split("\n") if lines else []
    assert len(kept) == len(lines)
    assert all(after in ("", before) for before, after in zip(lines, kept, strict=True))
    at = 0
    for family, name, body in tables:
        stop_reason = family == "ip6 " or (saved and family in ("", "ip ") and name in ("filter", "nat"))
        assert bool(kept[at]) != stop_reason
        at += len(body) + 2
