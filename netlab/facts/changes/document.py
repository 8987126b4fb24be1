"""The document that says what changed between two snapshots. Pure.

It is served as JSON, printed in a terminal and shown on a page. Texts come from the facts: escape them before printing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

SCHEMA: Final = 1
ROUTERS_NAMED = 3
"""Maximum number of routers of one kind that the summary names."""

Kind = Literal["added", "removed", "changed", "moved"]
KINDS: tuple[Kind, ...] = ("added", "removed", "changed", "moved")


class Part(StrEnum):
    """The part of a router's facts that a change belongs to, in the order of the document."""

    FILES = "files"
    INTERFACES = "interfaces"
    ADDRESSES = "addresses"
    ROUTES = "routes"
    POLICY_RULES = "policy-rules"
    SETTINGS = "settings"
    CHAINS = "chains"
    """Tables and chains, with the hooks and policies of chains."""
    RULES = "rules"
    SETS = "sets"
    """Sets, maps and other named objects of a firewall, without their entries."""
    ENTRIES = "entries"
    PEERS = "peers"
    HOSTS = "hosts"
    OTHER = "other"
    """Lines that belong to no other part, such as the variant of iptables."""


NOUNS: dict[Part, tuple[str, str]] = {
    Part.FILES: ("file", "files"),
    Part.INTERFACES: ("interface", "interfaces"),
    Part.ADDRESSES: ("address", "addresses"),
    Part.ROUTES: ("route", "routes"),
    Part.POLICY_RULES: ("policy rule", "policy rules"),
    Part.SETTINGS: ("setting", "settings"),
    Part.CHAINS: ("chain", "chains"),
    Part.RULES: ("rule", "rules"),
    Part.SETS: ("set", "sets"),
    Part.ENTRIES: ("set entry", "set entries"),
    Part.PEERS: ("WireGuard peer", "WireGuard peers"),
    Part.HOSTS: ("host gateway", "host gateways"),
    Part.OTHER: ("other line", "other lines"),
}
"""Part -> its noun in the singular and the plural."""


class Side(Struct, frozen=True):
    """One statement as a snapshot has it. The texts of rules are those that answers quote, without counters."""

    text: str
    file: Annotated[str, Meta(description="name of the file in the router's folder")]
    line: Annotated[int, Meta(description="line in the file, from 1; 0 if the change concerns the whole file")]


class Change(Struct, frozen=True):
    """One change. An added statement has no `before`, and a removed one has no `after`."""

    kind: Kind
    before: Side | None
    after: Side | None
    note: Annotated[str, Meta(description="a sentence that says what the change means, or empty")] = ""


class Group(Struct, frozen=True):
    """The changes of one part, or of one chain, interface or set in it. The counts include what is not listed."""

    part: Part
    name: Annotated[str, Meta(description="such as `iptables filter FORWARD`; empty if the part has no groups")]
    added: int
    removed: int
    changed: int
    moved: int
    changes: tuple[Change, ...]

    @property
    def total(self) -> int:
        """Number of changes."""
        return self.added + self.removed + self.changed + self.moved

    @property
    def unlisted(self) -> int:
        """Number of changes that are counted but not in `changes`."""
        return self.total - len(self.changes)


class RouterChanges(Struct, frozen=True):
    """What changed in one router. A router that was added or removed has no groups."""

    router: str
    kind: Literal["added", "removed", "changed"]
    groups: tuple[Group, ...]
    summary: Annotated[str, Meta(description="such as `1 rule added, 1 removed`; empty if the router is new or gone")]


class FactsChanges(Struct, frozen=True):
    """All changes between two snapshots of a network."""

    summary: Annotated[str, Meta(description="one line, such as `1 router changed: edge (3 routes added)`")]
    routers: Annotated[tuple[RouterChanges, ...], Meta(description="by name, without unchanged routers")]
    network: Annotated[tuple[Group, ...], Meta(description="changes that belong to no router: hosts.yaml")]
    schema: int = SCHEMA

    def __bool__(self) -> bool:
        return bool(self.routers or self.network)


def counted(groups: Iterable[Group]) -> str:
    """Count the changes by part, such as `1 rule added, 1 removed, 3 routes changed`."""
    listed = list(groups)
    phrases: list[str] = []
    for part in Part:
        totals = [(sum(getattr(group, kind) for group in listed if group.part is part), kind) for kind in KINDS]
        present = [(number, kind) for number, kind in totals if number]
        if present:
            first, kind = present[0]
            phrases.append(f"{first} {NOUNS[part][first != 1]} {kind}")
            phrases += [f"{number} {kind}" for number, kind in present[1:]]
    return ", ".join(phrases)


def summary(routers: Iterable[RouterChanges], network: Iterable[Group]) -> str:
    """Describe all changes in one line."""
    listed = list(routers)
    phrases: list[str] = []
    for kind in ("changed", "added", "removed"):
        those = [router for router in listed if router.kind == kind]
        names = [f"{router.router} ({router.summary})" if router.summary else router.router for router in those]
        if those:
            more = f" and {len(those) - ROUTERS_NAMED} more" if len(those) > ROUTERS_NAMED else ""
            routers_are = "1 router" if len(those) == 1 else f"{len(those)} routers"
            phrases.append(f"{routers_are} {kind}: {', '.join(names[:ROUTERS_NAMED])}{more}")
    if whole := counted(network):
        phrases.append(f"hosts.yaml: {whole}")
    return "; ".join(phrases) or "no changes"
