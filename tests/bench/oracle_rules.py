"""Random firewalls of iptables, in all four tables, and the ipsets they use. Pure."""

from __future__ import annotations

from random import Random

from tests.bench.oracle_matches import PORTS, anything, matches, one

IPSET = """create hosts hash:ip family inet hashsize 1024 maxelem 65536
add hosts 10.0.0.9
add hosts 10.0.1.20
add hosts 198.51.100.7
create nets hash:net family inet hashsize 1024 maxelem 65536
add nets 10.0.0.0/24
add nets 10.0.0.64/26 nomatch
add nets 10.0.2.0/25
create ports bitmap:port range 0-65535
add ports 80
add ports 443
add ports 5060
create pairs hash:ip,port family inet hashsize 1024 maxelem 65536
add pairs 10.0.1.9,tcp:80
add pairs 10.0.0.20,udp:53
create doors hash:net,iface family inet hashsize 1024 maxelem 65536
add doors 10.0.0.0/16,{device}
create all list:set size 8
add all hosts
add all nets
"""


def _rules(random: Random, chain: str, hook: str, devices: list[str], targets: list[str], at_most: int) -> list[str]:
    return [
        f"-A {chain} {matches(random, hook, devices)} {random.choice(targets)}"
        for _ in range(random.randint(0, at_most))
    ]


def _filter(random: Random, devices: list[str]) -> list[str]:
    verdicts = [
        "-j ACCEPT",
        "-j ACCEPT",
        "-j DROP",
        "-j REJECT",
        "-j LOG",
        "-j REJECT --reject-with icmp-admin-prohibited",
    ]
    lines = ["*filter"]
    for hook in ("INPUT", "FORWARD", "OUTPUT"):
        lines.append(f":{hook} {one(random, 'ACCEPT|ACCEPT|DROP')} [0:0]")
    lines += [":inner - [0:0]", ":outer - [0:0]"]
    inner, outer = [*verdicts, "-j RETURN"], [*verdicts, "-j RETURN", "-j inner", "-g inner"]
    lines += _rules(random, "inner", "", devices, inner, 3) + _rules(random, "outer", "", devices, outer, 3)
    for hook in ("INPUT", "FORWARD", "OUTPUT"):
        lines += _rules(random, hook, hook, devices, [*verdicts, "-j outer", "-g outer"], 5 if hook == "FORWARD" else 2)
        if random.random() < 0.5:
            lines.append(f"-A {hook} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        if random.random() < 0.5:
            lines.append(f"-A {hook} {one(random, '-p tcp|-p udp|-s 10.0.0.0/8')} -j ACCEPT")
    return [*lines, "COMMIT"]


def _raw(random: Random, devices: list[str]) -> list[str]:
    targets = [
        "-j DROP",
        "-j ACCEPT",
        "-j CT --notrack",
        "-j CT --notrack",
        "-j MARK --set-xmark 0x2/0xff",
        "-j RETURN",
    ]
    lines = ["*raw", *_rules(random, "PREROUTING", "PREROUTING", devices, targets, 2)]
    if random.random() < 0.2:
        lines.append("-A PREROUTING -m rpfilter --invert -j DROP")
    return [*lines, *_rules(random, "OUTPUT", "OUTPUT", devices, targets, 1), "COMMIT"]


def _mangle(random: Random, devices: list[str]) -> list[str]:
    marks = [f"-j MARK --set-xmark {mark}" for mark in ("0x1/0xffffffff", "0x2/0xff", "0x10/0xf0", "0x7/0xffffffff")]
    early = [*marks, *marks, "-j DROP", "-j ACCEPT", "-j CONNMARK --set-xmark 0x2/0xff", "-j CONNMARK --restore-mark"]
    late = [*marks, "-j DROP", "-j ACCEPT", "-j CONNMARK --save-mark"]
    if random.random() < 0.1:  # what re-marks makes the bench name a caveat, and nothing is compared
        late += ["-j DSCP --set-dscp 0x2e", "-j TOS --set-tos 0x10/0x3f"]
        early.append("-j TOS --set-tos 0x10/0x3f")
    lines = ["*mangle"]
    for hook, targets in (
        ("PREROUTING", early),
        ("OUTPUT", early),
        ("FORWARD", late),
        ("POSTROUTING", late),
        ("INPUT", early),
    ):
        lines += _rules(random, hook, hook, devices, targets, 2 if hook in ("PREROUTING", "FORWARD") else 1)
    if random.random() < 0.4:
        lines.append("-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu")
    return [*lines, "COMMIT"]


def _nat(random: Random, devices: list[str]) -> list[str]:
    inside = f"10.0.{random.randrange(5)}.{random.choice([9, 20, 77])}"
    dnat = [
        f"-p tcp -j DNAT --to-destination {inside}:8080",
        f"-p tcp -j DNAT --to-destination {inside}",
        f"-p udp -j DNAT --to-destination {inside}:53",
        f"-p icmp -j DNAT --to-destination {inside}",
        "-p tcp -j REDIRECT --to-ports 8080",
        "-p tcp -j ACCEPT",
        "-j NETMAP --to 10.0.1.0/24",
    ]
    snat = [
        "-j MASQUERADE",
        f"-j SNAT --to-source {inside}",
        "-p tcp -j MASQUERADE --to-ports 30000-31000",
        "-j RETURN",
    ]
    lines = ["*nat"]
    for chain, targets, most in (("PREROUTING", dnat, 2), ("OUTPUT", dnat, 1), ("POSTROUTING", snat, 2)):
        for _ in range(random.randint(0, most)):
            target = random.choice(targets)
            match = anything(random, chain, devices)
            if "set-dscp" in match or (chain == "OUTPUT" and "REDIRECT" in target):
                continue
            port = f" --dport {random.choice(PORTS)}" if "-p tcp -j" in target or "-p udp -j" in target else ""
            lines.append(
                f"-A {chain} {target.replace(' -j', port + ' ' + match + ' -j', 1) if port else match + ' ' + target}"
            )
    return [*lines, "COMMIT"]


def router_rules(random: Random, devices: list[str]) -> dict[str, str]:
    """`ipset` and `iptables` of one router; some tables stay away."""
    tables = [
        (0.9, _filter),
        (0.4, _raw),
        (0.6, _mangle),
        (0.45, _nat),
    ]
    lines = [line for chance, table in tables if random.random() < chance for line in table(random, devices)]
    return {"ipset": IPSET.replace("{device}", devices[0]), "iptables": "\n".join(lines)}
