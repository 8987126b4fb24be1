"""Finds where an address is located in the network, in words for a quick check while typing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from ledger.settings import Settings
from netlab.errors import NetlabError
from netlab.facts.reader import load
from netlab.facts.sample import network_folder
from netlab.topology.segments import Topology


@dataclass(frozen=True, slots=True)
class Placement:
    """Location of an address. `kind` is `host`, `router`, `edge` or `no-host`, and `words` describes it."""

    kind: str
    words: str


def place(topology: Topology, address: IPv4Address) -> Placement:
    """Return the location of an address: its segment and the segment's routers, or the router that owns it."""
    if owners := topology.owned_by(address):
        return Placement("router", f"{owners[0].router}’s own address ({owners[0].interface})")
    segment = topology.segment_holding(address)
    if segment is None:
        return Placement("edge", "not in any known subnet; treated as external")
    if segment.reserves(address):
        return Placement("no-host", f"not a host address: the network or broadcast address of segment {segment.name}")
    behind = ", ".join(dict.fromkeys(f"{port.router} ({port.interface})" for port in segment.ports))
    return Placement("host", f"segment {segment.name}, behind {behind}")


@dataclass(frozen=True, slots=True)
class NetworkFactsView:
    """The facts as this process has them. If they cannot be read here, `topology` is None and `error` says why."""

    name: str
    topology: Topology | None
    digest: str
    error: str
    facts_ms: int = 0
    """When the newest file of the facts was written, in ms."""

    @property
    def warnings(self) -> list[str]:
        """Warnings about what is probably missing from the facts."""
        return [str(w) for router in self.topology.routers.values() for w in router.warnings] if self.topology else []


def read_network(settings: Settings) -> NetworkFactsView:
    """Read the facts folder once.

    If it cannot be read, the web server still works, but shows no locations and pictures.
    """
    folder = network_folder(settings.network)
    try:
        facts = load(folder)
        newest = max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file())
        return NetworkFactsView(facts.name, Topology(facts), facts.digest, "", int(newest * 1000))
    except (NetlabError, OSError) as error:
        return NetworkFactsView(folder.name, None, "", str(error))
