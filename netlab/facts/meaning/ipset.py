"""The meaning of the output of `ipset save`. Pure. ipset(8)."""

from __future__ import annotations

import re

_CHOSEN = re.compile(r" (?:hashsize \d+|bucketsize \d+|initval 0x[0-9a-f]+)(?=\s|\Z)")
"""Parameters that the kernel chooses, or changes when the set grows."""
_STRING = re.compile(r'"[^"]*"')
_COUNTERS = re.compile(r" packets \d+ bytes \d+")
_LEFT = re.compile(r" timeout [1-9]\d*\b")


def meaning(text: str) -> bytes:
    """Return the sets by name, each with its entries sorted; those of a list of sets keep their order.

    The time that an entry has left counts only as "some": an entry with `timeout 0` never expires.
    """
    sets: dict[str, str] = {}
    entries: dict[str, list[str]] = {}
    varying = " timeout " in text or " packets " in text
    for line in text.split("\n"):
        line = line.rstrip()
        if line.startswith("add "):
            name = line[4:].partition(" ")[0]
            entries.setdefault(name, []).append(_entry(line) if varying else line)
        elif line.startswith("create "):
            sets[line[7:].partition(" ")[0]] = _CHOSEN.sub("", line)
    lines = []
    for name in sorted(sets.keys() | entries.keys()):
        created = sets.get(name, "")
        found = entries.get(name, [])
        lines += [created, *(found if " list:set" in created else sorted(found))]
    return "\n".join(lines).encode()


def _entry(line: str) -> str:
    """Leave out the counters and the time left of one entry, but nothing of its comment."""
    at, parts = 0, []
    for comment in _STRING.finditer(line):
        parts += [_fixed(line[at : comment.start()]), comment[0]]
        at = comment.end()
    return "".join([*parts, _fixed(line[at:])])


def _fixed(part: str) -> str:
    return _LEFT.sub(" timeout", _COUNTERS.sub("", part))
