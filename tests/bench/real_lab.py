"""What a seed builds: the routers' commands, the hosts, and what to ask. Pure; tests/bench/real_world.py makes it real."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from random import Random
from typing import Any

ISP, ISP_ADDRESS, FAR = "isp", "192.0.2.1", ("198.51.100.7", "198.51.100.99")
TCP, UDP = (22, 53, 80, 443, 2222, 8080, 8443, 30080), (53, 123, 51820, 5353)
SERVICES = [*(f"{port}/tcp" for port in TCP), *(f"{port}/udp" for port in UDP), "icmp"]


@dataclass
class Node:
    """A namespace. `ports`: device -> segment, or `router/bridge`; `ip`: lines of `ip -batch`; `commands`: shell."""

    ports: dict[str, str] = field(default_factory=dict)
    ip: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    bridges: list[str] = field(default_factory=list)
    tunnels: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Device -> peers: `to` (node and device), `allowed` (subnets)."""
    files: dict[str, str] = field(default_factory=dict)
    """Facts that this machine has no tool to print."""
    reset: str = ""
    """Shell that makes the firewall forget the packets that it has seen."""
    forward: bool = True
    rp_filter: int = 0

    def attach(self, device: str, segment: str, *addresses: str) -> None:
        """Add an interface that is up."""
        self.ports[device] = segment
        self.ip.append(f"link set dev {device} up")
        self.ip += [f"addr add {address} dev {device}" for address in addresses]


@dataclass
class Router(Node):
    """A router, its interfaces by role, and its LAN."""

    name: str = ""
    wan: str = ""
    """Towards the internet."""
    address: str = ""
    """On `wan`."""
    lan: str = ""
    net: str = ""
    """10.0.N"""

    def iptables(self, text: str) -> None:
        """Add what one program sets up."""
        self.commands.append(f"iptables-restore --noflush <<'END'\n{_flat(text)}END")

    def nft(self, text: str) -> None:
        """Add what one program sets up."""
        self.commands.append(f"nft -f - <<'END'\n{text}\nEND")

    def ipset(self, text: str) -> None:
        """Add sets."""
        self.commands.insert(0, f"ipset restore <<'END'\n{_flat(text)}END")


def _flat(text: str) -> str:
    return "".join(line.strip() + "\n" for line in text.strip().splitlines())


class Lab:
    """Routers in a tree; the first has the internet. Each has a LAN with one host namespace."""

    def __init__(self, random: Random, count: int) -> None:
        self.random = random
        self.segments = ["internet"]
        self.routers: dict[str, Router] = {}
        self.parents: dict[str, Router] = {}
        self.hosts: dict[str, Node] = {}
        self.sources: list[tuple[str, str]] = [(ISP, address) for address in FAR]
        """(node, address) of whom may be asked about."""
        self.destinations: list[str] = [FAR[0]]
        self.asks: list[tuple[str, str, str, str]] = []
        """(node, source, destination, service) that a kind wants to be asked."""
        isp = Node()
        isp.attach("eth0", "internet", f"{ISP_ADDRESS}/24")
        isp.ip += [*(f"addr add {address}/32 dev lo" for address in FAR), "route add default via 192.0.2.2"]
        self.hosts[ISP] = isp
        self._routers(count)

    def _routers(self, count: int) -> None:
        random = self.random
        for number in range(count):
            router = Router(name="gw" if not number else f"r{number}", net=f"10.0.{number}")
            self.routers[router.name] = router
            router.wan = random.choice(["eth0", "ens18", "wan", "enp1s0"])
            router.lan = random.choice(["eth1", "ens19", "br-lan", "enp2s0"])
            router.attach(router.lan, self.segment(f"lan{number}"), f"{router.net}.1/24")
            self.lan_host(router)
            if not number:
                router.address = "192.0.2.2"
                router.attach(router.wan, "internet", "192.0.2.2/24")
                router.ip.append(f"route add default via {ISP_ADDRESS} dev {router.wan}")
            else:
                self._uplink(router, number, random.choice(list(self.routers.values())[:number]))

    def _uplink(self, router: Router, number: int, parent: Router) -> None:
        """A transit segment to `parent`; the routers above it get a route."""
        router.address = f"10.9.{number}.2"
        segment = self.segment(f"t{number}")
        device = f"to-{router.name}"
        parent.attach(device, segment, f"10.9.{number}.1/30")
        router.attach(router.wan, segment, f"{router.address}/30")
        router.ip.append(f"route add default via 10.9.{number}.1 dev {router.wan}")
        self.parents[router.name] = parent
        self.announce(router, f"{router.net}.0/24")

    def announce(self, router: Router, subnet: str) -> None:
        """Every router above gets a route to the subnet."""
        below = router
        while parent := self.parents.get(below.name):
            parent.ip.append(f"route add {subnet} via {below.address} dev to-{below.name}")
            below = parent

    def segment(self, name: str) -> str:
        """Add a segment."""
        self.segments.append(name)
        return name

    def lan_host(self, router: Router) -> None:
        """One namespace with several hosts' addresses."""
        host = Node(forward=False)
        addresses = [f"{router.net}.{last}" for last in (10, 20, 77)]
        host.attach("eth0", f"lan{router.net.rpartition('.')[2]}", *(f"{address}/24" for address in addresses))
        host.ip.append(f"route add default via {router.net}.1")
        name = f"h{router.net.rpartition('.')[2]}"
        self.hosts[name] = host
        self.sources += [(name, address) for address in addresses[:2]]
        self.destinations += [*addresses, f"{router.net}.1"]

    def inner(self, router: Router, bridge: str, gateway: str, names: dict[str, str], *, known: bool = False) -> None:
        """A bridge in a router with hosts: name -> address. `known`: other routers route to it."""
        subnet = IPv4Network(gateway, strict=False)
        router.bridges.append(bridge)
        router.ip += [f"link set dev {bridge} up", f"addr add {gateway} dev {bridge}"]
        for name, address in names.items():
            host = Node(forward=False)
            host.attach("eth0", f"{router.name}/{bridge}", f"{address}/{subnet.prefixlen}")
            host.ip.append(f"route add default via {gateway.split('/')[0]}")
            self.hosts[name] = host
            self.sources.append((name, address))
            self.destinations.append(address)
        if known:
            self.announce(router, str(subnet))

    def ask(self, destination: str, *services: str, source: tuple[str, str] | None = None) -> None:
        """Ask this from a few sources."""
        picked = [source] if source else self.random.sample(self.sources, 2)
        for one in picked:
            self.asks += [(*one, destination, service) for service in services]

    def spec(self) -> dict[str, Any]:
        """What tests/bench/real_world.py reads."""
        return {
            "segments": self.segments,
            "routers": {name: _plain(router) for name, router in self.routers.items()},
            "hosts": {name: _plain(host) for name, host in self.hosts.items()},
            "tcp": TCP,
            "udp": UDP,
            "probes": self._probes(),
        }

    def _probes(self) -> list[dict[str, Any]]:
        random = self.random
        random.shuffle(self.asks)
        asks = self.asks[:14]
        for _ in range(5):
            sender, destination = random.choice(self.sources), random.choice(self.destinations)
            asks += [(*sender, destination, service) for service in random.sample(SERVICES, 3)]
        ports: dict[tuple[str, str], int] = {}
        probes = {}
        for node, source, destination, service in asks:
            if self._owner(source) == self._owner(destination):
                continue
            port = ports.setdefault((source, destination), 20_000 + len(ports) * 37 + random.randrange(37))
            number, _, protocol = service.rpartition("/")
            probes[source, destination, service] = {
                "from": node,
                "source": source,
                "destination": destination,
                "source_port": port,
                "port": int(number) if number else None,
                "protocol": protocol,
            }
        return sorted(probes.values(), key=lambda probe: probe["source_port"])

    def _owner(self, address: str) -> str:
        """The node that has the address."""
        for name, node in {**self.hosts, **self.routers}.items():
            if any(f" {address}/" in line for line in node.ip):
                return name
        return address


def _plain(node: Node) -> dict[str, Any]:
    return asdict(node)
