"""Which rules are reported as caveats: only those that may have matched the packet."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from netlab.facts import reader
from netlab.rules.caveats import Caveats
from netlab.rules.conditions import Ends, Traffic, of_iptables, of_nft
from tests.bench.small import write_router


def ends(source: str = "10.0.1.9", destination: str = "10.0.2.9", port: int = 80) -> Ends:
    return Ends(IPv4Address(source), IPv4Address(destination), port)


FORWARDED = Traffic("tcp", "lan", "up", False, frozenset([ends()]))
RECEIVED = Traffic("tcp", "lan", "", True, frozenset([ends(destination="10.0.1.1")]))
SENT = Traffic("tcp", "", "up", False, frozenset([ends(source="10.0.1.1")]))
DROPPED_EARLY = Traffic("tcp", "lan", "", False, frozenset([ends()]))


def caveats(tmp_path: Path, *, iptables: str = "", nft: str = "", traffic: Traffic = FORWARDED) -> list[str]:
    """The line numbers of the reported rules."""
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"}, iptables=iptables, nft=nft)
    found = Caveats(reader.load(tmp_path)).about("r1", traffic)
    return [text.split("(r1/")[1].split(")")[0] for text in found]


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ("-A F -j DROP", True),
        ("-A F -i lan -j DROP", True),
        ("-A F -i up -j DROP", False),
        ("-A F ! -i lan -j DROP", False),
        ("-A F ! -i up -j DROP", True),
        ("-A F -i la+ -j DROP", True),
        ("-A F -i l+ -o w+ -j DROP", False),
        ('-A F -i "lan" -j DROP', True),
        ("-A F -o up -j DROP", True),
        ("-A F -o lan -j DROP", False),
        ("-A F -s 10.0.1.0/24 -j DROP", True),
        ("-A F -s 10.0.2.0/24 -j DROP", False),
        ("-A F ! -s 10.0.1.0/255.255.255.0 -j DROP", False),
        ("-A F ! -s 10.0.2.0/24 -d 10.0.2.9/32 -j DROP", True),
        ("-A F -d 10.0.2.8 -j DROP", False),
        ("-A F -p tcp -j DROP", True),
        ("-A F -p udp -j DROP", False),
        ("-A F ! -p tcp -j DROP", False),
        ("-A F -p 47 -j DROP", True),  # not parsed, so it may match
        ("-A F -p tcp -m tcp --dport 80 -j DROP", True),
        ("-A F -p tcp -m tcp --dport 81 -j DROP", False),
        ("-A F -p tcp -m tcp ! --dport 80 -j DROP", False),
        ("-A F -p tcp -m tcp --dport 70:90 -j DROP", True),
        ("-A F -p tcp -m multiport --dports 22,70:90 -j DROP", True),
        ("-A F -p tcp -m multiport ! --dports 22,443 -j DROP", True),
        ("-A F -p tcp -m multiport --dports 22,443 -j DROP", False),
        ("-A F -p tcp -m tcp --tcp-flags FIN,SYN FIN -j DROP", True),
    ],
)
def test_conditions_of_iptables(rule: str, met: bool) -> None:
    assert of_iptables(rule)(FORWARDED) is met


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ("drop", True),
        ('iifname "lan" drop', True),
        ('iifname "up" drop', False),
        ('iifname != "lan" drop', False),
        ('iifname "la*" drop', True),
        ('iifname { "up", "x" } drop', True),  # not read
        ('oif "lan" drop', False),
        ('iifname "up" . ip saddr 10.0.0.1 drop', False),
        ("tcp dport 80 drop", True),
        ("tcp dport 81 drop", False),
        ("tcp dport != 80 drop", False),
        ("tcp dport { 22, 70-90 } drop", True),
        ("tcp dport { 22, 443 } limit rate 5/second accept", False),
        ("udp dport 80 drop", False),
        ("meta l4proto udp drop", False),
        ("meta l4proto != tcp drop", False),
        ("meta l4proto { tcp, udp } th dport 80 drop", True),
        ("meta l4proto { icmp, tcp } drop", True),
        ("limit rate over 5/second reject with icmp port-unreachable", True),
        ("meta l4proto tcp reject with tcp reset", True),
        ("icmp type echo-request limit rate 5/second accept", False),
        ("jump udp", True),
        ("tcp dport vmap { 22 : jump a, 443 : drop }", True),
        ("ip saddr 10.0.1.0/24 drop", True),
        ("ip saddr 10.0.3.0/24 drop", False),
        ("ip daddr != 10.0.2.9 drop", False),
        ("ip saddr @some drop", True),
        ("ip saddr . tcp dport { 10.0.3.1 . 80 } drop", True),
    ],
)
def test_conditions_of_nft(rule: str, met: bool) -> None:
    assert of_nft(rule)(FORWARDED) is met


def test_every_form_that_nat_gave_the_packet_counts() -> None:
    natted = Traffic("tcp", "lan", "up", False, frozenset([ends(), ends("10.9.0.1", "10.0.2.80", 8080)]))
    assert of_iptables("-A F -s 10.9.0.1 -d 10.0.2.9 -j DROP")(natted)
    assert of_iptables("-A F -p tcp --dport 8080 -j DROP")(natted)
    assert of_iptables("-A F ! -s 10.9.0.1 -j DROP")(natted)
    assert of_iptables("-A F -s 10.3.0.0/16 -j DROP")(Traffic("tcp", "lan", "up", False))  # ends not known


HOOKS = """*filter
:FORWARD ACCEPT [0:0]
-A PREROUTING -m limit --limit 1/sec -j DROP
-A INPUT -m limit --limit 1/sec -j DROP
-A FORWARD -m limit --limit 1/sec -j DROP
-A OUTPUT -m limit --limit 1/sec -j DROP
-A POSTROUTING -m limit --limit 1/sec -j DROP
COMMIT
"""


@pytest.mark.parametrize(
    ("traffic", "lines"),
    [
        (FORWARDED, [3, 5, 7]),
        (RECEIVED, [3, 4]),
        (SENT, [6, 7]),
        (DROPPED_EARLY, [3, 5, 7]),
    ],
)
def test_only_chains_the_packet_comes_to(tmp_path: Path, traffic: Traffic, lines: list[int]) -> None:
    assert caveats(tmp_path, iptables=HOOKS, traffic=traffic) == [f"iptables.rules:{line}" for line in lines]


def test_user_chains_by_the_jumps_that_lead_there(tmp_path: Path) -> None:
    rules = """*filter
    :one - [0:0]
    :two - [0:0]
    :three - [0:0]
    :four - [0:0]
    :five - [0:0]
    :six - [0:0]
    :nobody - [0:0]
    -A FORWARD -i lan -j one
    -A FORWARD -i up -j two
    -A INPUT -j three
    -A one -p tcp -g four
    -A one -p udp -j five
    -A four -j six
    -A six -j four
    -A six -m limit --limit 1/sec -j ACCEPT
    -A two -m limit --limit 1/sec -j ACCEPT
    -A three -m limit --limit 1/sec -j ACCEPT
    -A five -m limit --limit 1/sec -j ACCEPT
    -A nobody -m limit --limit 1/sec -j ACCEPT
    COMMIT"""
    assert caveats(tmp_path, iptables=rules) == ["iptables.rules:16"]
    named = ["iptables.rules:17"]
    assert caveats(tmp_path / "b", iptables=rules, traffic=Traffic("tcp", "up", "lan", False)) == named
    named = ["iptables.rules:18"]
    assert caveats(tmp_path / "c", iptables=rules, traffic=RECEIVED) == named


def test_chains_of_the_same_name_in_two_tables(tmp_path: Path) -> None:
    rules = """*mangle
    :both - [0:0]
    -A FORWARD -j both
    -A both -j RETURN
    COMMIT
    *filter
    :both - [0:0]
    -A both -m limit --limit 1/sec -j ACCEPT
    COMMIT"""
    assert caveats(tmp_path, iptables=rules) == []


NFT = """table ip own {
map ways {
type inet_service : verdict
elements = { 22 : jump mapped }
}
chain base {
type filter hook forward priority 0; policy accept;
iifname "lan" jump one
iifname "up" jump two
tcp dport vmap { 80 : goto three }
log prefix "limit rate" limit rate 5/second
}
chain one {
limit rate 5/second accept
}
chain two {
limit rate 5/second accept
}
chain three {
udp dport 53 limit rate 5/second accept
numgen random mod 2 0 drop
}
chain mapped {
limit rate 5/second accept
}
chain nobody {
limit rate 5/second accept
}
chain own_input {
type filter hook input priority 0; policy accept;
limit rate 5/second accept
}
}
table ip6 other {
chain base {
type filter hook forward priority 0; policy accept;
limit rate 5/second accept
}
}"""


def test_chains_of_nft(tmp_path: Path) -> None:
    assert caveats(tmp_path, nft=NFT) == ["nft.rules:14", "nft.rules:21", "nft.rules:24"]
    assert caveats(tmp_path / "b", nft=NFT, traffic=RECEIVED) == ["nft.rules:24", "nft.rules:31"]


def test_what_nft_shows_of_iptables_is_named_once(tmp_path: Path) -> None:
    rules = "*filter\n-A FORWARD -m limit --limit 5/sec -j ACCEPT\nCOMMIT\n"
    shown = """table ip filter {
    chain FORWARD {
    type filter hook forward priority filter; policy accept;
    limit rate 5/second burst 5 packets counter packets 0 bytes 0 accept
    }
    }"""
    assert caveats(tmp_path, iptables=rules, nft=shown) == ["iptables.rules:2"]


@pytest.mark.parametrize(
    "rule",
    [
        "-m limit --limit 1/sec -j DROP",
        "-m hashlimit --hashlimit-upto 5/sec --hashlimit-name x -j DROP",
        "-m recent --set --name x",
        "-m connlimit --connlimit-above 5 -j DROP",
        "-m statistic --mode random --probability 0.5 -j DROP",
        "-m mac --mac-source 02:00:00:00:00:01 -j DROP",
        "-m time --timestart 08:00 -j DROP",
        '-m string --string "a b" --algo bm -j DROP',
        "-m physdev --physdev-in eth0 -j DROP",
        "-m owner --uid-owner 0 -j DROP",
        "-m ttl --ttl-lt 5 -j DROP",
        "-j DSCP --set-dscp 0x2e",
        "-j TTL --ttl-set 64",
        "-j NFQUEUE --queue-num 0",
    ],
)
def test_what_is_named(tmp_path: Path, rule: str) -> None:
    assert caveats(tmp_path, iptables=f"*filter\n-A FORWARD {rule}\nCOMMIT\n") == ["iptables.rules:2"]


@pytest.mark.parametrize(
    "rule",
    [
        "-m limit --limit 1/sec -j LOG",
        '-m comment --comment "no -m limit here" -j DROP',
        "-m conntrack --ctstate NEW -j ACCEPT",
        "-j MARK --set-xmark 0x1/0x1",
        "-j SNAT --to-source 10.0.0.1",
    ],
)
def test_what_is_not(tmp_path: Path, rule: str) -> None:
    assert caveats(tmp_path, iptables=f"*filter\n-A FORWARD {rule}\nCOMMIT\n") == []


@pytest.mark.parametrize(
    ("iptables", "nft", "several"),
    [
        ("-A PREROUTING -j DNAT --to-destination 10.0.2.9-10.0.2.10", "", True),
        ("-A POSTROUTING -j SNAT --to-source 10.0.2.9-10.0.2.10 --persistent", "", True),
        ("-A PREROUTING -j DNAT --to-destination 10.0.2.9-10.0.2.9", "", False),
        ("-A PREROUTING -m iprange --src-range 10.0.1.1-10.0.1.9 -j DNAT --to-destination 10.0.2.9", "", False),
        ("", "dnat to 10.0.2.9-10.0.2.10", True),
        ("", "snat ip to ip saddr map { 10.0.1.9 : 10.0.2.9-10.0.2.10 }", True),
        ("", "dnat ip to ip saddr map { 10.0.1.1-10.0.1.9 : 10.0.2.9 }", False),
        ("", "ip saddr 10.0.1.1-10.0.1.9 dnat to 10.0.2.9", False),
        ("", "dnat ip prefix to ip daddr map { 10.0.2.0/24 : 10.0.3.0/24 }", False),
    ],
)
def test_a_choice_of_several_addresses_has_a_caveat(tmp_path: Path, iptables: str, nft: str, several: bool) -> None:
    table = f"table ip n {{\nchain c {{\ntype nat hook prerouting priority dstnat; policy accept;\n{nft}\n}}\n}}"
    saved = f"*nat\n{iptables}\nCOMMIT"
    assert bool(caveats(tmp_path, iptables=saved if iptables else "", nft=table if nft else "")) == several
