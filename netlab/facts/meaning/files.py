"""Combines the meaning of all files of a network in one hash. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from netlab.facts.meaning import ipset, iptables, nft

DIGITS = 12
"""Number of hexadecimal digits of a facts hash."""


def _lines(text: str) -> bytes:
    """Sort the lines, and the words after the first two of each: an interface, a peer's key, its networks (wg(8))."""
    lines = (line.split() for line in text.split("\n") if line.strip())
    return "\n".join(sorted(" ".join([*words[:2], *sorted(words[2:])]) for words in lines)).encode()


_TEXTS: dict[str, Callable[[str], bytes]] = {
    "iptables.rules": iptables.meaning,
    "iptables-legacy.rules": iptables.meaning,
    "ipset.rules": ipset.meaning,
    "nft.rules": nft.meaning,
    "wireguard.txt": _lines,
}


def meaning(file: str, text: str) -> bytes:
    """Return the meaning of one file that is not JSON, whose name is without its folder."""
    return _TEXTS[file](text)


class FactsHash:
    """The hash of a network. A file that is missing counts as different from an empty one."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    @property
    def files(self) -> dict[str, str]:
        """Path of each file -> the hash of its kind and meaning, 64 hexadecimal digits."""
        kinds = ((path, path.rpartition("/")[2].encode(), meaning) for path, meaning in self._files.items())
        return {path: hashlib.sha256(kind + b"\0" + meaning).hexdigest() for path, kind, meaning in kinds}

    def add(self, path: str, meaning: bytes) -> None:
        """Add one file: `path` is `router/file`, and `meaning` what it means (iproute.entries for JSON)."""
        self._files[path] = hashlib.sha256(meaning).digest()

    def add_text(self, path: str, text: str) -> None:
        """Add one file that is not JSON."""
        self.add(path, meaning(path.rpartition("/")[2], text))

    def digest(self) -> str:
        """Return the hash of all files added, DIGITS hexadecimal digits."""
        whole = hashlib.sha256()
        for path, meaning in sorted(self._files.items()):
            whole.update(path.encode() + b"\0" + meaning)
        return whole.hexdigest()[:DIGITS]
