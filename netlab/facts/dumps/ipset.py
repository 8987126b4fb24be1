"""The allow list for ipset.rules: `create` and `add` lines as `ipset save` prints them, for the known set types. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from netlab.facts.dumps.words import NUMBER, OCTETS, interface, refused
from netlab.facts.json_lines import Fault

LONGEST_LINE = 1000
"""Maximum length of a line in bytes.

`ipset restore` reads lines in pieces of 1023 bytes, and would treat the rest of a longer line as another line.
"""
_TYPES = frozenset(
    "bitmap:ip bitmap:ip,mac bitmap:port hash:ip hash:mac hash:ip,mac hash:net hash:net,net hash:ip,port hash:net,port "
    "hash:ip,port,ip hash:ip,port,net hash:ip,mark hash:net,port,net hash:net,iface list:set".split()
)
_NAME = re.compile(r"[\w.:@+=~!][\w.:@+=~!%-]{0,30}\Z")
_WORDS = re.compile(r'(?:[^\s"\'\\]+|"[^"\\]*")(?: (?:[^\s"\'\\]+|"[^"\\]*"))*\Z')
_WORD = re.compile(r'[^\s"]+|"[^"]*"')
_COMMENT = re.compile(r'"(?!-)[^"\\]{0,255}"\Z|[\w.:@+][\w.:@+-]{0,254}\Z')
_PORT = re.compile(r"(?:[a-z][a-z0-9-]{0,15}:|[0-9]{1,3}:)?[a-z0-9][a-z0-9/-]{0,40}\Z", re.ASCII)
_ADDRESS = re.compile(rf"(?:{OCTETS}|[0-9a-fA-F:]*:[0-9a-fA-F:]*(?:{OCTETS})?)(?:/[0-9]{{1,3}})?\Z", re.ASCII)
_RANGE = re.compile(rf"{OCTETS}-{OCTETS}\Z|{OCTETS}(?:/[0-9]{{1,2}})?\Z|[0-9]{{1,5}}-[0-9]{{1,5}}\Z", re.ASCII)
_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\Z", re.ASCII)
_MARK = re.compile(r"(?:0x[0-9a-fA-F]{1,8}|[0-9]{1,10})(?:/0x[0-9a-fA-F]{1,8})?\Z", re.ASCII)
_PRIORITY = re.compile(r"[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}\Z", re.ASCII)
_FAMILY = re.compile(r"inet6?\Z")
_SIMPLE = re.compile(rf"add ([\w.:@+-]{{1,31}}) {OCTETS}(?:/[0-9]{{1,2}})?\Z", re.ASCII)
"""Matches nearly every line of a large dump, so that these lines need no further check."""

_CREATE = {
    "family": _FAMILY,
    "range": _RANGE,
    "markmask": NUMBER,
    "bitmask": _ADDRESS,
    "initval": NUMBER,
} | dict.fromkeys("hashsize maxelem timeout netmask size bucketsize".split(), NUMBER)
_CREATE_FLAGS = frozenset("counters comment skbinfo forceadd".split())
_ADD = {
    "timeout": NUMBER,
    "packets": NUMBER,
    "bytes": NUMBER,
    "comment": _COMMENT,
    "skbmark": _MARK,
    "skbprio": _PRIORITY,
    "skbqueue": NUMBER,
}
_ADD_FLAGS = frozenset("nomatch wildcard".split())
NOT_SAVED = "`ipset save` prints `create` and `add` lines only"


def faults(text: str) -> Iterator[Fault]:
    """Yield a fault for every line that `ipset save` never prints."""
    types: dict[str, str] = {}
    number, at = 0, 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        number += 1
        simple = _SIMPLE.match(line)
        if simple and types.get(simple[1], "").startswith("hash:") and types[simple[1]].endswith((":ip", ":net")):
            other = _not_for(simple[1]).search(text, end + 1)
            stop = other.start() if other else len(text) + 1
            number += text.count("\n", end + 1, stop)
            end = max(end, stop - 1)
        elif line.strip() and not line.startswith("#"):
            why = _fault(line.rstrip(" "), types)
            if why:
                yield refused(number, line, why)
        at = end + 1


@lru_cache(maxsize=64)
def _not_for(name: str) -> re.Pattern[str]:
    """Return a pattern for the start of the next line that is not a simple `add` line for the set `name`."""
    return re.compile(rf"^(?!add {re.escape(name)} {OCTETS}(?:/[0-9]{{1,2}})?$)", re.ASCII | re.MULTILINE)


def _fault(line: str, types: dict[str, str]) -> str:
    if len(line.encode()) > LONGEST_LINE:
        return f"is longer than {LONGEST_LINE} bytes"
    if not _WORDS.match(line):
        return f"has quotes, backslashes or blanks where `ipset save` prints none; {NOT_SAVED}"
    words = _WORD.findall(line)
    if words[0] not in ("create", "add"):
        return NOT_SAVED
    if len(words) < 3:
        return (
            f"`{words[0]}` is incomplete: it needs a set name and {'a type' if words[0] == 'create' else 'an element'}"
        )
    if not _NAME.match(words[1]):
        return f"{words[1]} is not a set's name"
    if words[0] == "create":
        return _create(words[1], words[2], words[3:], types)
    if words[1] not in types:
        return f"no line before it creates the set {words[1]}"
    return _element(words[2], types[words[1]]) or _options(words[3:], _ADD, _ADD_FLAGS)


def _create(name: str, kind: str, rest: list[str], types: dict[str, str]) -> str:
    if kind not in _TYPES:
        return f"{kind} is not a known set type"
    if name in types:
        return f"the set {name} is created twice"
    types[name] = kind
    return _options(rest, _CREATE, _CREATE_FLAGS)


def _options(words: list[str], valued: dict[str, re.Pattern[str]], flags: frozenset[str]) -> str:
    at = 0
    while at < len(words):
        if words[at] in flags and words[at] not in valued:
            at += 1
        elif words[at] in valued:
            value = words[at + 1] if at + 1 < len(words) else ""
            if not valued[words[at]].match(value):
                return f"{value} is not a value of `{words[at]}`" if value else f"`{words[at]}` has no value"
            at += 2
        else:
            return f"`{words[at]}` is not an option that `ipset save` prints"
    return ""


def _element(element: str, kind: str) -> str:
    method, _, dimensions = kind.partition(":")
    expected, values = dimensions.split(","), element.split(",")
    if method == "bitmap" and kind == "bitmap:ip,mac" and len(values) == 1:
        expected = ["ip"]  # the first packet fills in its MAC address
    if len(values) != len(expected) or not all(map(_dimension, values, expected)):
        return f"{element} is not an element of a set of type {kind}"
    return ""


def _dimension(text: str, kind: str) -> bool:
    if kind in ("ip", "net"):
        return bool(_ADDRESS.match(text) or _RANGE.match(text))
    if kind == "iface":
        return interface(text.removeprefix("physdev:"))
    return bool({"port": _PORT, "mac": _MAC, "mark": _MARK, "set": _NAME}[kind].match(text))
