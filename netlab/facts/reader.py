"""Reads and checks the facts: the output of each router's own tools. It reads files and returns dataclasses.

A network is a folder with one folder per router (docs/facts.md). The formats are those of iproute2, iptables, ipset and
nftables; reachq has no format of its own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from netlab.errors import FactsError, Problem
from netlab.facts import completeness, dumps, host_gateways, json_types
from netlab.facts.dumps import words
from netlab.facts.dumps.wireguard import Peer, peers
from netlab.facts.entry_faults import EntryFaults
from netlab.facts.host_gateways import HostGateway
from netlab.facts.json_lines import JsonEntry, parse_entries
from netlab.facts.meaning import iproute
from netlab.facts.meaning.files import FactsHash
from netlab.facts.netconf import Netconf, read_netconf
from netlab.facts.sources.files import NetworkFiles, Unreadable, text
from netlab.facts.sources.folder import NetworkFolder
from netlab.facts.vrfs import Vrfs

COLLECT_COMMANDS = {
    "addr.json": "ip -j addr",
    "routes.json": "ip -j route show table all",
    "rules.json": "ip -j rule",
    "iptables.rules": "iptables-save",
    "ipset.rules": "ipset save",
    "iptables-legacy.rules": "iptables-legacy-save",
    "nft.rules": "nft list ruleset",
    "wireguard.txt": "wg show all allowed-ips",
    "netconf.json": "ip -j netconf",
}
"""File -> the command to run on the router. Only the first two files are required."""

REQUIRED = ("addr.json", "routes.json")
ROUTER_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_DECIDES = re.compile(r"^(?:-A |:\S+ (?!ACCEPT\b|-))", re.MULTILINE)
"""Matches a rule, or a policy other than ACCEPT, in the output of iptables-save."""
MAX_INTERFACES = 4096
"""Maximum number of interfaces of one router."""


@dataclass(frozen=True)
class Address:
    """One IPv4 address of an interface. `peer` is the remote address of a point-to-point link."""

    local: IPv4Address
    prefixlen: int
    peer: IPv4Address | None
    noprefixroute: bool
    virtual: bool = False
    """Whether keepalived added the address, so that it is a virtual address of VRRP."""

    @property
    def network(self) -> IPv4Network:
        """The subnet of the address."""
        return IPv4Network((int(self.local), self.prefixlen), strict=False)


@dataclass(frozen=True)
class Interface:
    """One interface as `ip -j addr` prints it. `link_type` is ether, none, loopback, ppp, …."""

    name: str
    link_type: str
    flags: frozenset[str]
    addresses: tuple[Address, ...]
    line: int
    vrf: str = ""
    """The VRF that the interface belongs to, or its own name if it is a VRF; "" if neither.

    An interface with a VRF has no `addresses` here.
    """
    mac: str = ""
    """MAC address in lower case, or "" if the facts have none."""

    @property
    def up(self) -> bool:
        """Whether the interface was administratively up."""
        return "UP" in self.flags

    @property
    def linked(self) -> bool:
        """Whether packets can pass: the interface is up and has a carrier (a cable whose far end is up)."""
        return self.up and "NO-CARRIER" not in self.flags

    @property
    def loopback(self) -> bool:
        """Whether this is the loopback interface."""
        return "LOOPBACK" in self.flags

    @property
    def without_arp(self) -> bool:
        """Whether the interface sends packets to the far end without ARP (tunnels, ppp, WireGuard)."""
        return bool(self.flags & {"POINTOPOINT", "NOARP"})


@dataclass(frozen=True)
class RouterFacts:
    """All facts of one router. `rules` is None if rules.json is absent; then the kernel's three default rules apply."""

    name: str
    interfaces: tuple[Interface, ...]
    routes: tuple[JsonEntry, ...]
    rules: tuple[JsonEntry, ...] | None
    iptables: str
    ipset: str
    nft: str
    iptables_legacy: str = ""
    """Rules of the legacy variant that apply in addition to `iptables`; "" if the router uses only one variant."""
    iptables_file: str = "iptables.rules"
    """The file from which `iptables` was read."""
    netconf: Netconf | None = None
    """Forwarding and reverse path filter of each interface; None if netconf.json is absent."""
    warnings: tuple[Problem, ...] = ()
    """What is probably missing from these facts.

    Each warning is a caveat in every result for a path through the router.
    """
    peers: tuple[Peer, ...] = ()
    """The peers of the router's WireGuard interfaces; empty without wireguard.txt."""
    vrf_networks: tuple[tuple[str, IPv4Network], ...] = ()
    """(VRF, subnet) for each address of an interface in a VRF."""

    def interface(self, name: str) -> Interface:
        """Return the interface with this name. Raises KeyError if there is none."""
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)

    def file(self, name: str) -> str:
        """Return the name of one of the router's files for errors and results, such as `dc-core/iptables.rules`."""
        return f"{self.name}/{name}"


@dataclass(frozen=True)
class NetworkFacts:
    """The facts of a whole network. `digest` is its facts hash, 12 hexadecimal digits (netlab/facts/meaning)."""

    name: str
    digest: str
    routers: tuple[RouterFacts, ...]
    gateways: tuple[HostGateway, ...] = ()
    """The gateways of hosts that hosts.yaml specifies."""

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is probably missing from the facts of any router."""
        return tuple(warning for router in self.routers for warning in router.warnings)


def collect_script() -> str:
    """Return the shell script that saves the facts of a router (netlab/facts/collect.sh)."""
    return (files("netlab.facts") / "collect.sh").read_text(encoding="utf-8")


def load(folder: Path) -> NetworkFacts:
    """Read the facts of the network in `folder`. Raises FactsError with every error found."""
    if not folder.is_dir():
        raise FactsError([Problem(str(folder), 0, "no such folder; a network is a folder of router folders")])
    try:
        with contextlib.closing(NetworkFolder(folder)) as opened:
            return read(opened, folder.resolve().name, shown=str(folder))
    except Unreadable as bad:
        raise FactsError([Problem(str(folder), 0, str(bad))]) from None


def read(source: NetworkFiles, name: str, *, shown: str) -> NetworkFacts:
    """Read the facts of the network `name` from a source. Raises FactsError with every error found.

    `shown` is the source as errors about the whole of it name it.
    """
    return _read_all(source, name, shown, FactsHash())


@dataclass(frozen=True)
class Capture:
    """A network as read from a source, with the files to store in a snapshot."""

    facts: NetworkFacts
    contents: Mapping[str, bytes]
    """Path (`router/file`) -> content of each file that was read."""
    meanings: Mapping[str, str]
    """Path -> what identifies the meaning of the file: 64 hexadecimal digits (netlab/facts/meaning)."""
    others: tuple[str, ...]
    """Paths of further files in the routers' folders, which are not read. The reader may warn about their names."""

    @property
    def files(self) -> dict[str, tuple[str, bytes]]:
        """Path -> (what identifies its meaning, content), for each file that was read."""
        return {path: (self.meanings[path], data) for path, data in self.contents.items()}


def capture(source: NetworkFiles, name: str, *, shown: str) -> Capture:
    """Read a network, as `read` does, and keep its files. Raises FactsError."""
    hashed, kept = FactsHash(), _Kept(source)
    facts = _read_all(kept, name, shown, hashed)
    others = (f"{router.name}/{file}" for router in facts.routers for file in source.files(router.name))
    unread = tuple(sorted(path for path in others if path not in kept.contents))
    return Capture(facts, kept.contents, hashed.files, unread)


class _Kept:
    """A source that keeps every content that was read from it."""

    def __init__(self, source: NetworkFiles) -> None:
        self._source = source
        self.routers, self.files = source.routers, source.files
        self.contents: dict[str, bytes] = {}

    def read(self, router: str, file: str) -> bytes | None:
        data = self._source.read(router, file)
        if data is not None:
            self.contents[file if router == "." else f"{router}/{file}"] = data
        return data


def _read_all(source: NetworkFiles, name: str, shown: str, hashed: FactsHash) -> NetworkFacts:
    problems: list[Problem] = []
    try:
        names = source.routers()
    except Unreadable as bad:
        raise FactsError([Problem(shown, 0, str(bad))]) from None
    routers = [_load_router(source, router, hashed, problems) for router in names]
    gateways = _load_gateways(source, hashed, problems)
    if not names:
        problems.append(Problem(shown, 0, "holds no router folder; see docs/facts.md for the layout"))
    if problems:
        raise FactsError(problems)
    return NetworkFacts(name, hashed.digest(), tuple(r for r in routers if r), gateways)


def _load_gateways(opened: NetworkFiles, hashed: FactsHash, problems: list[Problem]) -> tuple[HostGateway, ...]:
    """Read hosts.yaml, which is beside the routers' folders. The result is empty without this file."""
    file = host_gateways.FILE
    try:
        data = opened.read(".", file)
        if data is None:
            return ()
        gateways, faults = host_gateways.read(text(data))
        hashed.add(file, "\n".join(sorted(f"{entry.network} {entry.gateway}" for entry in gateways)).encode())
    except Unreadable as bad:
        problems.append(Problem(file, bad.line, str(bad)))
        return ()
    problems += [Problem(file, fault.line, fault.message) for fault in faults]
    return gateways


def _load_router(opened: NetworkFiles, name: str, hashed: FactsHash, problems: list[Problem]) -> RouterFacts | None:
    if not ROUTER_NAME.match(name):
        shown = name if name.isprintable() else ascii(name)
        rule = "may contain only letters, digits, '.', '_' and '-', at most 63 characters"
        problems.append(Problem(shown, 0, f"a router's name {rule}"))
        return None
    read = {file: _read(opened, name, file, problems) for file in COLLECT_COMMANDS}
    texts = {file: content or "" for file, content in read.items()}
    for file, content in texts.items():
        problems += [Problem(f"{name}/{file}", fault.line, fault.message) for fault in dumps.faults(file, content)]
    before = len(problems)
    addr = _entries(texts["addr.json"], f"{name}/addr.json", problems, json_types.ADDR)
    vrfs = Vrfs(addr)
    interfaces = _interfaces(addr, vrfs, f"{name}/addr.json", problems)
    if not interfaces and len(problems) == before and texts["addr.json"].strip():
        problems.append(Problem(f"{name}/addr.json", 0, "lists no interface; `ip -j addr` always lists lo"))
    addr_is_whole = len(problems) == before
    routes = _entries(texts["routes.json"], f"{name}/routes.json", problems, json_types.ROUTE)
    if texts["routes.json"].strip() and len(problems) == before:
        problems += _without_routes(routes, interfaces, f"{name}/routes.json")
    listed = _entries(texts["rules.json"], f"{name}/rules.json", problems, json_types.RULE)
    rules = vrfs.rules(listed) if texts["rules.json"].strip() else None
    if interfaces and addr_is_whole:  # otherwise the fault is in addr.json
        _check_devices(routes, {i.name for i in interfaces}, f"{name}/routes.json", problems)
    settings = _entries(texts["netconf.json"], f"{name}/netconf.json", problems, json_types.ADDR)
    netconf = read_netconf(settings, f"{name}/netconf.json", problems)
    parsed = {"addr.json": addr, "routes.json": routes, "rules.json": listed, "netconf.json": settings}
    _hash(hashed, name, read, parsed)
    iptables, legacy, file = _variants(texts["iptables.rules"], texts["iptables-legacy.rules"])
    if legacy and len(problems) == before:  # its rules cannot be named, so each of them must be loaded as it is
        faults = dumps.faults("iptables-legacy.rules", legacy, whole=True)
        problems += [Problem(f"{name}/iptables-legacy.rules", fault.line, fault.message) for fault in faults]
    return RouterFacts(
        name,
        interfaces,
        vrfs.routes(routes),
        rules,
        iptables,
        texts["ipset.rules"],
        texts["nft.rules"],
        iptables_legacy=legacy,
        iptables_file=file,
        netconf=netconf if texts["netconf.json"].strip() else None,
        warnings=(*completeness.warnings(name, read, opened.files(name)), *vrfs.warnings(name)),
        peers=peers(texts["wireguard.txt"]),
        vrf_networks=tuple(vrfs.networks),
    )


def _hash(
    hashed: FactsHash, router: str, read: Mapping[str, str | None], parsed: Mapping[str, tuple[JsonEntry, ...]]
) -> None:
    """Add the files of a router that exist. `parsed` has the entries of those that are JSON."""
    for file, content in read.items():
        if content is None:
            continue
        if file in parsed:
            hashed.add(f"{router}/{file}", iproute.entries(file, parsed[file]))
        else:
            hashed.add_text(f"{router}/{file}", content)


def _variants(default: str, legacy: str) -> tuple[str, str, str]:
    """Choose the iptables rules to use from the texts of the default and the legacy variant.

    Return (the main rules, legacy rules that apply in addition, the file of the main rules). A variant without rules
    and with only ACCEPT policies is ignored.
    """
    if not _DECIDES.search(legacy):
        return default, "", "iptables.rules"
    if not _DECIDES.search(default):
        return legacy, "", "iptables-legacy.rules"
    return default, legacy, "iptables.rules"


def _read(opened: NetworkFiles, router: str, file: str, problems: list[Problem]) -> str | None:
    """Return the text of a file, or None if it does not exist.

    If the file cannot be used, the result is "" and the reason is added to `problems`. A missing required file is a
    problem too.
    """
    where = f"{router}/{file}"
    try:
        data = opened.read(router, file)
        if data is not None:
            content = text(data)
            if file in REQUIRED and not content.strip():
                problems.append(Problem(where, 0, f"is empty; `{COLLECT_COMMANDS[file]}` always prints something"))
            return content
        if file in REQUIRED:
            problems.append(Problem(where, 0, f"is missing (create it with `{COLLECT_COMMANDS[file]}`)"))
    except Unreadable as bad:
        problems.append(Problem(where, bad.line, str(bad)))
        return ""
    return None


def _entries(text: str, where: str, problems: list[Problem], shape: json_types.Shape) -> tuple[JsonEntry, ...]:
    """Return the objects in a file. Objects with a field of the wrong type are omitted and added to `problems`."""
    if not text.strip():
        return ()
    entries, broken = parse_entries(text)
    if broken:
        problems.append(Problem(where, broken.line, broken.message))
    faults, good = EntryFaults(where), []
    for entry in entries:
        if fault := json_types.fault(entry.data, shape, words=shape is not json_types.ADDR):
            faults.add(entry, fault)
        else:
            good.append(entry)
    problems += faults.problems()
    return tuple(good)


def _interfaces(
    entries: tuple[JsonEntry, ...], vrfs: Vrfs, where: str, problems: list[Problem]
) -> tuple[Interface, ...]:
    interfaces: dict[str, Interface] = {}
    if len(entries) > MAX_INTERFACES:
        problems.append(Problem(where, 0, f"lists {len(entries)} interfaces; a router has at most {MAX_INTERFACES}"))
        return ()
    for entry in entries:
        name = entry.data.get("ifname")
        if name is None and not entry.data:
            continue  # `ip -j addr` prints {} for an entry that a filter excluded
        if not isinstance(name, str) or not words.interface(name):
            what = f"entry {entry.number}: ifname {name!r} is not an interface name"
            problems.append(Problem(where, entry.line, what))
        elif name in interfaces:
            problems.append(Problem(where, entry.line, f"entry {entry.number}: interface {name} is listed twice"))
        else:
            addresses = _addresses(entry, where, problems)
            flags = frozenset(map(str, entry.data.get("flags") or ()))
            link_type = str(entry.data.get("link_type", "ether"))
            vrf = vrfs.of(name)
            mac = str(entry.data.get("address", "")).lower()
            interfaces[name] = Interface(name, link_type, flags, () if vrf else addresses, entry.line, vrf, mac)
            vrfs.networks += [(vrf, address.network) for address in addresses if vrf]
    return tuple(interfaces.values())


def _addresses(entry: JsonEntry, where: str, problems: list[Problem]) -> tuple[Address, ...]:
    addresses = []
    for info in entry.data.get("addr_info") or ():
        if not isinstance(info, dict) or info.get("family") != "inet":
            continue
        try:
            peer = IPv4Address(info["address"]) if "address" in info else None
            length = int(info["prefixlen"])
            virtual = info.get("protocol") == "keepalived"
            address = Address(IPv4Address(info["local"]), length, peer, bool(info.get("noprefixroute")), virtual)
            address.network  # noqa: B018  a prefix length out of range shows here
        except (KeyError, ValueError, TypeError) as bad:
            problems.append(Problem(where, entry.line, f"{entry.data['ifname']}: unusable address {info}: {bad}"))
        else:
            addresses.append(address)
    return tuple(addresses)


def _without_routes(routes: tuple[JsonEntry, ...], interfaces: tuple[Interface, ...], where: str) -> list[Problem]:
    """Return a problem if there is no route at all, although the kernel has routes to the router's own addresses."""
    own = next((i.name for i in interfaces if i.addresses and i.up and "LOOPBACK" not in i.flags), "")
    if any(entry.data for entry in routes) or not (routes or own):
        return []
    why = f"; `{COLLECT_COMMANDS['routes.json']}` lists at least the route to the address of {own}" if own else ""
    return [Problem(where, routes[0].line if routes else 1, f"lists no route{why}")]


def _check_devices(routes: tuple[JsonEntry, ...], names: set[str], where: str, problems: list[Problem]) -> None:
    faults = EntryFaults(where)
    for route in routes:
        if "nexthops" not in route.data and route.data.get("dev", "") in names:
            continue  # the case of nearly all routes
        hops = [route.data, *(hop for hop in route.data.get("nexthops") or () if isinstance(hop, dict))]
        for device in {str(hop["dev"]) for hop in hops if "dev" in hop} - names:
            faults.add(route, f"device {device} is not in addr.json")
    problems += faults.problems()
