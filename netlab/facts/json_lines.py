"""Parses a JSON array of objects and records the line number of each, so that errors can name the line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MOST_PARTS = 2_000_000
"""Maximum number of objects and arrays in one file. Each takes some hundred bytes of memory for two bytes in the file.
"""
_SPACE = re.compile(r"[ \t\r\n]*")  # RFC 8259


@dataclass(frozen=True, slots=True)
class JsonEntry:
    """One object of the array, with the line on which it begins and its number in the array (both from 1)."""

    line: int
    data: dict[str, Any]
    number: int = 0


@dataclass(frozen=True)
class Fault:
    """A fault in a text: its line, and what is wrong."""

    line: int
    message: str


def parse_entries(text: str) -> tuple[tuple[JsonEntry, ...], Fault | None]:
    """Parse `[{…}, {…}]`. Return the entries up to the first fault, and that fault or None."""
    if text.count("{") + text.count("[") > MOST_PARTS:
        return (), Fault(0, f"holds more than {MOST_PARTS} objects and arrays")
    if "\n" not in text.strip(" \t\r\n"):
        whole = _parsed_whole(text)
        if whole is not None:
            return whole, None
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    entries: list[JsonEntry] = []
    at = _skip(text, 0)
    line = 1 + text.count("\n", 0, at)
    if text[at : at + 1] != "[":
        return (), Fault(line, "is not a JSON array, which `ip -j` prints")
    counted, at = at, _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line += text.count("\n", counted, at)
        counted = at
        try:
            data, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as bad:
            where = bad.lineno if isinstance(bad, json.JSONDecodeError) else line
            why = bad.msg if isinstance(bad, json.JSONDecodeError) else _why(bad)
            return tuple(entries), Fault(where, f"is not valid JSON: {why}")
        if not isinstance(data, dict):
            return tuple(entries), Fault(line, f"holds {json.dumps(data)[:40]} where an object was expected")
        entries.append(JsonEntry(line, data, len(entries) + 1))
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
            if text[at : at + 1] == "]":
                return tuple(entries), Fault(text.count("\n", 0, at) + 1, "is not valid JSON: nothing after ','")
        elif text[at : at + 1] != "]":
            return tuple(entries), Fault(text.count("\n", 0, at) + 1, "is not valid JSON: expected ',' or ']'")
    rest = _skip(text, at + 1)
    if rest != len(text):
        return tuple(entries), Fault(text.count("\n", 0, rest) + 1, "has text after the closing ']'")
    return tuple(entries), None


def _parsed_whole(text: str) -> tuple[JsonEntry, ...] | None:
    """Parse a text of one line, as `ip -j` prints it, in one pass.

    Return None if it has a fault, which must be located.
    """
    try:
        listed = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list) or not all(isinstance(data, dict) for data in listed):
        return None
    line = 1 + text.count("\n", 0, _skip(text, 0))
    return tuple(JsonEntry(line, data, number) for number, data in enumerate(listed, start=1))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _why(bad: Exception) -> str:
    if isinstance(bad, RecursionError):
        return "nested too deeply"
    return str(bad) if "JSON" in str(bad) else "a number has too many digits"


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
