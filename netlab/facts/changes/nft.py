"""What changed in the output of `nft list ruleset`: tables, chains, rules, sets and their elements. Pure. nft(8).

A list of elements is one token, however long it is: a set can have a million elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from netlab.facts.changes.document import Group, Part
from netlab.facts.changes.listings import Entries, Listings, Name, group, groups
from netlab.facts.changes.sequences import Difference, Differences, Item, only, unordered
from netlab.facts.meaning import nft
from netlab.rules.saved_firewall import NFT_CHAIN_PROPERTIES

FILE = "nft.rules"
_TOKEN = re.compile(r"\{[ \t]*[^{};\s][^{};]*\}|[{};\n]|[^{};\n]+")
_OPTIONS = re.compile(r"\s(?:timeout|expires|comment|counter|limit|quota|last|:)\s")
_VARYING = (" expires ", " packets ", " used ", " last ")
"""Words before numbers that change without a change of an element."""


def compare(before: str, after: str, limit: int) -> Iterator[Group]:
    """Yield the groups of changes."""
    old, new = _Reader(before), _Reader(after)
    yield from groups(FILE, old.found, new.found, limit, all_ordered=True)
    for name in {**old.elements, **new.elements}:
        one, other = (_Elements(reader.elements.get(name, [])) for reader in (old, new))
        gone, come = (
            [(at, side.texts[at]) for at in places if side.texts[at]]
            for side, places in zip((one, other), only(one.texts, other.texts), strict=True)
        )
        varying = any(word in part.text for side in (one, other) for part in side.parts for word in _VARYING)
        found = unordered(gone, come, meaning=_meaning, key=_element, varying=varying, limit=limit)
        if any(found.counts.values()):
            yield group(*name, FILE, _located(found, one, other, limit), limit)


def without_elements(text: str) -> str:
    """Return the text with only the number of elements for each set, which `compare` compares completely."""
    reader = _Reader(text)
    for at in reader.lists:
        reader.tokens[at] = f"{{ {reader.tokens[at].count(',')} }}"
    return "".join(reader.tokens)


class _Elements:
    """The elements of one set on one side, numbered from 0. Only those that are shown get the number of their line."""

    def __init__(self, parts: list[Entries]) -> None:
        self.parts = parts
        self.texts = [text for part in parts for text in map(str.strip, part.text.split(","))]

    def lines(self, numbers: set[int]) -> dict[int, int]:
        """Return element -> line for some elements."""
        found: dict[int, int] = {}
        first = 0
        for part in self.parts:
            pieces = part.text.split(",")
            line, done = part.line, 0
            for at in sorted(number - first for number in numbers if 0 <= number - first < len(pieces)):
                line += "".join(pieces[done:at]).count("\n")
                found[first + at] = line + pieces[at].rstrip().count("\n")
                done = at
            first += len(pieces)
        return found


def _located(found: Differences, old: _Elements, new: _Elements, limit: int) -> Differences:
    """Return the differences to list, with the lines of elements in the place of their numbers."""
    listed = found.listed[:limit]
    old_lines = old.lines({one.before.line for one in listed if one.before})
    new_lines = new.lines({one.after.line for one in listed if one.after})
    shown = [
        Difference(
            one.kind,
            one.before and one.before._replace(text=_shown(one.before.text), line=old_lines[one.before.line]),
            one.after and one.after._replace(text=_shown(one.after.text), line=new_lines[one.after.line]),
        )
        for one in listed
    ]
    return Differences(shown, found.counts)


def _shown(element: str) -> str:
    return " ".join(nft.shown(element).split())


def _meaning(text: str) -> str:
    return nft.meaning(text).decode()


def _element(text: str) -> str:
    return _OPTIONS.split(text, maxsplit=1)[0]


@dataclass
class _Statement:
    pieces: list[str] = field(default_factory=list)
    line: int = 0

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())


class _Reader:
    """Splits the text into statements, each in its group. Everything in the text is in one of the groups."""

    def __init__(self, text: str) -> None:
        self.found = Listings()
        self.elements: dict[Name, list[Entries]] = {}
        self.tokens: list[str] = []
        self.lists: list[int] = []
        """Which of the tokens list the elements of a set."""
        self._open: list[str] = []
        self._statement = _Statement()
        line = 1
        for token in _TOKEN.findall(nft.hidden(text)):
            if token == "{":
                self._opening()
            elif token == "}":
                self._end()
                del self._open[-1:]
            elif token in (";", "\n"):
                self._end()
            elif token[0] == "{" and self._is_list_of_set():
                self.lists.append(len(self.tokens))
                self.elements.setdefault((Part.ENTRIES, self._name), []).append(Entries(token[1:-1], line))
                self._statement = _Statement()
            else:
                self._statement.line = self._statement.line or (line if token.strip() else 0)
                self._statement.pieces.append(token)
            line += token.count("\n")
            self.tokens.append(token)
        self._end()

    @property
    def _name(self) -> str:
        """The name of the block that is open, such as `nft inet fw in` for a chain, or `nft inet fw set bans`."""
        kinds = ("table ", "chain ")
        titles = [title.removeprefix(kind) for title, kind in zip(self._open, kinds, strict=False)]
        return " ".join(["nft", *titles])

    def _is_list_of_set(self) -> bool:
        return len(self._open) == 2 and not self._open[1].startswith("chain ") and self._statement.text == "elements ="

    def _opening(self) -> None:
        title = nft.shown(self._statement.text)
        self._end()
        self._open.append(title)

    def _end(self) -> None:
        """End a statement, and add it to its group."""
        statement, self._statement = self._statement, _Statement()
        text = statement.text
        if not text:
            return
        part = Part.CHAINS
        if len(self._open) > 1:
            in_chain = self._open[1].startswith("chain ")
            part = Part.SETS if not in_chain else Part.CHAINS if _is_property(text) else Part.RULES
        item = Item(nft.meaning(text).decode(), nft.shown(text), statement.line)
        listed = self.found.get((part, self._name), [])
        if part is Part.CHAINS and text.startswith("policy ") and listed and listed[-1].line == statement.line:
            base = listed.pop()  # the policy is quoted with the hook of the chain
            item = Item(f"{base.meaning}; {item.meaning};", f"{base.text}; {item.text};", base.line)
        if item.meaning:
            self.found.add(part, self._name, item)


def _is_property(text: str) -> bool:
    return text.split(maxsplit=1)[0] in NFT_CHAIN_PROPERTIES
