"""The statements of files with one statement on each line: WireGuard peers, and hosts.yaml. Pure."""

from __future__ import annotations

from netlab.facts import host_gateways
from netlab.facts.changes.document import Part
from netlab.facts.changes.listings import Listings
from netlab.facts.changes.sequences import Item


def peers(text: str) -> Listings:
    """Return the peers: interface, key and networks, whose order has no meaning. wg(8)."""
    found = Listings()
    for number, line in enumerate(text.split("\n"), start=1):
        if words := line.split():
            peer = " ".join([*words[:2], *sorted(words[2:])])
            found.add(Part.PEERS, "", Item(peer, peer, number, " ".join(words[:2])))
    return found


def hosts(text: str) -> Listings:
    """Return the gateways of hosts."""
    found = Listings()
    for entry in host_gateways.read(text)[0]:
        statement = f"{entry.network}: {entry.gateway}"
        found.add(Part.HOSTS, "", Item(statement, statement, entry.line, str(entry.network)))
    return found
