"""A really forwarding lab of a real-world configuration: `unshare … python -m tests.bench.real_world`.

Built like the lab of tests/bench/oracle_world.py with plain `ip`, `iptables-restore`, `ipset` and `nft`, and saved by
the script of `reachq facts collect`. Every host and router listens on all ports of the spec, so that a connection really
comes about: TCP by the kernel's handshake, UDP with a reply, ping. Interfaces of `tunnels` are tun devices between
which this process forwards as WireGuard does: to the peer that may have the destination, from one that may have the
source. Reads a spec (tests/bench/real_grammar.py) on stdin, writes for each probe `{"seen": sightings, "connected":
bool}` on stdout.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.oracle_world import TOKEN, collect, enter, send_first, shell, watchers_of

QUIET_S, LONGEST_S, ALONE_S = 0.35, 1.5, 0.12
COLLECT = Path(__file__).parents[2] / "netlab" / "facts" / "collect.sh"
IP_PKTINFO, TUNSETIFF, IFF_TUN, IFF_NO_PI = 8, 0x400454CA, 1, 0x1000
TCP_ESTABLISHED = 1

NODE = """
cd /proc/sys/net
for f in all default; do echo {rp_filter} > ipv4/conf/$f/rp_filter; echo 1 > ipv6/conf/$f/disable_ipv6; done
echo 0 > ipv4/icmp_ratelimit
! [ -e bridge ] || echo 0 > bridge/bridge-nf-call-iptables  # facts do not say what a bridge has routed to itself
echo {forward} > ipv4/ip_forward
ip link set lo up
{commands}
"""
SAVE = """
# A bridge gets its carrier from its ports a moment later, from a queue of the kernel.
for i in $(seq 30); do
  late=
  for bridge in $(ip -o link show type bridge up | grep NO-CARRIER | cut -d: -f2); do
    ip -o link show master $bridge | grep -q LOWER_UP && late=1
  done
  [ "$late" ] || break
  sleep 0.1
done
mkdir -p {facts}
cd {facts}
sh {collect} {name} 2>/dev/null
tar -xzf {name}.tar.gz
rm {name}.tar.gz {name}/collected.txt
"""
Sender = socket.socket | None


def main() -> None:
    """Build, save the facts, connect, report."""
    spec = json.load(sys.stdin)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    nodes = {**spec["hosts"], **spec["routers"]}
    _wire(spec, nodes)
    tunnels = _tunnels(nodes)
    _run_all({name: _commands(node) for name, node in nodes.items()})
    facts = Path(spec["facts"])
    _run_all({name: SAVE.format(facts=facts, name=name, collect=COLLECT) for name in spec["routers"]})
    for name, router in spec["routers"].items():
        for file, text in router["files"].items():
            (facts / name / file).write_text(text)
    json.dump(_Lab(spec, tunnels).ask(), sys.stdout)


def _commands(node: dict[str, Any]) -> str:
    ip = "ip -batch - <<'END'\n" + "\n".join(node["ip"]) + "\nEND"
    forward = int(node["forward"])
    return NODE.format(rp_filter=node["rp_filter"], forward=forward, commands="\n".join([ip, *node["commands"]]))


def _run_all(scripts: dict[str, str]) -> None:
    running = [(name, script, shell(name, script)) for name, script in scripts.items()]
    for name, script, process in running:
        output = process.communicate()[0]
        if process.returncode:
            sys.exit(f"{name}: {output} in:\n{script}")


def _wire(spec: dict[str, Any], nodes: dict[str, Any]) -> None:
    """Namespaces; a bridge for every segment, out here or, as `router/bridge`, in a router; a veth for every port."""
    for name in nodes:
        subprocess.run(["ip", "netns", "add", name], check=True)
    outside = {name: f"br{number}" for number, name in enumerate(spec["segments"])}
    batches: dict[str, list[str]] = {"": [f"link add {bridge} up type bridge" for bridge in outside.values()]}
    for name, node in nodes.items():
        batches[name] = [f"link add {bridge} up type bridge" for bridge in node["bridges"]]
    number = 0
    for name, node in nodes.items():
        for device, segment in node["ports"].items():
            number += 1
            router, _, bridge = segment.rpartition("/")
            end = f"veth{number:06x}"
            master = bridge if router else outside[segment]
            batches[router].append(f"link add {end} master {master} up type veth peer name {device} netns {name}")
    for name, lines in batches.items():
        prefix = ["ip", "-n", name] if name else ["ip"]
        # Names of other namespaces are looked up by ip itself; both kinds of line work from anywhere.
        subprocess.run([*prefix, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def _tunnels(nodes: dict[str, Any]) -> dict[int, tuple[str, str]]:
    """The tun devices: file descriptor -> (node, device)."""
    found = {}
    for name, node in nodes.items():
        for device in node["tunnels"]:
            enter(name)
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
            found[fd] = (name, device)
    return found


class _Lab:
    def __init__(self, spec: dict[str, Any], tunnels: dict[int, tuple[str, str]]) -> None:
        self.spec = spec
        self.nodes = {**spec["hosts"], **spec["routers"]}
        self.watchers = watchers_of(spec)
        self.sightings: list[list[tuple[float, str, str, str]]] = [[] for _ in spec["probes"]]
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.listeners: list[socket.socket] = []
        for watcher, place in self.watchers.items():
            self._handle(watcher.fileno(), partial(collect, watcher, place, self.sightings))
        for name in self.nodes:
            self._serve(name)
        self.peers = self._peers(tunnels)
        for fd in tunnels:
            self._handle(fd, partial(self._tunnel, fd))

    def _handle(self, fd: int, handler: Callable[[], None]) -> None:
        self.handlers[fd] = handler
        self.poll.register(fd, select.POLLIN)

    def _serve(self, name: str) -> None:
        enter(name)
        for port in self.spec["tcp"]:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("0.0.0.0", port))
            listener.listen(64)  # the kernel completes the handshake
            self.listeners.append(listener)
        for port in self.spec["udp"]:
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            server.bind(("0.0.0.0", port))
            server.setblocking(False)
            self._handle(server.fileno(), partial(_echo, server))

    def _peers(self, tunnels: dict[int, tuple[str, str]]) -> dict[int, list[tuple[int, ipaddress.IPv4Network]]]:
        by_place = {place: fd for fd, place in tunnels.items()}
        return {
            fd: [
                (by_place[tuple(peer["to"])], ipaddress.IPv4Network(allowed))
                for peer in self.nodes[name]["tunnels"][device]
                for allowed in peer["allowed"]
            ]
            for fd, (name, device) in tunnels.items()
        }

    def _peer(self, fd: int, address: bytes) -> int | None:
        fits = [(net.prefixlen, peer) for peer, net in self.peers[fd] if ipaddress.IPv4Address(address) in net]
        return max(fits)[1] if fits else None

    def _tunnel(self, fd: int) -> None:
        """Forward as WireGuard does."""
        while True:
            try:
                packet = os.read(fd, 2048)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:
                continue
            peer = self._peer(fd, packet[16:20])
            if peer is not None and self._peer(peer, packet[12:16]) == fd:
                os.write(peer, packet)

    def ask(self) -> list[dict[str, Any]]:
        """Every probe: together, or one at a time with the firewalls' state reset when they remember packets."""
        probes = self.spec["probes"]
        senders: list[Sender] = []
        connected: list[bool] = []
        resets = {name: node["reset"] for name, node in self.spec["routers"].items() if node["reset"]}
        for number, probe in enumerate(probes):
            if resets:
                _run_all(resets)
            enter(probe["from"])
            sender = send_first(probe, TOKEN + number)
            senders.append(sender)
            if resets:
                self._watch(ALONE_S if number else QUIET_S, LONGEST_S)
                connected.append(_connected(probe, sender))
                if sender:
                    sender.close()  # it must not send its SYN again, after the next reset
        if not resets:
            self._watch(QUIET_S, LONGEST_S)
            connected = list(map(_connected, probes, senders))
        return [
            {
                "seen": [{"at": at, "how": how, "destination": to} for _, at, how, to in sorted(seen)],
                "connected": is_connected,
            }
            for is_connected, seen in zip(connected, self.sightings, strict=True)
        ]

    def _watch(self, quiet: float, longest: float) -> None:
        deadline = time.monotonic() + longest
        while time.monotonic() < deadline and (ready := self.poll.poll(quiet * 1e3)):
            for fd, _ in ready:
                self.handlers[fd]()


def _echo(server: socket.socket) -> None:
    """Reply from the address that the datagram was sent to."""
    while True:
        try:
            data, notes, _, peer = server.recvmsg(2048, 256)
        except OSError:  # no more, or the error of an earlier reply
            return
        mine = next(note[2] for note in notes if note[1] == IP_PKTINFO)
        info = struct.pack("=I4s4s", 0, mine[8:12], b"\0\0\0\0")
        try:
            server.sendmsg([b"reply" + data], [(socket.IPPROTO_IP, IP_PKTINFO, info)], 0, peer)
        except OSError:
            continue


def _connected(probe: dict[str, Any], sender: Sender) -> bool:
    if sender is None:
        return False
    if probe["protocol"] == "tcp":
        return sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] == TCP_ESTABLISHED
    sender.setblocking(False)
    while True:
        try:
            data, peer = sender.recvfrom(2048)
        except BlockingIOError:
            return False
        except OSError:  # an ICMP error
            return False
        if probe["protocol"] == "udp":
            return bool(peer == (probe["destination"], probe["port"]))
        head = (data[0] & 15) * 4
        if data[head] == 0 and data[head + 4 : head + 6] == probe["source_port"].to_bytes(2, "big"):
            return bool(peer[0] == probe["destination"])


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the namespaces end with the process; nothing needs to be closed
