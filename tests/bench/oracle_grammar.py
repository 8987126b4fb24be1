"""Random small networks from a seed: the routers' commands, the hosts, and what to ask. Pure.

spec = {"segments": [name], "routers": {name: {"ports": {device: segment}, "ip": [lines of `ip -batch`], "iptables", "ipset",
"nft"}}, "hosts": {name: {"ports", "ip"}}, "probes": [{from, source, destination, source_port, port, protocol}]}
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.bench.oracle_matches import PORTS
from tests.bench.oracle_native import native_rules
from tests.bench.oracle_rules import router_rules

NAMES = ("eth0", "ens3", "wlan0", "bond0", "br-lan", "eth0.20", "up", "dev", "enp1s0f0", "veth@x", "vlan7", "lan-1")
EDGE_HOST, EDGE_ADDRESS, FAR = "isp", "192.0.2.1", ("198.51.100.7", "203.0.113.9")


class Network:
    """Routers in a tree joined by transit segments; each has a LAN with one host namespace; the first has the internet."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.count = random.randint(2, 5)
        self.segments: list[str] = []
        self.ports: list[dict[str, str]] = [{} for _ in range(self.count)]
        self.ip: list[list[str]] = [[] for _ in range(self.count)]
        self.via: dict[tuple[int, int], tuple[str, str]] = {}
        """(router, neighbour) -> device and the neighbour's address on it."""
        self.hosts: dict[str, dict[str, Any]] = {}

    def build(self) -> dict[str, Any]:
        """The whole spec except its folder for facts."""
        random = self.random
        for number in range(self.count):
            self._lan(number)
        self._edge()
        hub = self.count > 2 and random.random() < 0.3
        if hub:
            self._transit(list(range(self.count)))
        else:
            for number in range(1, self.count):
                self._transit([random.randrange(number), number])
            if self.count > 2 and random.random() < 0.5:
                self._transit(random.sample(range(self.count), 2))
        self._routes()
        routers = {}
        for number in range(self.count):
            self._policy(number)
            rules = router_rules(random, sorted(self.ports[number]))
            nft = native_rules(random, sorted(self.ports[number])) if random.random() < 0.35 else ""
            routers[f"r{number}"] = {"ports": self.ports[number], "ip": self.ip[number], "nft": nft, **rules}
        return {"segments": self.segments, "routers": routers, "hosts": self.hosts, "probes": self._probes()}

    def _attach(self, router: int, segment: str, address: str) -> str:
        free = [name for name in NAMES if name not in self.ports[router]]
        device = self.random.choice(free)
        self.ports[router][device] = segment
        self.ip[router] += [f"link set dev {device} up", f"addr add {address} dev {device}"]
        return device

    def _lan(self, number: int) -> None:
        name = f"lan{number}"
        self.segments.append(name)
        self._attach(number, name, f"10.0.{number}.1/24")
        second = self.random.random() < 0.2
        if second:
            device = next(iter(self.ports[number]))
            self.ip[number].append(f"addr add 10.0.{number}.2/24 dev {device}")
        lines = ["link set dev eth0 up"]
        # 9, 20, 77 and 200 are asked about; 2 and 7 are what NETMAP may make of the others.
        lasts = (9, 20, 77, 200, 7) if second else (9, 20, 77, 200, 7, 2)
        lines += [f"addr add 10.0.{number}.{last}/24 dev eth0" for last in lasts]
        lines.append(f"route add default via 10.0.{number}.1")
        self.hosts[f"h{number}"] = {"ports": {"eth0": name}, "ip": lines}

    def _edge(self) -> None:
        self.segments.append("edge")
        device = self._attach(0, "edge", "192.0.2.2/29")
        self.ip[0].append(f"route add default via {EDGE_ADDRESS} dev {device}")
        lines = ["link set dev eth0 up", f"addr add {EDGE_ADDRESS}/29 dev eth0", "route add default via 192.0.2.2"]
        lines += [f"addr add {address}/32 dev lo" for address in FAR]
        self.hosts[EDGE_HOST] = {"ports": {"eth0": "edge"}, "ip": lines}

    def _transit(self, members: list[int]) -> None:
        number = len(self.segments)
        name = f"t{number}"
        self.segments.append(name)
        devices = {m: self._attach(m, name, f"10.9.{number}.{m + 1}/28") for m in members}
        for one in members:
            for other in members:
                if one != other:
                    self.via[one, other] = (devices[one], f"10.9.{number}.{other + 1}")

    def _next(self, router: int, target: int) -> tuple[str, str]:
        """Device and gateway of the shortest path."""
        before = {target: target}
        queue = [target]
        for node in queue:
            for one, other in self.via:
                if other == node and one not in before:
                    before[one] = node
                    queue.append(one)
        return self.via[router, before[router]]

    def _routes(self) -> None:
        random = self.random
        for router in range(self.count):
            if router:
                device, gateway = self._next(router, 0)
                self.ip[router].append(f"route add default via {gateway} dev {device}")
            for target in range(self.count):
                if target == router:
                    continue
                device, gateway = self._next(router, target)
                chance = random.random()
                if chance < 0.05:
                    kind = random.choice(["blackhole", "unreachable", "prohibit"])
                    self.ip[router].append(f"route add {kind} 10.0.{target}.0/25")
                elif chance < 0.08:
                    continue  # the default route matches, possibly in a loop
                elif chance < 0.14:
                    neighbour = random.choice([other for one, other in self.via if one == router])
                    device, gateway = self.via[router, neighbour]
                self.ip[router].append(f"route add 10.0.{target}.0/24 via {gateway} dev {device}")

    def _policy(self, router: int) -> None:
        random, lines = self.random, self.ip[router]
        if random.random() < 0.5:
            return
        for priority in range(100, 100 + random.randint(1, 3)):
            neighbour = random.choice([other for one, other in self.via if one == router])
            device, gateway = self.via[router, neighbour]
            table = 1000 + priority
            lines.append(f"route add {self._policy_target()} table {table} via {gateway} dev {device}")
            lines.append(f"rule add {self._selector(router)} lookup {table} priority {priority}")
        if random.random() < 0.2:
            lines.append(f"rule add {self._selector(router)} priority 90 {random.choice(['blackhole', 'prohibit'])}")

    def _policy_target(self) -> str:
        return self.random.choice(["default", "10.0.0.0/8", f"10.0.{self.random.randrange(self.count)}.0/24"])

    def _selector(self, router: int) -> str:
        random = self.random
        lan = f"10.0.{random.randrange(self.count)}"
        port = random.choice(PORTS)
        choices = [
            f"fwmark {random.choice(['0x1', '0x2', '0x10/0xf0', '0x7'])}",
            f"ipproto tcp dport {port}",
            f"ipproto udp dport {random.choice(['53', '1000-9000'])}",
            f"ipproto tcp sport {random.choice(['20000-40000', '1-1023', '40001-65534'])}",
            f"iif {random.choice(sorted(self.ports[router]))}",
            f"from {lan}.0/25",
            f"to {lan}.64/26",
            f"not from {lan}.0/24",
            f"from {lan}.0/24 ipproto icmp",
            "tos 0x10",
            "tos 0x08",
            f"from {lan}.9 to 10.0.0.0/8 fwmark 0x0/0x1",
            "iif lo",
        ]
        return random.choice(choices)

    def _probes(self) -> list[dict[str, Any]]:
        """Some pairs with several services each; a pair's probes have one source port, unlike any other pair's."""
        random, probes = self.random, []
        inside = [f"10.0.{n}.{last}" for n in range(self.count) for last in (9, 20, 77, 200)]
        routers = [f"10.0.{n}.1" for n in range(self.count)]
        for pair in range(10):
            source = random.choice([*inside, *inside, *FAR, *routers])
            others = [
                a for a in (*inside, *inside, *FAR, *routers, "192.0.2.2") if a.split(".")[:3] != source.split(".")[:3]
            ]
            destination = random.choice(others)
            if (source in FAR and destination in FAR) or {source, destination} == {"10.0.0.1", "192.0.2.2"}:
                continue  # no router is in between
            port = random.choice([0, 0, 0, 1023 - pair]) or random.randint(20_000, 60_000)
            for service in sorted({random.choice(PORTS) for _ in range(3)}):
                probes.append(_probe(source, destination, port, service, random.choice(["tcp", "tcp", "udp"])))
            probes.append(_probe(source, destination, port, None, "icmp"))
        return probes


def _probe(source: str, destination: str, source_port: int, port: int | None, protocol: str) -> dict[str, Any]:
    owner = ("r" if source.endswith(".1") else "h") + source.split(".")[2]
    sender = EDGE_HOST if source in FAR else owner
    return {
        "from": sender,
        "source": source,
        "destination": destination,
        "source_port": source_port,
        "port": port,
        "protocol": protocol,
    }


def network(seed: int) -> dict[str, Any]:
    """The network of this seed."""
    return Network(Random(seed)).build()
