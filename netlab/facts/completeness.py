"""Finds facts that are probably incomplete: files that are not read, empty files, dumps without their contents. Pure.

Such facts can be loaded, but the bench then lacks rules that the router has. Each finding is a warning, and a caveat in
every result for a path through the router.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from netlab.errors import Problem

FIREWALL_FILES = {
    "iptables.rules": "iptables-save",
    "ipset.rules": "ipset save",
    "nft.rules": "nft list ruleset",
}
COLLECTED = "collected.txt"
"""File written by the script of `reachq facts collect`. The script runs as root, so an empty file means no rules."""
_PROBABLY = (
    (re.compile(r"ip6tables|rules\.v6|ipv6", re.IGNORECASE), ""),
    (re.compile(r"^(?:addr|address|interfaces?|links?)\b.*\.json\b", re.IGNORECASE), "addr.json"),
    (re.compile(r"^routes?\b.*\.json\b", re.IGNORECASE), "routes.json"),
    (re.compile(r"^netconf\b", re.IGNORECASE), "netconf.json"),
    (re.compile(r"^(?:ip-?)?rules?\b.*\.json\b", re.IGNORECASE), "rules.json"),
    (re.compile(r"^(?:wireguard|wg)\b(?!.*\.conf$)", re.IGNORECASE), "wireguard.txt"),
    (re.compile(r"ipset", re.IGNORECASE), "ipset.rules"),
    (re.compile(r"nft|nftables", re.IGNORECASE), "nft.rules"),
    (re.compile(r"iptables|rules\.v4|\.rules$|^rules$|firewall|fw4?\.conf$", re.IGNORECASE), "iptables.rules"),
)
"""Pattern for a file name -> the file that it probably should be; "" for IPv6 files, which are never read."""
_LEGACY_PRESENT = re.compile(r"^# Warning: iptables-legacy tables present", re.MULTILINE)
_NFT_SET = re.compile(r"^[ \t]*(?:set|map)\s+(\S+)\s*\{([^{}]*)(\{)?", re.MULTILINE)
_FILLED_BY_PACKETS = re.compile(r"\bflags\b[^\n;]*\b(?:dynamic|timeout)\b")


def warnings(router: str, texts: Mapping[str, str | None], names: Collection[str]) -> Iterator[Problem]:
    """Yield what may be missing from a router's facts.

    `texts`: name of a known file -> its content, None if the file does not exist. `names`: all files in the router's
    folder.
    """
    for name in sorted(set(names) - texts.keys() - {COLLECTED}):
        meant = next((file for pattern, file in _PROBABLY if pattern.search(name)), "")
        if meant and texts.get(meant) is None:
            yield Problem(f"{router}/{name}", 0, f"is not read; if it is meant to be {meant}, rename it")
    if COLLECTED not in names:
        for file, command in FIREWALL_FILES.items():
            text = texts.get(file)
            if text is not None and not text.strip():
                what = f"is empty; this is correct only if `{command}`, run as root, prints nothing"
                yield Problem(f"{router}/{file}", 0, what)
    yield from _without_contents(router, texts.get("ipset.rules") or "", texts.get("nft.rules") or "")
    if _LEGACY_PRESENT.search(texts.get("iptables.rules") or "") and texts.get("iptables-legacy.rules") is None:
        what = "says that the router has iptables-legacy tables too; add iptables-legacy.rules (`iptables-legacy-save`)"
        yield Problem(f"{router}/iptables.rules", 0, what)


def _without_contents(router: str, ipset: str, nft: str) -> Iterator[Problem]:
    """Yield a problem for each dump in which all sets are empty, as after `ipset save -t` or `nft -t list ruleset`."""
    if re.search(r"^create ", ipset, re.MULTILINE) and not re.search(r"^add ", ipset, re.MULTILINE):
        what = "has sets but no entries; this is correct only if all sets are empty (`ipset save -t` omits entries)"
        yield Problem(f"{router}/ipset.rules", 0, what)
    sets = [match for match in _NFT_SET.finditer(nft) if not _FILLED_BY_PACKETS.search(match[2])]
    if sets and not any("elements" in match[2] for match in sets):
        line = nft.count("\n", 0, sets[0].start(1)) + 1
        what = "has sets but no elements; this is correct only if all sets are empty (`nft -t` omits elements)"
        yield Problem(f"{router}/nft.rules", line, what)
