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
    for line in text.split("\n") if varying else _without_plain_sets(text, sets, entries):
        line = line.rstrip()
        if line.startswith("add "):
            name = line[4:].partition(" ")[0]
            entries.setdefault(name, []).append(entry(line) if varying else line)
        elif line.startswith("create "):
            sets[line[7:].partition(" ")[0]] = created_set(line)
    lines = []
    for name in sorted(sets.keys() | entries.keys()):
        created = sets.get(name, "")
        found = entries.get(name, [])
        lines += [created, *(found if " list:set" in created else sorted(found))]
    return "\n".join(lines).encode()


def _without_plain_sets(text: str, sets: dict[str, str], entries: dict[str, list[str]]) -> list[str]:
    """Put each set that only its own entries follow into `sets` and `entries`. Return all other lines.

    This avoids a look at each entry: there can be millions.
    """
    before, *blocks = f"\n{text}".split("\ncreate ")
    others = before.split("\n")
    for block in blocks:
        created, *listed = block.removesuffix("\n").split("\n")
        name = created.partition(" ")[0]
        bare = name and " list:set" not in created and " \n" not in block and not block.endswith(" ")
        if bare and name not in sets and block.count(f"\nadd {name} ") == len(listed):
            sets[name] = created_set(f"create {created}")
            entries.setdefault(name, []).extend(listed)
        else:
            others += [f"create {created}", *listed]
    return others


def created_set(line: str) -> str:
    """Leave out the parameters that the kernel chooses from a `create` line."""
    return _CHOSEN.sub("", line)


def entry(line: str) -> str:
    """Leave out the counters and the time left of one entry, but nothing of its comment."""
    at, parts = 0, []
    for comment in _STRING.finditer(line):
        parts += [_fixed(line[at : comment.start()]), comment[0]]
        at = comment.end()
    return "".join([*parts, _fixed(line[at:])])


def _fixed(part: str) -> str:
    return _LEFT.sub(" timeout", _COUNTERS.sub("", part))
