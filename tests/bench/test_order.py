"""No answer depends on an earlier question, or on the other services of a run: rules that remember, count or draw lots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from netlab.results.document import NO, UNKNOWN, YES
from tests.bench.conftest import Bench
from tests.bench.small import write_router
from tests.bench.test_small_networks import A, B

IPTABLES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1001 -m limit --limit 1/min --limit-burst 1 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1002 -m hashlimit --hashlimit-upto 1/min --hashlimit-burst 1 --hashlimit-name a -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1003 -m hashlimit --hashlimit-above 1/min --hashlimit-burst 1 --hashlimit-name b -j DROP
-A FORWARD -p tcp -m tcp --dport 1003 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1004 -m connlimit --connlimit-above 1 --connlimit-mask 32 --connlimit-saddr -j DROP
-A FORWARD -p tcp -m tcp --dport 1004 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1005 -m quota --quota 100 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1006 -m recent --set --name s --rsource
-A FORWARD -p tcp -m tcp --dport 1006 -m recent --rcheck --seconds 60 --hitcount 2 --name s --rsource -j DROP
-A FORWARD -p tcp -m tcp --dport 1006 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1007 -m set --match-set known src -j DROP
-A FORWARD -p tcp -m tcp --dport 1007 -j SET --add-set known src
-A FORWARD -p tcp -m tcp --dport 1007 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1008 -m set ! --match-set allowed src -j DROP
-A FORWARD -p tcp -m tcp --dport 1008 -j SET --del-set allowed src
-A FORWARD -p tcp -m tcp --dport 1008 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1009 -m statistic --mode random --probability 0.50000000000 -j DROP
-A FORWARD -p tcp -m tcp --dport 1009 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1010 -m statistic --mode nth --every 2 --packet 0 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 1010 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 2001:2012 -j ACCEPT
COMMIT
"""
IPSET = """create known hash:ip family inet hashsize 1024 maxelem 65536
add known 192.0.2.77
create allowed hash:ip family inet hashsize 1024 maxelem 65536 timeout 600
add allowed 10.0.1.9 timeout 300
"""
NFT = """table inet t {
	limit once {
		rate 1/minute burst 1 packets
	}
	set bad {
		type ipv4_addr
		flags dynamic
		elements = { 192.0.2.78 }
	}
	set gone {
		type ipv4_addr
		flags dynamic
		elements = { 10.0.1.9 }
	}
	map port {
		type ipv4_addr : mark
		flags dynamic
		elements = { 10.0.1.9 : 0x00000001 }
	}
	set meter1 {
		type ipv4_addr
		flags dynamic
	}
	chain forward {
		type filter hook forward priority 5; policy accept;
		tcp dport 2001 ip saddr @bad drop
		tcp dport 2001 add @bad { ip saddr }
		tcp dport 2002 ip saddr != @gone drop
		tcp dport 2002 delete @gone { ip saddr }
		tcp dport 2003 meta mark set ip saddr map @port
		tcp dport 2003 meta mark 0x00000002 drop
		tcp dport 2003 update @port { ip saddr : 0x00000002 }
		tcp dport 2004 limit rate over 1/minute burst 1 packets drop
		tcp dport 2005 limit name "once" accept
		tcp dport 2005 drop
		tcp dport 2006 ct count over 1 drop
		tcp dport 2007 quota over 100 bytes drop
		tcp dport 2008 numgen random mod 2 vmap { 0 : accept, 1 : drop }
		tcp dport 2009 numgen inc mod 3 vmap { 0 : accept, 1 : accept, 2 : accept }
		tcp dport 2010 update @meter1 { ip saddr limit rate over 1/minute burst 1 packets } drop
		tcp dport 2011 ip saddr @bad drop
		tcp dport 2012 add @bad { ip saddr } ip saddr @bad drop
	}
}
"""
EXPECTED = (
    dict.fromkeys([*range(1001, 1009), 1010, *range(2001, 2008), 2009, 2010, 2011], YES)
    | dict.fromkeys([1009, 2008], UNKNOWN)
    | {2012: NO}
)


def services(ports: list[int]) -> str:
    return ",".join(f"{port}/tcp" for port in ports)


@pytest.fixture
def remembering(tmp_path: Path, bench_of: Callable[[Path], Bench]) -> Bench:
    """One router whose rules remember, count and draw lots in every way there is."""
    interfaces = {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24"}
    write_router(tmp_path, "gw", interfaces, iptables=IPTABLES, nft=NFT, ipset=IPSET)
    return bench_of(tmp_path)


def results(document: dict[str, Any]) -> dict[int, str]:
    return {service["port"]: service["result"] for service in document["services"]}


@pytest.mark.parametrize("seed", range(5))
def test_one_question_after_another_in_any_order(remembering: Bench, seed: int) -> None:
    random = Random(seed)
    ports = [*EXPECTED, *EXPECTED]
    random.shuffle(ports)
    for port in ports:
        ask = random.choice([remembering.quick, remembering.quick, remembering.detailed])
        assert results(ask(A, B, services([port]))) == {port: EXPECTED[port]}, (ask.__name__, port)


@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_the_services_of_one_run(remembering: Bench, mode: str) -> None:
    ask = remembering.quick if mode == "quick" else remembering.detailed
    for seed in range(3):
        ports = list(EXPECTED)
        Random(seed).shuffle(ports)
        assert results(ask(A, B, services(ports))) == EXPECTED


def test_the_rule_that_is_named_decided_the_first_packet(remembering: Bench) -> None:
    document = remembering.quick(A, B, "2012/tcp")
    (cell,) = [cell for router in document["routers"] for cell in router["services"]]
    assert cell["rule"]["text"] == "tcp dport 2012 add @bad { ip saddr } ip saddr @bad drop"


def test_a_rule_by_chance_is_named_in_the_reason(remembering: Bench) -> None:
    (service,) = remembering.quick(A, B, "1009/tcp")["services"]
    assert "statistic --mode random" in service["reason"]
    assert "1 of its 2 possible outcomes give YES" in service["reason"]


def test_a_rule_whose_every_outcome_is_the_same_needs_no_caveat(remembering: Bench) -> None:
    (forwarding,) = remembering.quick(A, B, "1010/tcp")["caveats"]
    assert forwarding.startswith("forwarding is assumed")
    assert "nth" not in str(remembering.quick(A, B, "1010/tcp"))
    assert len(remembering.quick(A, B, "1001/tcp")["caveats"]) == 2, "a limit that later packets exceed"
