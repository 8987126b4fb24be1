"""Compares the files of two snapshots of a network. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from netlab.facts.changes import ipset, iptables, json_files, lines, nft
from netlab.facts.changes.document import Change, FactsChanges, Group, Part, RouterChanges, Side, counted, summary
from netlab.facts.changes.listings import Listings, group, groups
from netlab.facts.changes.sequences import Item, all_of, in_order
from netlab.facts.host_gateways import FILE as HOSTS
from netlab.facts.meaning.files import meaning
from netlab.facts.reader import COLLECT_COMMANDS

LISTED = 50
"""Maximum number of changes that a group lists."""
ABSENT = {
    "addr.json": "every router must have this file",
    "routes.json": "every router must have this file",
    "rules.json": "the kernel's three default rules apply",
    "iptables.rules": "the router has no iptables rules",
    "ipset.rules": "the router has no ipsets",
    "iptables-legacy.rules": "the router has no rules of the legacy variant of iptables",
    "nft.rules": "the router has no native nftables rules",
    "wireguard.txt": "the far ends of WireGuard tunnels are assumed from subnets",
    "netconf.json": "every interface forwards packets, without a reverse path filter",
    HOSTS: "no gateway of a host is specified",
}
"""File -> what it means that a router has no such file."""
_EMPTY_IF_ABSENT = frozenset("iptables.rules ipset.rules iptables-legacy.rules nft.rules".split()) | {HOSTS}
"""Files whose absence means the same as no statement: their statements are removed or added with the file."""
_NF_TABLES = b"(nf_tables)"
"""Part of the first line of iptables.rules if nft.rules shows its chains a second time."""

_LISTINGS: dict[str, Callable[[str], Listings]] = {
    "iptables.rules": lambda text: iptables.listings("iptables", text),
    "iptables-legacy.rules": lambda text: iptables.listings("iptables-legacy", text),
    "wireguard.txt": lines.peers,
    HOSTS: lines.hosts,
}
_COMPARISONS: dict[str, Callable[[str, str, int], Iterator[Group]]] = {
    ipset.FILE: ipset.compare,
    nft.FILE: nft.compare,
}


def changes(before: Mapping[str, bytes], after: Mapping[str, bytes], *, limit: int = LISTED) -> FactsChanges:
    """Return what changed between two snapshots, which must be of networks that load.

    Each maps a path, `router/file` or `hosts.yaml`, to the content of the file. Other files are ignored. A group lists
    at most `limit` changes, and counts all.
    """
    old, new = _routers(before), _routers(after)
    routers = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            routers.append(RouterChanges(name, "removed" if name in old else "added", (), ""))
        elif found := _router(old[name], new[name], limit):
            routers.append(RouterChanges(name, "changed", found, counted(found)))
    network = tuple(_file(HOSTS, before.get(HOSTS), after.get(HOSTS), limit))
    return FactsChanges(summary(routers, network), tuple(routers), network)


def _routers(files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Return the files that the reader reads, by router."""
    found: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        router, slash, file = path.partition("/")
        if slash and file in COLLECT_COMMANDS:
            found.setdefault(router, {})[file] = content
    return found


def _router(before: Mapping[str, bytes], after: Mapping[str, bytes], limit: int) -> tuple[Group, ...]:
    found = {file: list(_file(file, before.get(file), after.get(file), limit)) for file in COLLECT_COMMANDS}
    if all(_NF_TABLES in side.get("iptables.rules", b"") for side in (before, after)):
        found["nft.rules"] = list(_native(found["nft.rules"], found["iptables.rules"]))
    order = list(Part)
    return tuple(sorted((one for listed in found.values() for one in listed), key=lambda one: order.index(one.part)))


def _native(shown: list[Group], saved: list[Group]) -> Iterator[Group]:
    """Leave out the changes of iptables' chains, which `nft list ruleset` shows a second time (rules/native_tables)."""
    chains = {one.name.removeprefix("iptables ") for one in saved if one.part is Part.RULES}
    tables = {one.name.removeprefix("iptables ") for one in saved if one.part is Part.CHAINS}
    for one in shown:
        _, family, *names = f"{one.name}  ".split(" ")
        again = (one.part is Part.RULES and " ".join(names[:2]) in chains) or (
            one.part is Part.CHAINS and names[0] in tables
        )
        if family != "ip" or not again:
            yield one


def _file(file: str, before: bytes | None, after: bytes | None, limit: int) -> Iterator[Group]:
    """Yield the groups of changes in one file. None means that it does not exist."""
    if before == after:
        return
    if before is None or after is None:
        yield _absent(file, gone=after is None)
        if file not in _EMPTY_IF_ABSENT:
            return
    old, new = (_text(content or b"") for content in (before, after))
    found = list(_statements(file, old, new, limit))
    yield from found
    if not found and before is not None and after is not None:
        yield from _otherwise(file, old, new, limit)


def _statements(file: str, old: str, new: str, limit: int) -> Iterator[Group]:
    if file in _COMPARISONS:
        return _COMPARISONS[file](old, new, limit)
    if file in json_files.FILES:
        return groups(file, *json_files.listings(file, old, new), limit)
    return groups(file, _LISTINGS[file](old), _LISTINGS[file](new), limit)


def _otherwise(file: str, old: str, new: str, limit: int) -> Iterator[Group]:
    """Yield a difference that no statement shows, but which changes the facts hash."""
    if file in (HOSTS, ipset.FILE):
        return  # every difference is in a statement
    if file == nft.FILE:
        old, new = nft.without_elements(old), nft.without_elements(new)
    of = json_files.entries if file in json_files.FILES else meaning
    sides = [[Item(line, line, 0) for line in of(file, text).decode().split("\n")] for text in (old, new)]
    if found := in_order(*sides):
        yield group(Part.OTHER, file, file, all_of(found), limit)


def _absent(file: str, *, gone: bool) -> Group:
    side = Side(file, file, 0)
    means = ABSENT[file]
    if gone:
        change = Change("removed", side, None, f"{file} is missing now: {means}")
        return Group(Part.FILES, "", 0, 1, 0, 0, (change,))
    return Group(Part.FILES, "", 1, 0, 0, 0, (Change("added", None, side, f"{file} is new; without it, {means}"),))


def _text(content: bytes) -> str:
    return content.decode().replace("\r\n", "\n")
