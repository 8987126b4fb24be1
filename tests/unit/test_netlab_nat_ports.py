"""Which NAT rules choose one of several ports, and which rules distinguish between these ports."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from netlab.facts.json_lines import JsonEntry
from netlab.facts.reader import RouterFacts
from netlab.rules.conditions import Ends, Traffic
from netlab.rules.nat_ports import RANDOM_SOURCE_PORTS, affected, port_choices, port_rules

TRAFFIC = Traffic("tcp", "a", "b", False, frozenset([Ends(IPv4Address("10.0.1.9"), IPv4Address("10.0.2.9"), 8080)]))


def router(iptables: str = "", nft: str = "", ipset: str = "", rules: tuple[JsonEntry, ...] = ()) -> RouterFacts:
    """A router with these rules: lines of table nat, or of a native chain."""
    text = f"*nat\n{iptables}\nCOMMIT\n" if iptables.startswith("-A P") else f"*filter\n{iptables}\nCOMMIT\n"
    chain = f"table ip t {{\nchain c {{\ntype filter hook forward priority filter; policy accept;\n{nft}\n}}\n}}"
    return RouterFacts("r1", (), (), rules, text if iptables else "", ipset, chain if nft else "")


@pytest.mark.parametrize(
    ("rule", "ports"),
    [
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9:80-81", range(80, 82)),
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9-10.0.2.11:80-81 --random", range(80, 82)),
        ("-A PREROUTING -p tcp -j DNAT --to-destination :80-81", range(80, 82)),
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9:80-89/8080", None),
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9:80-80", None),
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9:80", None),
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9-10.0.2.11 --random", None),
        ("-A PREROUTING -p tcp -j REDIRECT --to-ports 80-81", range(80, 82)),
        ("-A PREROUTING -p tcp --dport 80:81 -j REDIRECT --to-ports 80", None),
        ("-A POSTROUTING -p tcp -j MASQUERADE --to-ports 2000-2001", range(2000, 2002)),
        ("-A POSTROUTING -p tcp -j MASQUERADE --random-fully", RANDOM_SOURCE_PORTS),
        ("-A POSTROUTING -p tcp -j SNAT --to-source 10.0.2.1:2000-2001", range(2000, 2002)),
        ("-A POSTROUTING -j MASQUERADE", None),
    ],
)
def test_rules_of_iptables_that_choose_a_port(rule: str, ports: range | None) -> None:
    assert [choice.ports for choice in port_choices(router(rule))] == ([] if ports is None else [ports])


@pytest.mark.parametrize(
    ("rule", "ports"),
    [
        ("tcp dport 80 dnat to 10.0.2.9:80-81", range(80, 82)),
        ("tcp dport 80-81 dnat to 10.0.2.9", None),
        ("dnat ip to tcp dport map { 80 : 10.0.2.9 . 81-82, 443 : 10.0.2.9 . 443 }", range(81, 83)),
        ("dnat to 10.0.2.9-10.0.2.11:80-81 random", range(80, 82)),
        ("redirect to :80-81", range(80, 82)),
        ("masquerade to :2000-2001", range(2000, 2002)),
        ("masquerade random", RANDOM_SOURCE_PORTS),
        ("masquerade", None),
        ("snat to 10.0.2.1-10.0.2.3", None),
    ],
)
def test_native_rules_that_choose_a_port(rule: str, ports: range | None) -> None:
    assert [choice.ports for choice in port_choices(router(nft=rule))] == ([] if ports is None else [ports])


@pytest.mark.parametrize(
    ("elements", "ports"),
    [
        ("10.0.1.1 . 80 : 10.0.2.9 . 8000-8010,\n10.0.1.2 . 80 : 10.0.2.9 . 90", range(8000, 8011)),
        ('10.0.1.1 . 80 comment "a : b . 1-2" : 10.0.2.9 . 8000', None),
        ("10.0.1.1 . 80-90 : 10.0.2.9 . 8000", None),
    ],
)
def test_ports_that_a_named_map_chooses(elements: str, ports: range | None) -> None:
    named = (
        f"map m {{\ntype ipv4_addr . inet_service : interval ipv4_addr . inet_service\nelements = {{ {elements} }}\n}}"
    )
    other = named.replace("map m", "map other").replace("8000", "1-2")
    rule = "dnat ip to ip daddr . tcp dport map @m"
    nft = f"table ip t {{\n{other}\n{named}\nchain c {{\ntype nat hook prerouting priority -100;\n{rule}\n}}\n}}"
    found = port_choices(RouterFacts("r1", (), (), (), "", "", nft))
    assert [choice.ports for choice in found] == ([] if ports is None else [ports])


def test_rules_of_iptables_legacy_choose_and_distinguish_ports_too() -> None:
    legacy = f"*nat\n{DNAT}\nCOMMIT\n*filter\n-A FORWARD -p tcp -m tcp --dport 85 -j DROP\nCOMMIT\n"
    one = RouterFacts("r1", (), (), (), "*filter\nCOMMIT\n", "", "", iptables_legacy=legacy)
    (choice,) = port_choices(one)
    assert choice.rule.place == "r1/iptables-legacy.rules:2"
    assert "--dport 85" in affected(one, port_rules(one, choice.of_source), choice, TRAFFIC, chosen_here=True)


@pytest.mark.parametrize(("rule", "changed"), [("", False), (" --random", True)])
def test_a_port_in_the_range_is_kept_unless_it_is_random(rule: str, changed: bool) -> None:
    (choice,) = port_choices(router(f"-A PREROUTING -p tcp -j REDIRECT --to-ports 80-89{rule}"))
    assert choice.changes(80, 80) == changed
    assert choice.changes(443, 80)
    assert not choice.changes(443, 443)


DNAT, SNAT = "-A PREROUTING -p tcp -j DNAT --to-destination 10.0.2.9:80-89", "-A POSTROUTING -j MASQUERADE --random"


@pytest.mark.parametrize(
    ("made", "rule", "matters"),
    [
        (DNAT, "-A FORWARD -p tcp -m tcp --dport 85 -j DROP", True),
        (DNAT, "-A FORWARD -p tcp -m tcp ! --dport 85 -j DROP", True),
        (DNAT, "-A FORWARD -p tcp -m tcp --dport 80:89 -j DROP", False),
        (DNAT, "-A FORWARD -p tcp -m tcp --dport 90 -j DROP", False),
        (DNAT, "-A FORWARD -p tcp -m tcp --sport 85 -j DROP", False),
        (DNAT, "-A FORWARD -p udp -m udp --dport 85 -j DROP", False),
        (DNAT, "-A FORWARD -d 10.0.9.9/32 -p tcp -m tcp --dport 85 -j DROP", False),
        (DNAT, "-A FORWARD -p tcp -m multiport --dports 22,85,443 -j DROP", True),
        (DNAT, "-A FORWARD -p tcp -m multiport --dports 22,80:89 -j DROP", False),
        (DNAT, "-A FORWARD -m set --match-set ports dst,dst -j DROP", True),
        (DNAT, "-A FORWARD -m set --match-set nets dst,dst -j DROP", False),
        (DNAT, "-A FORWARD -m set --match-set ports dst,src -j DROP", False),
        (SNAT, "-A FORWARD -p tcp -m tcp --sport 1024:65535 -j DROP", False),
        (SNAT, "-A FORWARD -p tcp -m tcp --sport 32768:65535 -j DROP", True),
        (SNAT, "-A FORWARD -p tcp -m tcp --dport 85 -j DROP", False),
        (SNAT, "-A FORWARD -p tcp -m tcp --sport 1024:65535 --dport 85 -j DROP", False),
    ],
)
def test_rules_that_distinguish_between_the_ports(made: str, rule: str, matters: bool) -> None:
    (choice,) = port_choices(router(made))
    later = router(rule, ipset="create ports hash:ip,port family inet\ncreate nets hash:net,net family inet\n")
    found = affected(later, port_rules(later, choice.of_source), choice, TRAFFIC, chosen_here=False)
    assert found == (f"`{rule}` (r1/iptables.rules:2)" if matters else "")


@pytest.mark.parametrize(
    ("rule", "matters"),
    [
        ("tcp dport { 22, 85 } drop", True),
        ("tcp dport { 22, 80-89 } drop", False),
        ("tcp dport 85-99 drop", True),
        ("tcp dport @ports drop", True),
        ("tcp dport vmap { 85 : drop }", True),
        ("th dport 443 drop", False),
        ("ip saddr 10.0.7.0/24 tcp dport 85 drop", False),
    ],
)
def test_native_rules_that_distinguish_between_the_ports(rule: str, matters: bool) -> None:
    (choice,) = port_choices(router(DNAT))
    later = router(nft=rule)
    assert bool(affected(later, port_rules(later, False), choice, TRAFFIC, chosen_here=True)) == matters


def test_rules_that_the_packet_passes_before_its_translation_do_not_count() -> None:
    made = router(f"-A PREROUTING -p tcp -m tcp --dport 85 -j ACCEPT\n{DNAT}")
    (choice,) = port_choices(made)
    rules = port_rules(made, False)
    assert affected(made, rules, choice, TRAFFIC, chosen_here=True) == ""
    assert affected(made, rules, choice, TRAFFIC, chosen_here=False)


@pytest.mark.parametrize(
    ("data", "matters"),
    [({"dport": 85}, True), ({"dport_start": 80, "dport_end": 89}, False), ({"sport": 85}, False), ({}, False)],
)
def test_policy_rules_count(data: dict[str, int], matters: bool) -> None:
    (choice,) = port_choices(router(DNAT))
    later = router(rules=(JsonEntry(3, {"priority": 5, "table": "7", **data}),))
    assert bool(affected(later, (), choice, TRAFFIC, chosen_here=False)) == matters
