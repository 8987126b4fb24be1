"""Random conditions of iptables rules, from every match module a router is likely to use. Pure."""

from __future__ import annotations

from random import Random

PORTS = [22, 53, 80, 123, 443, 5060, 8080, 8443, 60000]


def one(random: Random, words: str) -> str:
    """One of the words separated by bars."""
    return random.choice(words.split("|"))


def _address(random: Random) -> str:
    lan = random.randrange(5)
    return random.choice(
        [
            f"10.0.{lan}.0/24",
            f"10.0.{lan}.0/25",
            f"10.0.{lan}.64/26",
            f"10.0.{lan}.9",
            f"10.0.{lan}.20/30",
            "198.51.100.0/24",
        ]
    )


def _not(random: Random, chance: float = 0.2) -> str:
    return "! " if random.random() < chance else ""


def _protocol(random: Random) -> str:
    port, low = random.choice(PORTS), random.choice([1, 1024, 5000])
    several = ",".join(str(p) for p in sorted(random.sample(PORTS, 3)))
    return random.choice(
        [
            f"-p tcp -m tcp {_not(random)}--dport {port}",
            f"-p udp -m udp {_not(random)}--dport {port}",
            f"-p tcp -m tcp --dport {low}:{low + 4000}",
            f"-p tcp -m multiport {_not(random)}--dports {several}",
            f"-p udp -m multiport --dports {several},6000:9000",
            f"-p tcp -m multiport --ports {several}",
            "-p tcp -m tcp --sport 1:1023",
            "-p tcp -m tcp --syn",
            "-p tcp -m tcp ! --syn",
            "-p tcp -m tcp --tcp-flags "
            f"{one(random, 'SYN,ACK|ALL|FIN,SYN,RST,ACK|ALL')} {one(random, 'SYN|SYN|NONE|ACK')}",
            f"-p tcp -m tcp --tcp-option {random.choice([2, 3, 8, 5])}",
            f"-p tcp -m tcp --syn -m tcpmss --mss {one(random, '1400:1500|536:1000|1460')}",
            f"-p tcp -m length --length {one(random, '60|40|41:100|61:65535')}",
            f"-p icmp -m length --length {one(random, '84|85:65535|0:60')}",
            f"-p icmp -m icmp --icmp-type {random.choice([8, 0, 3])}",
            "-p icmp",
            "-p udp",
            "-p tcp",
            f"{_not(random, 0.9)}-p tcp",
            "-p tcp -m u32 --u32 "
            + one(random, '"0>>22&0x3C@0&0xFFFF=80"|"0&0xFFFF=60"|"6&0xFF=6 && 4&0x1FFF=0"|"4&0x4000=0x4000"'),
        ]
    )


def anything(random: Random, hook: str, devices: list[str]) -> str:
    """A match that is valid for any protocol, in a chain on `hook`."""
    choices = [
        f"{_not(random)}-s {_address(random)}",
        f"{_not(random)}-d {_address(random)}",
        f"-m conntrack --ctstate {one(random, 'NEW|INVALID|RELATED,ESTABLISHED|NEW,UNTRACKED|UNTRACKED|SNAT|DNAT')}",
        f"-m state --state {one(random, 'NEW|INVALID|ESTABLISHED')}",
        f"-m conntrack --ctorigdst {_address(random)}",
        f"-m mark {_not(random)}--mark {one(random, '0x1|0x2/0xff|0x0|0x10/0xf0')}",
        f"-m connmark --mark {one(random, '0x0|0x2|0x1/0x1')}",
        f"-m set {_not(random)}--match-set {one(random, 'hosts|nets|all')} {one(random, 'src|dst')}",
        f"-m iprange {one(random, '--src-range|--dst-range')} "
        f"10.0.{random.randrange(3)}.5-10.0.{random.randrange(3, 5)}.50",
        f"-m addrtype {_not(random)}--dst-type {one(random, 'LOCAL|UNICAST|BROADCAST|BLACKHOLE')}",
        f"-m addrtype --src-type {one(random, 'LOCAL|UNICAST')}",
        f"-m ttl {one(random, '--ttl-eq 64|--ttl-lt 64|--ttl-gt 62|--ttl-eq 63|--ttl-lt 5')}",
        f"-m dscp {_not(random)}--dscp {one(random, '0x00|0x21|0x2e')}",
        f"-m tos --tos {one(random, '0x00/0xff|0x10/0x3f')}",
        "-m ecn --ecn-ip-ect 0",
        '-m comment --comment "a -j DROP in words"',
        "-f",
    ]
    if hook in ("PREROUTING", "INPUT", "FORWARD"):
        choices += [f"{_not(random)}-i {random.choice(devices)}"] * 3
        choices += [
            "-m pkttype --pkt-type unicast",
            "-m physdev --physdev-is-bridged",
            "-m set --match-set doors src,src",
        ]
    if hook in ("FORWARD", "OUTPUT", "POSTROUTING"):
        choices.append("-m realm --realm 0x0")
        choices += [f"{_not(random)}-o {random.choice(devices)}"] * 3
    return random.choice(choices)


def _kind(match: str) -> list[str]:
    words = match.removeprefix("! ").split()
    return words[:2] if words[0] == "-m" else words[:1]


def matches(random: Random, hook: str, devices: list[str]) -> str:
    parts: list[str] = []
    for _ in range(random.choice([0, 1, 1, 2])):
        part = anything(random, hook, devices)
        if _kind(part) not in map(_kind, parts):  # a rule may have most matches only once
            parts.append(part)
    chance = random.random()
    if chance < 0.65 or not parts:
        parts.insert(0, _protocol(random))
    elif chance < 0.72:
        parts.insert(
            0,
            f"-p {one(random, 'tcp|udp')} -m set {_not(random)}--match-set "
            + one(random, "ports dst|ports src|pairs dst,dst|pairs src,dst"),
        )
    return " ".join(parts)
