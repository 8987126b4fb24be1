"""A really forwarding copy of a network, for the oracle: `unshare --net --mount … python -m tests.bench.oracle_world`.

Written apart from netlab on purpose: plain `ip`, `iptables-restore`, `ipset` and `nft` commands, hosts with addresses and
ARP on every segment, packets made by the hosts' own stacks (connect, sendto, echo), and packet sockets that watch who
gets them. The routers' facts are then printed by the very commands docs/facts.md asks for, so the bench reads what real
tools say. Reads a spec (tests/bench/oracle_grammar.py) as JSON on stdin, writes the sightings as JSON on stdout.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ETH_P_IP, SO_TIMESTAMPNS, CLONE_NEWNET = 0x0800, 35, 0x40000000
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
QUIET_S, LONGEST_S = 0.12, 0.8
TOKEN = 0x4F520000
"""Every packet carries TOKEN + its number: TCP as sequence number, UDP and echo at the head of the payload."""

_libc = ctypes.CDLL(None, use_errno=True)

ROUTER = """
cd /proc/sys/net
for f in all default; do echo 0 > ipv4/conf/$f/rp_filter; echo 1 > ipv6/conf/$f/disable_ipv6; done
echo 1 > /proc/sys/net/ipv4/ip_forward
ip link set lo up
ip -batch - <<'END'
{ip}
END
[ -z "{has_ipset}" ] || ipset restore <<'END'
{ipset}
END
[ -z "{has_iptables}" ] || iptables-restore <<'END'
{iptables}
END
[ -z "{has_nft}" ] || nft -f - <<'END'
{nft}
END
mkdir -p {facts}
cd {facts}
ip -j addr > addr.json
ip -j route show table all > routes.json
ip -j rule > rules.json
iptables-save > iptables.rules 2>/dev/null
ipset save > ipset.rules
nft list ruleset > nft.rules
"""
HOST = """
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip link set lo up
ip -batch - <<'END'
{ip}
END
iptables -A INPUT ! -i lo -j DROP
"""


def main() -> None:
    """Build, print the facts, send every question's packets, report."""
    spec = json.load(sys.stdin)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    _wire(spec)
    scripts = []
    for name, router in spec["routers"].items():
        parts = {key: router.get(key, "").strip() for key in ("ipset", "iptables", "nft")}
        flags = {f"has_{key}": "yes" if text else "" for key, text in parts.items()}
        facts = Path(spec["facts"]) / name
        scripts.append((name, ROUTER.format(ip="\n".join(router["ip"]), facts=facts, **parts, **flags)))
    scripts += [(name, HOST.format(ip="\n".join(host["ip"]))) for name, host in spec["hosts"].items()]
    running = [(name, script, shell(name, script)) for name, script in scripts]
    for name, script, process in running:
        output = process.communicate()[0]
        if process.returncode:
            sys.exit(f"{name}: {output} in:\n{script}")
    json.dump(_ask(spec), sys.stdout)


def shell(namespace: str, script: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", namespace, "sh", "-e", "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wire(spec: dict[str, Any]) -> None:
    """Namespaces, a bridge for every segment, a veth for every port."""
    lines = []
    for name in (*spec["routers"], *spec["hosts"]):
        subprocess.run(["ip", "netns", "add", name], check=True)
    bridges = {name: f"br{number}" for number, name in enumerate(spec["segments"])}
    lines += [f"link add {bridge} up type bridge" for bridge in bridges.values()]
    number = 0
    for name, node in (*spec["routers"].items(), *spec["hosts"].items()):
        for device, segment in node["ports"].items():
            number += 1
            lines.append(f"link add v{number} master {bridges[segment]} up type veth peer name {device} netns {name}")
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def enter(name: str) -> None:
    with open(f"/run/netns/{name}") as space:
        if _libc.setns(space.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {name}")


def watchers_of(spec: dict[str, Any]) -> dict[socket.socket, tuple[str, str]]:
    """Sockets that see what comes in on the wire ("wire") and what a router's INPUT let through ("self")."""
    watchers = {}
    for name in (*spec["routers"], *spec["hosts"]):
        enter(name)
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        watchers[wire] = (name, "wire")
        if name in spec["routers"]:
            for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP):
                watchers[socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)] = (name, "self")
    for watcher in watchers:
        watcher.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        watcher.setblocking(False)
    time.sleep(0.05)  # the kernel starts to timestamp packets a moment after the request
    return watchers


def _ask(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """For every probe what was seen, in order: [{at, how, destination}, …]."""
    watchers = watchers_of(spec)
    senders = []
    for number, probe in enumerate(spec["probes"]):
        enter(probe["from"])
        senders.append(send_first(probe, TOKEN + number))
    sightings: list[list[tuple[float, str, str, str]]] = [[] for _ in spec["probes"]]
    poll = select.poll()
    by_fd = {watcher.fileno(): watcher for watcher in watchers}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline and (ready := poll.poll(QUIET_S * 1e3)):
        for fd, _ in ready:
            collect(by_fd[fd], watchers[by_fd[fd]], sightings)
    return [
        [{"at": at, "how": how, "destination": to} for _, at, how, to in sorted(seen, key=lambda s: s[0])]
        for seen in sightings
    ]


def collect(watcher: socket.socket, place: tuple[str, str], sightings: list[list[tuple[float, str, str, str]]]) -> None:
    for _ in range(1000):
        try:
            data, notes, _, _ = watcher.recvmsg(2048, 256)
        except BlockingIOError:
            return
        number = _number(data)
        if number is not None and 0 <= number < len(sightings):
            stamp = next(struct.unpack("=qq", note[2][:16]) for note in notes if note[1] == SO_TIMESTAMPNS)
            sightings[number].append((stamp[0] + stamp[1] / 1e9, *place, socket.inet_ntoa(data[16:20])))


def _number(packet: bytes) -> int | None:
    """The number of the probe in this packet, or None: answers and errors carry the token elsewhere."""
    head, protocol = (packet[0] & 15) * 4, packet[9]
    at = {6: head + 4, 17: head + 8, 1: head + 8}.get(protocol)
    if at is None or len(packet) < at + 4 or (protocol == 1 and packet[head] != 8):
        return None
    if protocol == 6 and packet[head + 13] & 0x17 != 0x02:
        return None
    return int.from_bytes(packet[at : at + 4], "big") - TOKEN


def send_first(probe: dict[str, Any], token: int) -> socket.socket | None:
    """The first packet of a connection, made by the sender's own stack."""
    source, port = (probe["source"], probe["source_port"]), (probe["destination"], probe["port"] or 0)
    data = token.to_bytes(4, "big")
    try:
        if probe["protocol"] == "tcp":
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            for option, value in ((TCP_REPAIR, 1), (TCP_REPAIR_QUEUE, 2), (TCP_QUEUE_SEQ, token), (TCP_REPAIR, 0)):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # leaving TCP_REPAIR clears it
            sock.bind(source)
            sock.connect_ex(port)
        elif probe["protocol"] == "udp":
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(source)
            sock.connect(port)  # several sockets may have the source port
            sock.send(data)
        else:
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            sock.bind((probe["source"], 0))
            echo = struct.pack("!BBHHH", 8, 0, 0, probe["source_port"], 1) + data + bytes(52)
            total = sum(struct.unpack(f"!{len(echo) // 2}H", echo))
            total = (total & 0xFFFF) + (total >> 16)
            total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            sock.sendto(echo[:2] + struct.pack("!H", total) + echo[4:], (probe["destination"], 0))
    except OSError as refused:  # the sender's own routing or OUTPUT refused: nothing was sent, nothing will be seen
        if refused.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            raise
        return None
    return sock


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the namespaces end with the process; nothing needs to be closed
