"""Each NO of a quick run names the rule behind it, as the router's own files show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.conftest import Bench
from tests.bench.small import write_router

Start = Callable[[Path], Bench]
A, B = "10.0.1.9", "10.0.2.9"


def rules(result: dict[str, Any]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(router, service) of every NO -> (table, chains, number, file:line, verdict)."""
    found = {}
    for router in result["routers"]:
        for cell in router["services"]:
            if cell["result"] != "NO":
                assert "rule" not in cell
                continue
            rule = cell.get("rule")
            where = rule and (
                rule["table"],
                " ".join(rule["chains"]),
                rule["number"],
                f"{rule['file']}:{rule['line']}",
                rule["verdict"],
            )
            found[(router["name"], f"{cell['port']}/{cell['protocol']}")] = where
    return found


def test_every_kind_of_stop_is_named(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"},
        "10.0.2.0/24 via 10.9.0.2 dev up",
        iptables="""*raw
        -A PREROUTING -p tcp --dport 20 -j DROP
        COMMIT
        *mangle
        :PREROUTING ACCEPT [0:0]
        -A PREROUTING -p tcp --dport 21 -j DROP
        COMMIT
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [0:0]
        :outer - [0:0]
        :inner - [0:0]
        -A FORWARD -p tcp --dport 22 -j LOG
        -A FORWARD -p tcp --dport 22 -j REJECT --reject-with tcp-reset
        -A FORWARD -j outer
        -A FORWARD -p tcp --dport 26 -j ACCEPT
        -A outer -p tcp --dport 23 -g inner
        -A outer -p tcp --dport 24 -j RETURN
        -A outer -p tcp --dport 25 -j inner
        -A inner -p tcp -j DROP
        COMMIT""",
    )
    write_router(
        tmp_path,
        "r2",
        {"up": "10.9.0.2/30", "lan": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.1 dev up",
        nft="""table inet guard {
        set long {
        type inet_service
        elements = { 1, 2, 3,
        4, 5 }
        }
        chain forward {
        type filter hook forward priority filter; policy accept;
        tcp dport { 7, 8,
        9 } counter packets 0 bytes 0 accept
        tcp dport 26 jump refuse
        tcp dport vmap { 22 : drop, 24 : goto refuse }
        }
        chain refuse {
        meta mark set 0x00000005
        reject with icmpx admin-prohibited
        }
        }""",
    )
    result = bench_of(tmp_path).quick(A, B, ",".join(f"{port}/tcp" for port in range(20, 28)))
    ip, nft = "r1/iptables.rules", "r2/nft.rules"
    assert rules(result) == {
        ("r1", "20/tcp"): ("raw", "PREROUTING", 1, f"{ip}:2", "DROP"),
        ("r1", "21/tcp"): ("mangle", "PREROUTING", 1, f"{ip}:6", "DROP"),
        ("r1", "22/tcp"): ("filter", "FORWARD", 2, f"{ip}:14", "REJECT"),
        ("r1", "23/tcp"): ("filter", "FORWARD outer inner", 1, f"{ip}:20", "DROP"),
        ("r1", "24/tcp"): ("filter", "FORWARD", None, f"{ip}:10", "DROP"),
        ("r1", "25/tcp"): ("filter", "FORWARD outer inner", 1, f"{ip}:20", "DROP"),
        ("r1", "27/tcp"): ("filter", "FORWARD", None, f"{ip}:10", "DROP"),
        ("r2", "22/tcp"): ("guard", "forward", 3, f"{nft}:12", "DROP"),
        ("r2", "24/tcp"): ("guard", "forward refuse", 2, f"{nft}:16", "REJECT"),
        ("r2", "26/tcp"): ("guard", "forward refuse", 2, f"{nft}:16", "REJECT"),
    }
    texts = {cell["rule"]["text"] for router in result["routers"] for cell in router["services"] if "rule" in cell}
    assert "-A FORWARD -p tcp --dport 22 -j REJECT --reject-with tcp-reset" in texts
    assert ":FORWARD DROP [0:0]" in texts


def test_routing_refuses_without_a_rule(tmp_path: Path, bench_of: Start) -> None:
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24"}, "blackhole 10.66.0.0/16")
    assert rules(bench_of(tmp_path).quick(A, "10.66.0.1", "80/tcp")) == {("r1", "80/tcp"): None}


def test_input_and_output_rules(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24"},
        filter_=""":INPUT DROP [0:0]
        -A INPUT -p tcp --dport 22 -j ACCEPT
        -A OUTPUT -p tcp --dport 25 -j DROP""",
    )
    bench = bench_of(tmp_path)
    assert rules(bench.quick(A, "10.0.1.1", "22/tcp,23/tcp")) == {
        ("r1", "23/tcp"): ("filter", "INPUT", None, "r1/iptables.rules:2", "DROP")
    }
    assert rules(bench.quick("10.0.1.1", A, "25/tcp")) == {
        ("r1", "25/tcp"): ("filter", "OUTPUT", 1, "r1/iptables.rules:4", "DROP")
    }


def test_a_hundred_refused_services_all_have_their_rule(campus: Bench) -> None:
    result = campus.quick("10.1.10.20", "10.3.20.8", ",".join(f"{port}/tcp" for port in range(2000, 2100)))
    found = rules(result)
    assert len(found) >= 100
    assert all(found.values())
