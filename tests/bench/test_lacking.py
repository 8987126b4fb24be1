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
-A FORWARD -p tcp -m tcp --dport 84:86 -j ACCEPT
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
	}
}
"""
RIGHT = {80: "UNKNOWN", 81: "YES", 82: "NO", 83: "UNKNOWN", 84: "UNKNOWN", 85: "NO", 86: "YES"}


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
    assert named == [f"gw/iptables.rules:{line}:" for line in (6, 8, 10)] + ["gw/nft.rules:4:", "gw/nft.rules:6:"]


def test_a_target_that_is_missing_is_refused(tmp_path: Path) -> None:
    interfaces = {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24"}
    rules = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m geoip --source-country CN -j MISSING\nCOMMIT\n"
    write_router(tmp_path, "gw", interfaces, iptables=rules)
    command = [sys.executable, "-m", "netlab", "--check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "gw/iptables.rules:3" in done.stderr
