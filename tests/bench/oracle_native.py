"""Random tables in nftables' own language. Pure."""

from __future__ import annotations

from random import Random

from tests.bench.oracle_matches import PORTS, one


def native_rules(random: Random, devices: list[str]) -> str:
    """A table of the router's own in nftables' language."""
    family = random.choice(["ip", "inet"])
    several = ", ".join(str(p) for p in sorted(random.sample(PORTS, 3)))
    device = random.choice(devices)
    lines = [
        f"tcp dport {{ {several} }} {one(random, 'accept|drop|reject with tcp reset')}",
        f"ip saddr @some {one(random, 'accept|drop|counter')}",
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        f"meta l4proto {{ tcp, udp }} th dport {one(random, '1024-9000|53|!= 80')} jump side",
        "ip daddr . th dport vmap { 10.0.1.9 . 80 : drop, 10.0.2.20 . 53 : accept }"
        if family == "ip"
        else "meta nfproto ipv4 icmp type echo-request goto side",
        f'iifname "{device}" {random.choice(["drop", "goto side", "accept"])}',
        f"fib daddr type {one(random, 'local|unicast|broadcast')} {one(random, 'accept|counter|drop')}",
        f"fib saddr . iif oif {one(random, 'missing|exists')} {one(random, 'drop|accept')}",
        f"tcp flags & (fin | syn | rst | ack) {one(random, '==|!=')} syn {one(random, 'accept|drop')}",
        f"tcp option maxseg size {one(random, '1-1000|1460|>= 1400')} drop",
        f"ip ttl {one(random, '64|63|< 63')} drop",
        f"ip length {one(random, '60|> 80')} meta l4proto tcp accept",
        "meta mark set 0x7",
        f"ct mark {one(random, '0x0|0x2')} accept",
        f"ip dscp {one(random, 'cs0|ef')} {one(random, 'accept|drop')}",
        'log prefix "a drop in words" counter',
        f"ip saddr {{ 10.0.0.0/25, 10.0.1.5-10.0.1.50, 198.51.100.7 }} {one(random, 'drop|accept')}",
        "ct original ip daddr 10.0.0.0/8 counter" if family == "inet" else "rt ip nexthop 10.0.0.0/8 counter",
    ]
    hook = random.choice(["forward", "forward", "prerouting", "input", "postrouting"])
    if hook != "prerouting":  # fib with an input interface, and reject, are for some hooks only
        lines = [line for line in lines if not line.startswith("fib saddr") or hook in ("forward", "input")]
    lines = [line for line in lines if "reject" not in line or hook in ("forward", "input")]
    lines = [line for line in lines if "iifname" not in line or hook != "postrouting"]
    lines = [line for line in lines if "rt ip" not in line or hook in ("forward", "postrouting")]
    body = random.sample(lines, random.randint(2, 5))
    priority = random.choice([-350, -150, -10, 0, 5, 200])
    side = random.sample(
        ["ip saddr @some return", "udp dport 53 accept", f"tcp dport {several.split(',')[0]} drop", "counter"], 2
    )
    return f"""table {family} own {{
    set some {{
        type ipv4_addr
        flags interval
        elements = {{ 10.0.0.0/24, 10.0.2.16-10.0.2.100 }}
    }}
    chain side {{
        {chr(10).join(side)}
    }}
    chain first {{
        type filter hook {hook} priority {priority}; policy {random.choice(["accept", "accept", "accept", "drop"])};
        {chr(10).join(body)}
    }}
}}"""
