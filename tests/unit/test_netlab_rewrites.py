"""Texts that the bench loads: newer nft dumps, elements with a timeout, matches that count; line for line."""

from __future__ import annotations

import re

import pytest

from netlab.facts.completeness import warnings
from netlab.facts.dumps import iptables
from netlab.facts.reader import RouterFacts
from netlab.rules import ipset_rewrites, nft_rewrites
from netlab.rules.loaded_rules import loaded_rules
from netlab.rules.uncertain import Kind

CHAIN = "table inet t {\n\tchain c {\n\t\ttype filter hook forward priority 0; policy accept;\n\t\tRULE\n\t}\n}"
SET = "table inet t {\n\tKIND s {\n\t\ttype ipv4_addr\n\t\tLINE\n\t}\n}"


@pytest.mark.parametrize(
    ("rule", "loaded"),
    [
        ("fib saddr . iif check missing drop", "fib saddr . iif oif missing drop"),
        ('ct helper set "ftp" accept', "counter accept"),
        ('tcp dport 21 ct helper set tcp dport map { 21 : "ftp" } accept', "tcp dport 21 counter accept"),
        ('meta secmark set "ssh"', "counter"),
        ("limit rate 5/second burst 0 packets accept", "limit rate 5/second accept"),
        ("last used 5s counter packets 1 bytes 2 drop", "counter counter packets 1 bytes 2 drop"),
        ("tcp dport vmap { 22 counter packets 1 bytes 2 : drop }", "tcp dport vmap { 22 : drop }"),
        ('log prefix "fib saddr check missing last used 5s"', 'log prefix "fib saddr check missing last used 5s"'),
        ("ip saddr 10.0.0.1 counter packets 1 bytes 2 drop", "ip saddr 10.0.0.1 counter packets 1 bytes 2 drop"),
    ],
)
def test_a_rule_of_a_newer_nft(rule: str, loaded: str) -> None:
    assert nft_rewrites.for_this_machine(CHAIN.replace("RULE", rule)).text == CHAIN.replace("RULE", loaded)


@pytest.mark.parametrize(
    ("family", "hook", "priority", "number"),
    [
        ("inet", "output", "dstnat", "-100"),
        ("ip", "forward", "filter + 10", "10"),
        ("ip", "prerouting", "raw - 5", "-305"),
        ("bridge", "prerouting", "dstnat", "-300"),
        ("inet", "forward", "-7", "-7"),
    ],
)
def test_priorities_by_name(family: str, hook: str, priority: str, number: str) -> None:
    def text(value: str) -> str:
        return (
            f"table {family} t {{\n\tchain c {{\n\t\ttype filter hook {hook} priority {value}; policy accept;\n\t}}\n}}"
        )

    assert nft_rewrites.for_this_machine(text(priority)).text == text(number)


@pytest.mark.parametrize(("flags", "left"), [("owner", ""), ("owner,persist", ""), ("dormant, owner", "flags dormant")])
def test_a_table_that_would_disappear_stays(flags: str, left: str) -> None:
    text = nft_rewrites.for_this_machine(f"table ip t {{\n\tflags {flags}\n\tchain c {{\n\t}}\n}}").text
    assert text.split("\n")[1].strip() == left


@pytest.mark.parametrize(
    ("kind", "line", "loaded", "caveat"),
    [
        ("set", "elements = { 10.0.0.1 timeout 1h expires 59m }", "elements = { 10.0.0.1 }", False),
        ("set", "elements = { 10.0.0.1 expires 9m59s, 10.0.0.2 expires 6s }", "elements = { 10.0.0.1, 10.0.0.2 }", True),
        ("set", 'elements = { 10.0.0.1 comment "expires 5s" }', 'elements = { 10.0.0.1 comment "expires 5s" }', False),
        ("set", "timeout 1h", "", False),
        ("set", "flags dynamic,timeout", "flags dynamic,timeout", False),
        ("set", "elements = { 10.0.0.1 last used 5s }", "elements = { 10.0.0.1 }", False),
        ("map", "gc-interval 10s", "", False),
        ("map", 'elements = { 10.0.0.1 counter packets 1 bytes 2 : 1 comment "x" }', "elements = { 10.0.0.1 : 1 }", False),
    ],
)  # fmt: skip
def test_elements_stay(kind: str, line: str, loaded: str, caveat: bool) -> None:
    before = SET.replace("KIND", kind)
    rewritten = nft_rewrites.for_this_machine(before.replace("LINE", line))
    assert rewritten.text.split("\n")[3].strip() == loaded
    assert ("s" in rewritten.ages) == caveat


def test_objects_that_decide_nothing_are_noted() -> None:
    text = 'table inet t {\n\tct helper ftp {\n\t\ttype "ftp" protocol tcp\n\t}\n\tchain c {\n\t}\n}'
    rewritten = nft_rewrites.for_this_machine(text)
    assert rewritten.notes == ((2, "ct helper ftp is left out: it does not affect the first packet"),)
    assert rewritten.text.count("\n") == text.count("\n")
    assert "ftp" not in rewritten.text


def test_entries_of_an_ipset_stay() -> None:
    text = (
        "create a hash:ip family inet timeout 600\nadd a 10.0.0.1 timeout 5\nadd a 10.0.0.2\n"
        'create b hash:ip family inet comment\nadd b 10.0.0.3 comment "timeout 7"'
    )
    rewritten = ipset_rewrites.for_this_machine(text)
    assert rewritten.text == text.replace("timeout 5", "timeout 0").replace("10.0.0.2", "10.0.0.2 timeout 0")
    assert list(rewritten.ages) == ["a"]


@pytest.mark.parametrize(
    ("match", "negated", "kind"),
    [
        ("-m limit --limit 5/sec --limit-burst 10", True, Kind.TRAFFIC),
        ("-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name x", True, Kind.TRAFFIC),
        ("-m hashlimit --hashlimit-above 5/sec --hashlimit-name x", False, Kind.TRAFFIC),
        ("-m connlimit --connlimit-above 3 --connlimit-mask 32 --connlimit-saddr", False, Kind.TRAFFIC),
        ("-m connlimit --connlimit-above 0 --connlimit-mask 32 --connlimit-saddr", True, Kind.TRAFFIC),
        ("-m connlimit --connlimit-upto 0 --connlimit-mask 32 --connlimit-saddr", False, Kind.TRAFFIC),
        ("-m connlimit ! --connlimit-above 3 --connlimit-mask 32 --connlimit-saddr", True, Kind.TRAFFIC),
        ("-m quota --quota 100", True, Kind.TRAFFIC),
        ("-m quota ! --quota 100", False, Kind.TRAFFIC),
        ("-m quota --quota 0", False, Kind.TRAFFIC),
        ("-m statistic --mode random --probability 0.33", False, Kind.CHANCE),
        ("-m statistic --mode nth --every 3 --packet 0", False, Kind.CHANCE),
    ],
)
def test_a_match_that_counts_is_a_test_of_the_branch(match: str, negated: bool, kind: Kind) -> None:
    line = f'-A FORWARD -p tcp {match} -m comment --comment "-m limit --limit 1/sec" -j DROP'
    facts = RouterFacts("r1", (), (), None, f"*filter\n:FORWARD ACCEPT [0:0]\n{line}\nCOMMIT\n", "", "")
    found = loaded_rules(facts)
    loaded = found.iptables.split("\n")[2]
    test = f'-m u32 {"! " if negated else ""}--u32 "0>>22&0x3C@8&0xff03f000=0x71001000"'
    assert loaded == line.replace(match, test, 1)
    (uncertain,) = found.rules.values()
    assert (uncertain.kind, uncertain.branches, uncertain.rule.text) == (kind, (1,), line)


@pytest.mark.parametrize(
    ("rule", "loaded", "branches"),
    [
        ("limit rate 5/second burst 5 packets accept", "@th,64,32 & 0xff03f000 != 0x71001000 accept", (1,)),
        ("limit rate over 10 mbytes/second drop", "@th,64,32 & 0xff03f000 == 0x71001000 drop", (1,)),
        ("ct count over 10 drop", "@th,64,32 & 0xff03f000 == 0x71001000 drop", (1,)),
        ("quota over 25 mbytes drop", "@th,64,32 & 0xff03f000 == 0x71001000 drop", (1,)),
        ("numgen random mod 3 vmap { 0 : accept, 1 : drop }", "@th,73,5 vmap { 0 : accept, 1 : drop }", (64, 128)),
        ("add @s { ip saddr limit rate 5/second } accept", "add @s { ip saddr limit rate 5/second } accept", ()),
        ('log prefix "limit rate 5/second" accept', 'log prefix "limit rate 5/second" accept', ()),
    ],
)
def test_a_native_match_that_counts_is_a_test_of_the_branch(rule: str, loaded: str, branches: tuple[int, ...]) -> None:
    found = loaded_rules(RouterFacts("r1", (), (), None, "", "", CHAIN.replace("RULE", rule)))
    assert found.nft == CHAIN.replace("RULE", loaded)
    assert [one.branches for one in found.rules.values()] == ([branches] if branches else [])


def test_a_plain_rule_is_one_that_the_full_check_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = [
        *("", ' -m comment --comment "a b: -j x"', " -m comment --comment a"),
        *(" -m tcp ! --dport 80", " -m udp --sport 1:2", " -m tcp -m tcp --dport 1"),
        *(" -m conntrack --ctstate NEW,RELATED", " -m state --state NEW", " -m multiport --dports 22,80:90"),
        *(" -m mark --mark 0x4000/0x4000", " -m statistic --mode random --probability 0.5"),
    ]
    targets = ["own", "DROP", "DNAT --to-destination 10.0.0.1-10.0.0.2:80", "MARK --set-xmark 0x1/0x1", "MASQUERADE"]
    targets.append("REJECT --reject-with icmp-port-unreachable")
    rules = [
        f"-A own{head}{match} -j {target}"
        for head in ("", " ! -s 10.0.0.0/8 -d 10.1.0.0/16 -i eth0 ! -o eth1 -p tcp", " -p icmp", " -p tcp ! --dport 80")
        for match in matches
        for target in targets
    ]
    text = "\n".join(["*nat", ":own - [0:0]", *rules, "COMMIT", ""])
    assert all(map(iptables._PLAIN.match, rules))
    assert list(iptables.faults(text)) == []
    monkeypatch.setattr(iptables, "_PLAIN", re.compile("(?!)"))
    assert list(iptables.faults(text)) == []


def test_more_matches_than_there_are_branches_share_them_by_chain() -> None:
    chains = [f":c{number} - [0:0]" for number in range(80)]
    rules = [f"-A c{number} -m limit --limit {n}/sec -j ACCEPT" for number in range(80) for n in (1, 2)]
    facts = RouterFacts("r1", (), (), None, "\n".join(["*filter", *chains, *rules, "COMMIT"]), "", "")
    found = loaded_rules(facts).rules
    assert {branch for one in found.values() for branch in one.branches} <= set(range(1, 64))
    last = [found[("ip", "filter", "c79"), number].branches for number in (1, 2)]
    assert last == [(1,), (2,)], "two rules of one chain can be told apart"


@pytest.mark.parametrize(
    ("texts", "names", "warned"),
    [
        ({"iptables.rules": None}, ["iptables.txt"], ["r1/iptables.txt: is not read; if it is meant to be"]),
        ({"iptables.rules": None}, ["rules.v4"], ["r1/rules.v4: is not read; if it is meant to be"]),
        ({"nft.rules": None}, ["nftables.conf"], ["r1/nftables.conf: is not read; if it is meant to be"]),
        ({"iptables.rules": "*filter\n"}, ["iptables.rules", "iptables.bak"], []),
        ({"rules.json": None}, ["rules.json.txt"], ["r1/rules.json.txt: is not read; if it is meant to be rules.json"]),
        ({"netconf.json": None}, ["netconf.txt"], ["r1/netconf.txt: is not read; if it is meant to be netconf.json"]),
        ({"wireguard.txt": None}, ["wg.txt"], ["r1/wg.txt: is not read; if it is meant to be wireguard.txt"]),
        ({"wireguard.txt": None}, ["wg0.conf", "wireguard.conf"], []),
        ({"iptables.rules": None}, ["ip6tables.rules", "notes.txt"], []),
        ({"nft.rules": " \n"}, ["nft.rules"], ["r1/nft.rules: is empty"]),
        ({"nft.rules": ""}, ["nft.rules", "collected.txt"], []),
        ({"ipset.rules": "create a hash:ip\n"}, [], ["r1/ipset.rules: has sets but no entries"]),
        ({"nft.rules": "table ip t {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}"}, [], ["r1/nft.rules:2: has sets but no"]),
        ({"nft.rules": "table ip t {\n\tset s {\n\t\tflags dynamic\n\t}\n}"}, [], []),
        ({"nft.rules": "table ip t {\n\tset s {\n\t\telements = { 1 }\n\t}\n}"}, [], []),
        ({"iptables.rules": "# Warning: iptables-legacy tables present, use\n"}, [], ["r1/iptables.rules: says that"]),
    ],
)  # fmt: skip
def test_facts_that_are_probably_incomplete(texts: dict[str, str | None], names: list[str], warned: list[str]) -> None:
    found = [str(warning) for warning in warnings("r1", texts, names)]
    assert len(found) == len(warned)
    assert all(text.startswith(start) for text, start in zip(found, warned, strict=True)), found
