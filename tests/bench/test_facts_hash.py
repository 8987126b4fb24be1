"""Two captures of one router by the real tools have the same facts hash, until something changes."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest

from netlab.facts import reader
from netlab.facts.reader import COLLECT_COMMANDS
from netlab.kernel import namespaces
from tests.bench.isolated import in_a_child

ROUTER = """
ip link set lo up
ip link add lan type veth peer name wan
ip link set lan up; ip link set wan up
ip addr add 10.0.1.1/24 dev lan valid_lft 3600 preferred_lft 3600
ip addr add 203.0.113.2/29 dev wan
ip route add 10.9.0.0/16 nexthop via 10.0.1.9 nexthop via 203.0.113.1
ip route add default via 203.0.113.1
ip rule add from 10.0.1.0/24 lookup main priority 100
ipset create bans hash:ip timeout 600 counters comment
ipset create nets hash:net
ipset add bans 127.0.0.1 timeout 500 comment "it connects"
ipset add bans 192.0.2.8 timeout 0
ipset add nets 10.0.0.0/8
iptables -A INPUT -m set --match-set bans src -j ACCEPT
iptables -t nat -A POSTROUTING -o wan -j MASQUERADE
nft -f - <<'END'
table inet fw {
	counter web { }
	quota month { over 25 mbytes }
	set bans {
		type ipv4_addr; flags timeout
		elements = { 192.0.2.7 timeout 1h, 192.0.2.9 timeout 1h comment "b, a", 127.0.0.1 timeout 1h }
	}
	chain in {
		type filter hook input priority filter; policy accept;
		ip saddr @bans counter name web quota name month counter accept
		tcp dport { 443, 22 } counter quota over 5 mbytes drop
	}
}
END
"""
LATER = """
ipset del nets 10.0.0.0/8; ipset add nets 172.16.0.0/12; ipset add nets 10.0.0.0/8; ipset del nets 172.16.0.0/12
nft delete element inet fw bans '{ 192.0.2.9 }'
nft add element inet fw bans '{ 192.0.2.9 timeout 1h comment "b, a" }'
ip route del 10.9.0.0/16
ip route add 10.9.0.0/16 nexthop via 203.0.113.1 nexthop via 10.0.1.9
"""
CHANGES = [
    "ip addr add 10.0.1.2/24 dev lan",
    "ip route add 10.8.0.0/16 via 10.0.1.9",
    "ip rule add from 10.0.2.0/24 lookup main priority 101",
    "ipset add nets 10.1.0.0/16",
    "iptables -I INPUT -s 10.0.1.7 -j DROP",
    "iptables -P FORWARD DROP",
    "nft add element inet fw bans '{ 192.0.2.10 timeout 1h }'",
    "nft add rule inet fw in tcp dport 80 drop",
]


def shell(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True, text=True)


def capture(folder: Path) -> str:
    """Save the facts of this namespace as those of one router, and return their hash."""
    (folder / "gw").mkdir(parents=True)
    for file, command in COLLECT_COMMANDS.items():
        if not file.startswith(("wireguard", "iptables-legacy")):
            printed = subprocess.run(command.split(), check=True, capture_output=True, text=True)
            (folder / "gw" / file).write_text(printed.stdout)
    return reader.load(folder).digest


@pytest.mark.parametrize("change", CHANGES)
def test_two_captures(change: str, tmp_path: Path) -> None:
    def body() -> str:
        namespaces.isolate()
        shell(ROUTER)
        first = capture(tmp_path / "first")
        time.sleep(1.1)  # the tools print the time left in seconds
        with socket.socket() as client:
            client.connect_ex(("127.0.0.1", 9))  # it is refused, and counted
        shell(LATER)
        texts = [
            {path.name: path.read_text() for path in (tmp_path / folder / "gw").iterdir()}
            for folder in ("first", "second")
            if folder == "first" or capture(tmp_path / "second")
        ]
        changed = {file for file in texts[0] if texts[0][file] != texts[1][file]}
        assert changed >= {"addr.json", "routes.json", "iptables.rules", "ipset.rules", "nft.rules"}, (
            "printed differently"
        )
        assert reader.load(tmp_path / "second").digest == first
        shell(change)
        assert capture(tmp_path / "third") != first
        return ""

    in_a_child(body)
