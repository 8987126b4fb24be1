"""What changed in the output of `ipset save`: sets, and their entries, of which there can be millions. Pure. ipset(8).

Only lines that the other side does not have are looked at one by one. So a set of a million entries costs about as much
as splitting the text into lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlab.facts.changes.document import Group, Part
from netlab.facts.changes.listings import Listings, group, groups
from netlab.facts.changes.sequences import Item, all_of, in_order, only, unordered
from netlab.facts.meaning.ipset import created_set, entry

FILE = "ipset.rules"
Numbered = list[tuple[int, str]]


def compare(before: str, after: str, limit: int) -> Iterator[Group]:
    """Yield the groups of changes."""
    old, new = before.split("\n"), after.split("\n")
    lists = _lists_of_sets(before) | _lists_of_sets(after)
    only_old, only_new = only(old, new)
    gone, come = [(at + 1, old[at].rstrip()) for at in only_old], [(at + 1, new[at].rstrip()) for at in only_new]
    yield from groups(FILE, _created(gone), _created(come), limit)
    varying = any(word in text for word in (" timeout ", " packets ") for text in (before, after))
    old_entries, new_entries = _by_set(gone), _by_set(come)
    for name in {**old_entries, **new_entries, **dict.fromkeys(sorted(lists))}:
        if name in lists:
            differences = all_of(in_order(_members(old, name), _members(new, name)))
        else:
            sides = old_entries.get(name, []), new_entries.get(name, [])
            differences = unordered(*sides, meaning=_meaning, key=_element, varying=varying, limit=limit)
        if any(differences.counts.values()):
            yield group(Part.ENTRIES, f"ipset {name}", FILE, differences, limit)


def _created(lines: Numbered) -> Listings:
    found = Listings()
    for number, line in lines:
        if line.startswith("create "):
            text = created_set(line)
            found.add(Part.SETS, "ipset", Item(text, text, number, line.split(" ", 2)[1]))
    return found


def _by_set(lines: Numbered) -> dict[str, Numbered]:
    """Return (line, entry) for each `add` line, by set."""
    found: dict[str, Numbered] = {}
    for number, line in lines:
        if line.startswith("add "):
            _, name, text = line.split(" ", 2)
            found.setdefault(name, []).append((number, text))
    return found


def _lists_of_sets(text: str) -> set[str]:
    """Return the names of lists of sets, whose members have an order."""
    if " list:set" not in text:
        return set()
    created = (line.split(" ") for line in text.split("\n") if line.startswith("create "))
    return {words[1] for words in created if words[2] == "list:set"}


def _members(lines: list[str], name: str) -> list[Item]:
    start = f"add {name} "
    numbered = ((number, line[len(start) :].rstrip()) for number, line in enumerate(lines, 1) if line.startswith(start))
    return [Item(_meaning(text), text, number) for number, text in numbered]


def _meaning(text: str) -> str:
    return entry(f" {text}")


def _element(text: str) -> str:
    return text.partition(" ")[0]
