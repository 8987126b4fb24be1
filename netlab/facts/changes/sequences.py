"""Compares two lists of statements: in order, by key, or as sets of any size. Pure.

All comparisons are symmetric: with the lists exchanged, what was added is removed, and nothing else differs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from netlab.facts.changes.document import Kind

ALIKE = 0.65
"""Two rules at one place, of which at least this part of the words is equal, are one changed rule."""
MOST_PAIRED = 10_000
"""Above this number of possible pairs, what was removed and what was added is not paired."""


class Item(NamedTuple):
    """One statement. Two statements with the same `meaning` are equal; `text` is what people see."""

    meaning: str
    text: str
    line: int
    key: str = ""
    """What a statement is about, for lists in which each key usually occurs once."""
    fields: Mapping[str, str] = {}
    """Name -> text of each part of the statement, if only the parts that differ are to be shown."""


class Difference(NamedTuple):
    """A statement on either side, or on both sides."""

    kind: Kind
    before: Item | None
    after: Item | None

    def swapped(self) -> Difference:
        """Return the difference as seen from the other side."""
        kinds: dict[Kind, Kind] = {"added": "removed", "removed": "added"}
        return Difference(kinds.get(self.kind, self.kind), self.after, self.before)


class Differences(NamedTuple):
    """Some differences, and the numbers of all of them."""

    listed: Sequence[Difference]
    counts: Mapping[Kind, int]


def all_of(listed: Sequence[Difference]) -> Differences:
    """Return the differences with their counts."""
    return Differences(listed, Counter(difference.kind for difference in listed))


def in_order(before: Sequence[Item], after: Sequence[Item]) -> list[Difference]:
    """Compare two lists in which the order has a meaning.

    Statements that occur on both sides and must change places are moved. As few as possible are.
    """
    if [item.meaning for item in after] < [item.meaning for item in before]:
        return [difference.swapped() for difference in in_order(after, before)]  # both directions give the same
    start, shorter = 0, min(len(before), len(after))
    while start < shorter and before[start].meaning == after[start].meaning:
        start += 1
    end = 0
    while end < shorter - start and before[-1 - end].meaning == after[-1 - end].meaning:
        end += 1
    return _between(before[start : len(before) - end], after[start : len(after) - end])


def by_key(before: Iterable[Item], after: Iterable[Item]) -> list[Difference]:
    """Compare two lists in which only the order of statements with the same key has a meaning."""
    listed: dict[str, tuple[list[Item], list[Item]]] = {}
    for side, items in enumerate((before, after)):
        for item in items:
            listed.setdefault(item.key, ([], []))[side].append(item)
    found = []
    for old, new in listed.values():
        if len(old) == len(new) == 1:  # nearly always
            if old[0].meaning != new[0].meaning:
                found.append(Difference("changed", old[0], new[0]))
        elif not old or not new:
            found += [Difference("removed", item, None) for item in old]
            found += [Difference("added", None, item) for item in new]
        else:
            found += _paired(in_order(old, new))
    return found


def unordered(
    gone: Sequence[tuple[int, str]],
    come: Sequence[tuple[int, str]],
    *,
    meaning: Callable[[str], str],
    key: Callable[[str], str],
    varying: bool,
    limit: int,
) -> Differences:
    """Compare the entries of a set, of which there can be millions.

    `gone` and `come` are (line, text) of the entries whose text only one side has. `varying` says whether texts with
    the same meaning can differ. Of very many entries, none is paired, and at most `limit` are returned.
    """
    if len(gone) <= MOST_PAIRED and len(come) <= MOST_PAIRED:
        old, new = ([Item(meaning(text), text, line, key(text)) for line, text in side] for side in (gone, come))
        return all_of(sorted((one for one in by_key(old, new) if one.kind != "moved"), key=_line))
    if varying:
        places = only([meaning(text) for _, text in gone], [meaning(text) for _, text in come])
        gone, come = ([side[at] for at in kept] for side, kept in zip((gone, come), places, strict=True))
    gone_shown = gone[: max(limit // 2, limit - len(come))]
    listed = [Difference("removed", Item(text, text, line), None) for line, text in gone_shown]
    listed += [Difference("added", None, Item(text, text, line)) for line, text in come[: limit - len(listed)]]
    return Differences(listed, {"removed": len(gone), "added": len(come)})


def only(before: Sequence[str], after: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the places of the texts that only `before` has, or has more often, and of those that only `after` has."""
    old, new = set(before), set(after)
    if len(old) == len(before) and len(new) == len(after):
        return _places(before, old - new), _places(after, new - old)
    return _surplus(before, after), _surplus(after, before)


def _places(texts: Sequence[str], wanted: set[str]) -> list[int]:
    return [at for at, text in enumerate(texts) if text in wanted] if wanted else []


def _surplus(texts: Sequence[str], others: Sequence[str]) -> list[int]:
    left = Counter(others)
    found = []
    for at, text in enumerate(texts):
        left[text] -= 1
        if left[text] < 0:
            found.append(at)
    return found


def _between(before: Sequence[Item], after: Sequence[Item]) -> list[Difference]:
    """Compare the parts of two lists between their equal beginnings and ends."""
    partners = _partners(before, after)
    stay = _longest_increasing(list(partners.items()))
    old_stay, new_stay = list(stay), list(stay.values())
    gaps: dict[int, tuple[list[Item], list[Item]]] = {}
    """Number of statements before it that stay -> what was removed and what was added there."""
    found: list[tuple[int, Difference]] = []
    for old, item in enumerate(before):
        if old not in partners:
            gaps.setdefault(bisect_left(old_stay, old), ([], []))[0].append(item)
    taken = set(partners.values())
    for new, item in enumerate(after):
        if new not in taken:
            gaps.setdefault(bisect_left(new_stay, new), ([], []))[1].append(item)
    for old, new in partners.items():
        if old not in stay:
            found.append((bisect_left(new_stay, new), Difference("moved", before[old], after[new])))
    for gap, (removed, added) in gaps.items():
        found += [(gap, difference) for difference in _replaced(removed, added)]
    return [difference for _, difference in sorted(found, key=lambda place: place[0])]


def _partners(before: Sequence[Item], after: Sequence[Item]) -> dict[int, int]:
    """Return the place of each statement of `before` that `after` has too -> its place there."""
    places: defaultdict[str, deque[int]] = defaultdict(deque)
    for new, item in enumerate(after):
        places[item.meaning].append(new)
    return {old: places[item.meaning].popleft() for old, item in enumerate(before) if places.get(item.meaning)}


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return as many of the pairs as possible, such that their second numbers increase like the first ones do."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for at, (_, new) in enumerate(pairs):
        length = bisect_left(tails, new)
        previous.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [new]
        ends[length : length + 1] = [at]
    chosen, at = [], ends[-1] if ends else -1
    while at >= 0:
        chosen.append(pairs[at])
        at = previous[at]
    return dict(reversed(chosen))


def _replaced(removed: Sequence[Item], added: Sequence[Item]) -> list[Difference]:
    """Decide which of the statements removed and added at one place are changed ones. Their order stays."""
    if len(removed) == len(added) == 1:
        return [Difference("changed", removed[0], added[0])]
    if len(removed) * len(added) > MOST_PAIRED:
        return [
            *(Difference("removed", item, None) for item in removed),
            *(Difference("added", None, item) for item in added),
        ]
    found: list[Difference] = []
    at = 0
    for old in removed:
        best, most = -1, ALIKE
        for new in range(at, len(added)):
            likeness = _likeness(old, added[new])
            if likeness > most or (likeness == most and best < 0):
                best, most = new, likeness
        if best < 0:
            found.append(Difference("removed", old, None))
            continue
        found += [Difference("added", None, item) for item in added[at:best]]
        found.append(Difference("changed", old, added[best]))
        at = best + 1
    return [*found, *(Difference("added", None, item) for item in added[at:])]


def _likeness(one: Item, other: Item) -> float:
    """Return which part of the words of two statements is equal, from 0 to 1."""
    words, others = set(one.text.split()), set(other.text.split())
    return 2 * len(words & others) / (len(words) + len(others) or 1)


def _paired(differences: Sequence[Difference]) -> list[Difference]:
    """Make one change of a removed and an added statement with the same key, wherever they are."""
    added = deque(difference for difference in differences if difference.kind == "added")
    found = []
    for difference in differences:
        if difference.kind == "removed" and added:
            found.append(Difference("changed", difference.before, added.popleft().after))
        elif difference.kind != "added":
            found.append(difference)
    return [*found, *added]


def _line(difference: Difference) -> int:
    item = difference.after or difference.before
    return item.line if item else 0
