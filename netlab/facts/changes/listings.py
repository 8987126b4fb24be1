"""The statements of one file, grouped by what they belong to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from netlab.facts.changes.document import KINDS, Change, Group, Part, Side
from netlab.facts.changes.sequences import Difference, Differences, Item, all_of, by_key, in_order

ORDERED = frozenset((Part.POLICY_RULES, Part.RULES, Part.ADDRESSES))
"""Parts in which the order of statements has a meaning."""
Name = tuple[Part, str]
"""A part, and the chain, interface or set in it; "" for the whole part."""


class Listings(dict[Name, list[Item]]):
    """The statements of one file by group."""

    def add(self, part: Part, name: str, item: Item) -> None:
        """Append a statement to a group."""
        self.setdefault((part, name), []).append(item)


def groups(file: str, before: Listings, after: Listings, limit: int, *, all_ordered: bool = False) -> Iterator[Group]:
    """Yield a group for each name in the listings with a difference. The order counts in ORDERED parts, or in all."""
    for name in {**before, **after}:
        compare = in_order if all_ordered or name[0] in ORDERED else by_key
        differences = compare(before.get(name, []), after.get(name, []))
        if differences:
            yield group(*name, file, all_of(differences), limit)


def group(part: Part, name: str, file: str, differences: Differences, limit: int) -> Group:
    """Return the differences as a group of the document, with at most `limit` of them listed."""
    added, removed, changed, moved = (differences.counts.get(kind, 0) for kind in KINDS)
    changes = tuple(_change(difference, file) for difference in differences.listed[:limit])
    return Group(part, name, added, removed, changed, moved, changes)


def _change(difference: Difference, file: str) -> Change:
    before, after = _differing(difference)
    return Change(difference.kind, _side(difference.before, before, file), _side(difference.after, after, file))


def _side(item: Item | None, text: str, file: str) -> Side | None:
    printable = text.encode(errors="backslashreplace").decode()  # half of a surrogate pair cannot be sent as JSON
    return Side(printable, file, item.line) if item else None


def _differing(difference: Difference) -> tuple[str, str]:
    """Return the texts of both sides: if the statement has fields, those that differ, after its key."""
    before, after = difference.before, difference.after
    if before and after and difference.kind == "changed":
        all_names = sorted(before.fields.keys() | after.fields.keys())
        names = [name for name in all_names if before.fields.get(name) != after.fields.get(name)]
        if names:
            return _fields(before, names), _fields(after, names)
    return before.text if before else "", after.text if after else ""


def _fields(item: Item, names: Sequence[str]) -> str:
    return " ".join([item.key, *(item.fields.get(name, f"(no {name})") for name in names)])


class Entries(NamedTuple):
    """A place in the file where a set's entries are listed."""

    text: str
    line: int
