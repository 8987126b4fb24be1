"""Rules with a match that this machine lacks: the network is loaded, and answers that depend on the match are UNKNOWN."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.conftest import Bench
from tests.bench.small import write_router
from tests.bench.test_small_networks import A, B

IPTABLES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 80 -m geoip --source-country CN,RU -j DROP
-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 81 -m geoip ! --source-country DE -m comment --comment "a -m b" -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 81 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 83 -m set --match-set pairs src,dst -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 84:88 -j ACCEPT
COMMIT
"""
IPSET = """create pairs hash:net,net family inet hashsize 1024 maxelem 65536
add pairs 10.0.0.0/8,10.1.0.0/16
create hosts hash:ip family inet hashsize 1024 maxelem 65536
"""
NFT = """table ip t {
	chain c {
		type filter hook forward priority 5; policy accept;
		tcp dport 84 meta broute set 1
		tcp dport 86 accept
		udp dport 4789 vxlan ip saddr 10.0.0.1 drop
		tcp dport 85 drop
		tcp dport 87 ip saddr 10.0.0.0/8 dup to 10.0.0.1 device lan nonsense
		tcp dport 88 drop
		tcp dport 88 queue flags nonsense to 5
	}
}
"""
RIGHT = {80: "UNKNOWN", 81: "YES", 82: "NO", 83: "UNKNOWN", 84: "UNKNOWN", 85: "NO", 86: "YES", 87: "UNKNOWN"}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    interfaces = {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24"}
    write_router(tmp_path, "gw", interfaces, iptables=IPTABLES, nft=NFT, ipset=IPSET)
    return tmp_path


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_answers(network: Path, mode: str, bench_of: Callable[[Path], Bench]) -> None:
    bench = bench_of(network)
    ask = bench.quick if mode == "quick" else bench.detailed
    document = ask(A, B, ",".join(f"{port}/tcp" for port in RIGHT))
    assert {service["port"]: service["result"] for service in document["services"]} == RIGHT
    reasons = {service["port"]: service["reason"] for service in document["services"]}
    assert "`-A FORWARD -p tcp -m tcp --dport 80 -m geoip --source-country CN,RU -j DROP`" in reasons[80]
    assert "(gw/iptables.rules:6)" in reasons[80]
    assert "this machine cannot evaluate" in reasons[80]
    if mode == "quick":
        (rule,) = [cell["rule"] for router in document["routers"] for cell in router["services"] if cell["port"] == 85]
        assert (rule["text"], rule["file"], rule["line"]) == ("tcp dport 85 drop", "gw/nft.rules", 7)


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--strict"], 2)])
def test_facts_check_names_each_rule(network: Path, words: list[str], code: int) -> None:
    command = [sys.executable, "-m", "netlab", "--check", str(network), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    named = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("WARNING gw/")]
    assert named == [f"gw/iptables.rules:{line}:" for line in (6, 8, 10)] + [
        f"gw/nft.rules:{line}:" for line in (4, 6, 8, 10)
    ]


def test_a_target_that_is_missing_is_refused(tmp_path: Path) -> None:
    interfaces = {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24"}
    rules = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m geoip --source-country CN -j MISSING\nCOMMIT\n"
    write_router(tmp_path, "gw", interfaces, iptables=rules)
    command = [sys.executable, "-m", "netlab", "--check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "gw/iptables.rules:3" in done.stderr


TARGETS = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 91 -j RAWDNAT --to-destination 10.0.2.11
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 92 -j DNETMAP --prefix 10.0.2.0/24
-A POSTROUTING -p tcp -m tcp --dport 93 -j SAME --to 10.0.2.1
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:REAL - [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -j ACCOUNT --addr 10.0.0.0/8 --tname all
-A FORWARD -p tcp -m tcp --dport 80 -m comment --comment "a -j DROP" -j TARPIT --tarpit
-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 81 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 81 -j TARPIT
-A FORWARD -s 10.9.0.0/16 -p tcp -m tcp --dport 82 -j CHAOS --tarpit
-A FORWARD -p tcp -m tcp --dport 82 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 83 -j DROP
-A FORWARD -p tcp -m tcp --dport 83 -j DELUDE
-A FORWARD -p tcp -m tcp --dport 84 -j SYSRQ --password x
-A FORWARD -p tcp -m tcp --dport 85 -j REAL
-A FORWARD -p tcp -m tcp --dport 86 -j TARPITS
-A FORWARD -p tcp -m tcp --dport 87 -m geoip --source-country CN -j TARPIT
-A FORWARD -p tcp -m tcp --dport 88 -m geoip --source-country CN -m statistic --mode random --probability 0.5 -j ECHO
-A FORWARD -p tcp -m tcp --dport 89 -j SET --add-set pairs src,dst
-A FORWARD -p tcp -m tcp --dport 87:93 -j ACCEPT
-A REAL -p tcp -j LOGMARK
-A REAL -p tcp -j ACCEPT
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --sport 90 -j TARPIT
COMMIT
"""
TARGETS_RIGHT = {
    80: "UNKNOWN",
    81: "YES",
    82: "YES",
    83: "NO",
    84: "UNKNOWN",
    85: "YES",
    86: "UNKNOWN",
    87: "UNKNOWN",
    88: "UNKNOWN",
    89: "YES",
    90: "YES",
    91: "UNKNOWN",
    92: "UNKNOWN",
    93: "UNKNOWN",
    94: "NO",
}


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    write_router(tmp_path, "gw", {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24"}, iptables=TARGETS, ipset=IPSET)
    return tmp_path


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_a_packet_that_reaches_a_missing_target_is_unknown(
    targets: Path, mode: str, bench_of: Callable[[Path], Bench]
) -> None:
    bench = bench_of(targets)
    ask = bench.quick if mode == "quick" else bench.detailed
    document = ask(A, B, ",".join(f"{port}/tcp" for port in TARGETS_RIGHT))
    right = TARGETS_RIGHT | ({90: "UNKNOWN"} if mode == "detailed" else {})  # the reply reaches a missing target
    assert {service["port"]: service["result"] for service in document["services"]} == right
    reasons = {service["port"]: service["reason"] for service in document["services"]}
    assert reasons[80] == (
        "gw: depends on a target that this machine cannot evaluate, `-A FORWARD -p tcp -m tcp --dport 80 -m comment "
        '--comment "a -j DROP" -j TARPIT --tarpit` (gw/iptables.rules:19)'
    )
    assert "(gw/iptables.rules:10)" in reasons[93]
    cells = {cell["port"]: cell for router in document["routers"] for cell in router["services"]}
    assert (cells[80]["result"], cells[80].get("rule")) == ("UNKNOWN", None)


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--strict"], 2)])
def test_facts_check_names_each_missing_target(targets: Path, words: list[str], code: int) -> None:
    command = [sys.executable, "-m", "netlab", "--check", str(targets), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    named = [line[1] for line in lines if line[0] == "WARNING" and line[1].startswith("gw/")]
    assert named == [f"gw/iptables.rules:{line}:" for line in (4, 9, 10, 19, 22, 23, 26, 27, 29, 30, 31, 39)]
    left_out = [line[1] for line in lines if line[0] == "note" and line[1].startswith("gw/")]
    assert left_out == [f"gw/iptables.rules:{line}:" for line in (18, 32, 34)]
