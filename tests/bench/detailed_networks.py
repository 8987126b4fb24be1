"""The three small networks of tests/bench/detailed_cells.py. The lines' numbers count there: do not move a rule."""

from __future__ import annotations

from pathlib import Path

from tests.bench.small import write_router


def line(network: Path) -> None:
    """A's segment 10.0.1.0/24 - r1 (iptables) - r2 (nftables) - B's segment 10.0.2.0/24."""
    write_router(
        network,
        "r1",
        {"lan": "10.0.1.1/24", "up": "10.9.0.1/30"},
        "10.0.2.0/24 via 10.9.0.2 dev up",
        iptables="""*raw
        -A PREROUTING -p udp --dport 53 -j CT --notrack
        -A PREROUTING -p udp --sport 53 -j CT --notrack
        COMMIT
        *mangle
        -A FORWARD -p tcp --dport 25 -j DROP
        -A POSTROUTING -p tcp --dport 26 -j DROP
        COMMIT
        *nat
        -A PREROUTING -d 192.0.2.80/32 -p tcp --dport 80 -j DNAT --to-destination 10.0.2.9:8080
        -A POSTROUTING -o up -p udp --dport 99 -j SNAT --to-source 10.9.0.1:7777
        -A POSTROUTING -o up -p tcp --dport 99 -j MASQUERADE
        COMMIT
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [0:0]
        :OUTPUT ACCEPT [0:0]
        :outer - [0:0]
        :inner - [0:0]
        :gone - [0:0]
        -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT
        -A FORWARD -p tcp --dport 30 -j REJECT --reject-with tcp-reset
        -A FORWARD -p tcp --dport 31 -j REJECT --reject-with icmp-port-unreachable
        -A FORWARD -p tcp --dport 32 -j REJECT --reject-with icmp-host-unreachable
        -A FORWARD -p udp --dport 33 -j REJECT --reject-with icmp-port-unreachable
        -A FORWARD -p udp --dport 34 -j REJECT --reject-with icmp-admin-prohibited
        -A FORWARD -p icmp -j REJECT --reject-with icmp-host-prohibited
        -A FORWARD -p tcp --dport 40:44 -j outer
        -A FORWARD -p tcp --dport 42 -j ACCEPT
        -A FORWARD -p tcp --dport 43 -j DROP
        -A FORWARD -p tcp --dport 50:59 -j ACCEPT
        -A FORWARD -p tcp -m multiport --dports 25,26,99,8080 -j ACCEPT
        -A FORWARD -p udp --dport 99 -j ACCEPT
        -A outer -p tcp --dport 40 -g gone
        -A outer -p tcp --dport 41:42 -j inner
        -A outer -p tcp --dport 43 -j RETURN
        -A outer -p tcp --dport 44 -j ACCEPT
        -A inner -p tcp --dport 41 -j DROP
        -A gone -p tcp --dport 45 -j ACCEPT
        COMMIT""",
    )
    write_router(
        network,
        "r2",
        {"up": "10.9.0.2/30", "lan": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.1 dev up",
        nft="""table inet guard {
        set web {
        type inet_service
        elements = { 52, 53 }
        }
        chain forward {
        type filter hook forward priority filter; policy drop;
        ct state vmap { invalid : drop, established : accept, related : accept }
        tcp dport vmap { 50 : drop, 51 : jump ask, 54 : goto ask }
        tcp dport @web counter packets 0 bytes 0 accept
        tcp dport 51 reject with tcp reset
        tcp dport { 42, 44, 99, 8080 } accept
        udp dport { 53, 99 } accept
        tcp dport 55 reject with icmpx host-unreachable
        }
        chain ask {
        ip saddr 10.0.1.8 accept
        }
        }""",
    )


def there_and_back(network: Path) -> None:
    """A - r1 - r2 - B, with the return path from r2 through r3, which sees replies only."""
    write_router(
        network,
        "r1",
        {"lan": "10.0.1.1/24", "a": "10.9.0.1/30", "b": "10.9.1.1/30"},
        "10.0.2.0/24 via 10.9.0.2 dev a",
    )
    write_router(
        network,
        "r2",
        {"a": "10.9.0.2/30", "c": "10.9.2.1/30", "lan": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.2.2 dev c",
        iptables="""*raw
        -A PREROUTING -i lan -p tcp --sport 83 -j DROP
        COMMIT
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD ACCEPT [0:0]
        -A FORWARD -i lan -p tcp --sport 82 -j DROP
        COMMIT""",
    )
    write_router(
        network,
        "r3",
        {"b": "10.9.1.2/30", "c": "10.9.2.2/30"},
        "10.0.1.0/24 via 10.9.1.1 dev b\n10.0.2.0/24 via 10.9.2.1 dev c",
        iptables="""*filter
        :FORWARD DROP [0:0]
        -A FORWARD -p tcp --sport 80 -j ACCEPT
        -A FORWARD -p udp --sport 53 -j REJECT --reject-with icmp-port-unreachable
        -A FORWARD -m conntrack --ctstate INVALID -j DROP
        -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        COMMIT""",
    )


def ways(network: Path) -> None:
    """r1 with a LAN, a provider, a tunnel, two routes to B's segment, routes that refuse, and one that loops through
    r2.
    """
    write_router(
        network,
        "r1",
        {
            "lan": "10.0.1.1/24",
            "up": "10.9.0.1/30",
            "alt": "10.9.1.1/30",
            "wg0": "10.9.5.1/30",
            "wan": "198.51.100.2/30",
        },
        """default via 198.51.100.1 dev wan
        10.0.2.0/24 via 10.9.0.2 dev up
        10.0.2.0/24 via 10.9.1.2 dev alt table 7
        10.0.3.0/24 dev wg0 scope link
        10.69.0.0/16 via 10.9.0.2 dev up
        10.77.0.0/16 via 10.9.0.2 dev up
        blackhole 10.66.0.0/16
        unreachable 10.67.0.0/16
        prohibit 10.68.0.0/16""",
        rules=[
            {"priority": 100, "src": "all", "fwmark": "0x7", "table": "7"},
            {"priority": 101, "src": "all", "ipproto": "udp", "dport": 53, "table": "7"},
        ],
        iptables="""*mangle
        -A PREROUTING -p tcp --dport 443 -j MARK --set-mark 7
        COMMIT
        *nat
        -A PREROUTING -d 10.0.1.1/32 -p tcp --dport 8443 -j DNAT --to-destination 10.0.1.50:443
        -A PREROUTING -d 10.0.1.1/32 -p tcp --dport 8444 -j DNAT --to-destination 10.0.1.50:444
        -A POSTROUTING -s 10.0.1.0/24 -d 10.0.1.50/32 -p tcp --dport 443 -j MASQUERADE
        COMMIT""",
    )
    write_router(
        network,
        "r2",
        {"up": "10.9.0.2/30", "lan": "10.0.2.1/24"},
        "10.0.1.0/24 via 10.9.0.1 dev up\n10.77.0.0/16 via 10.9.0.1 dev up",
        iptables="""*filter
        :INPUT DROP [0:0]
        :OUTPUT ACCEPT [0:0]
        -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A INPUT -p tcp --dport 22 -j ACCEPT
        -A INPUT -p tcp --dport 24 -j REJECT --reject-with tcp-reset
        -A INPUT -p tcp --dport 25 -j ACCEPT
        -A OUTPUT -p tcp --sport 25 -j DROP
        -A OUTPUT -p tcp --dport 26 -j DROP
        -A OUTPUT -p tcp --dport 27 -j REJECT --reject-with icmp-port-unreachable
        COMMIT""",
    )
    write_router(network, "r3", {"wg0": "10.9.5.2/30", "lan": "10.0.3.1/24"}, "10.0.1.0/24 dev wg0 scope link")
    write_router(network, "r4", {"alt": "10.9.1.2/30", "lan": "10.0.2.2/24"})


NETWORKS = {"line": line, "there-and-back": there_and_back, "ways": ways}
