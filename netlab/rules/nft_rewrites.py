"""Rewrites `nft list ruleset` text so that this machine's nft loads it with the same meaning for a first packet. Pure.

There are three reasons. A newer nft prints words that nft 1.0.6 cannot read back. Elements with a timeout would expire
while the bench runs. A table with `flags owner` disappears when `nft -f` ends. Objects and statements that cannot
affect the first packet of a connection (helpers, connection timeouts, security marks) are left out. Every line keeps
its number and every rule its place: a statement that is left out becomes `counter`. Sources: nft(8), and the release
notes of nftables 1.0.7-1.1.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netlab.rules.ipset_rewrites import SOON_S, about_to_expire

_STRING = re.compile(r'"[^"\n]*"')
_HIDDEN = re.compile("\0(\\d+)\0")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = r"\d+(?:(?:ms|[smhdw])\d*)*"
_AGE = re.compile(rf"\s+(?:timeout|expires)\s+({_DURATION})\b")
_EXPIRES = re.compile(rf"\bexpires\s+({_DURATION})\b")
_COUNTER = re.compile(r"\s+counter(?: packets \d+ bytes \d+)?")
_LAST = re.compile(r"\blast(?: used (?:never|\w+)| never)?(?=[\s,;}]|$)")
_COMMENT = re.compile("\\s+comment \0\\d+\0")

_OBJECT = re.compile(r"^[ \t]*(set|map)\s+(\S+)\s*\{", re.MULTILINE)
_LEFT_OUT = re.compile(r"^[ \t]*(ct\s+(?:helper|timeout|expectation)|secmark|tunnel)\s+(\S+)\s*\{", re.MULTILINE)
_PROPERTY = re.compile(rf"^[ \t]*timeout\s+{_DURATION}[ \t]*;?[ \t]*$", re.MULTILINE)
_MAP_PROPERTY = re.compile(r"^[ \t]*(?:gc-interval\s+\S+|counter|last)[ \t]*;?[ \t]*$", re.MULTILINE)
_LAST_PROPERTY = re.compile(r"^[ \t]*last[ \t]*;?[ \t]*$", re.MULTILINE)
_ELEMENTS = re.compile(r"\belements\s*=\s*\{")
_INNER_COUNTER = re.compile(r"\s+counter packets \d+ bytes \d+")
_TABLE_FLAGS = re.compile(r"^([ \t]*flags\s+)([a-z, \t]+?)([ \t]*;?[ \t]*)$", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*table\s+(?:(\w+)\s+)?(\S+)\s*\{", re.MULTILINE)
_PRIORITY = re.compile(
    r"(?P<head>\btype\s+\w+\s+hook\s+\w+(?:\s+device\s+\S+|\s+devices\s*=\s*\{[^}]*\})?\s+priority\s+)"
    r"(?P<name>[a-z]+)(?:\s*(?P<sign>[+-])\s*(?P<more>\d+))?(?=\s*;)"
)
PRIORITIES = {
    "bridge": {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300},
    "": {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100},
}
"""Family -> priority names and their numbers; "" is for all other families.

Sources: linux/netfilter_ipv4.h, linux/netfilter_bridge.h.
"""
_FIB_CHECK = re.compile(r"\b(fib\s+[a-z .]+?)\s+check(?=\s+(?:exists|missing)\b)")
_VALUE = "(?:\0\\d+\0|[^\n;{}]*?\\bmap\\s*(?:@\\S+|\\{[^}\n]*\\})|[\\w.]+(?: [\\w.]+)?)"
_STATEMENT = re.compile(rf"\b(?:ct\s+(?:helper|timeout|expectation|secmark)|meta\s+secmark)\s+set\s+{_VALUE}")
_NO_BURST = re.compile(r"\s+burst 0 packets")
_BRACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Rewritten:
    """The text to load, and the changes that users should know about."""

    text: str
    notes: tuple[tuple[int, str], ...] = ()
    """(line, note) for each object that was left out. It affects no result."""
    ages: Mapping[str, str] = field(default_factory=dict)
    """Set or map -> the caveat for rules that use it, because some of its elements were about to expire."""


def for_this_machine(text: str) -> Rewritten:
    """Rewrite the text, which must have passed the allow list of netlab/facts/dumps/nft.py."""
    strings: list[str] = []

    def hide(quoted: re.Match[str]) -> str:
        strings.append(quoted[0])
        return f"\0{len(strings) - 1}\0"

    hidden = "\n".join(_code_hidden(line, hide) for line in text.split("\n"))
    notes: list[tuple[int, str]] = []
    hidden = _without_objects(hidden, notes)
    ages: dict[str, str] = {}
    hidden = _each_block(hidden, _OBJECT, lambda head, block: _set(head, block, ages))
    hidden = _each_block(hidden, _TABLE, _table)
    hidden = _FIB_CHECK.sub(r"\1 oif", hidden)
    hidden = _NO_BURST.sub("", hidden)
    hidden = _STATEMENT.sub("counter", hidden)
    shown = _HIDDEN.sub(lambda number: strings[int(number[1])], hidden)
    return Rewritten(shown, tuple(sorted(notes)), ages)


def _code_hidden(line: str, hide: Callable[[re.Match[str]], str]) -> str:
    """Replace the strings in the line, and a comment at its end, with the placeholders that `hide` returns."""
    at, parts = 0, []
    for piece in re.finditer(r'"[^"\n]*"|#.*', line):
        parts += [line[at : piece.start()], hide(piece)]
        at = piece.end()
    return "".join([*parts, line[at:]])


def _end(text: str, opened: int) -> int:
    """Return the position after the brace that closes the brace at `opened`."""
    depth = 0
    for brace in re.finditer(r"[{}]", text[opened:]):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return opened + brace.end()
    return len(text)


def _each_block(text: str, head: re.Pattern[str], rewrite: Callable[[re.Match[str], str], str]) -> str:
    """Replace every block that begins with a match of `head` with the result of `rewrite` for it."""
    pieces, at = list[str](), 0
    while match := head.search(text, at):
        end = _end(text, match.end() - 1)
        pieces += [text[at : match.start()], rewrite(match, text[match.start() : end])]
        at = end
    return "".join([*pieces, text[at:]])


def _without_objects(text: str, notes: list[tuple[int, str]]) -> str:
    """Replace objects that cannot affect a first packet with empty lines, and add a note for each."""
    pieces, at = list[str](), 0
    while match := _LEFT_OUT.search(text, at):
        end = _end(text, match.end() - 1)
        kind = " ".join(match[1].split())
        line = text.count("\n", 0, match.start(1)) + 1
        notes.append((line, f"{kind} {match[2]} is left out: it does not affect the first packet"))
        pieces += [text[at : match.start()], "\n" * text.count("\n", match.start(), end)]
        at = end
    return "".join([*pieces, text[at:]])


def _set(head: re.Match[str], block: str, ages: dict[str, str]) -> str:
    """Rewrite a set or map: remove timeouts, and from a map everything that nft 1.0.6 cannot read there."""
    kind, name = head[1], head[2]
    soon = sum(seconds(left[1]) < SOON_S for left in _EXPIRES.finditer(block))
    if soon:
        ages[name] = about_to_expire(f"{kind} {name}", soon)
    block = _AGE.sub("", _PROPERTY.sub("", block))
    block = _LAST_PROPERTY.sub("", block)
    opened = _ELEMENTS.search(block)
    elements = _end(block, opened.end() - 1) if opened else len(block)
    before, inside, after = (
        (block[: opened.end()], block[opened.end() : elements], block[elements:]) if opened else (block, "", "")
    )
    inside = re.sub(rf"\s+{_LAST.pattern}", "", inside)
    if kind == "map":
        before, after = _MAP_PROPERTY.sub("", before), _MAP_PROPERTY.sub("", after)
        inside = _COMMENT.sub("", _COUNTER.sub("", inside))
    return before + inside + after


def _table(head: re.Match[str], block: str) -> str:
    """Rewrite a table so that nft 1.0.6 can read its rules and priorities, and so that it remains when `nft -f` ends."""
    priorities = PRIORITIES["bridge" if head[1] == "bridge" else ""]
    chains = block.find("{", head.end() - head.start())
    own, rest = (block[:chains], block[chains:]) if chains >= 0 else (block, "")
    own = _TABLE_FLAGS.sub(_flags, own)

    def number(match: re.Match[str]) -> str:
        if match["name"] not in priorities:
            return match[0]
        more = int(match["more"] or 0)
        return f"{match['head']}{priorities[match['name']] + (-more if match['sign'] == '-' else more)}"

    rest = _PRIORITY.sub(number, rest)
    return own + "\n".join(_rule(line) for line in rest.split("\n"))


def _flags(match: re.Match[str]) -> str:
    flags = [flag for flag in re.split(r"[,\s]+", match[2]) if flag not in ("owner", "persist")]
    return f"{match[1]}{', '.join(flags)}{match[3]}" if flags else ""


def _rule(line: str) -> str:
    """Rewrite one line of a table: remove counters within braces, and replace a `last` statement with `counter`."""
    line = _BRACES.sub(lambda braces: _INNER_COUNTER.sub("", braces[0]), line)
    return _LAST.sub("counter", line) if re.search(r"\blast (?:used|never)\b", line) else line


def seconds(duration: str) -> float:
    """Convert a duration such as `1h2m3s500ms` to seconds. A number without a unit is in seconds."""
    if duration.isdigit():
        return float(duration)
    return sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdw])", duration))
