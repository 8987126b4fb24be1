"""Reads one request: a line of JSON of limited length. Anything else is refused with a code and a message."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, TypeVar, get_args

import msgspec

T = TypeVar("T")

MAX_LINE = 1 << 17
"""Maximum length of a request in bytes. A request with 100 services has about 5,000."""
MAX_BULK_LINE = 1 << 20
"""The same within a bulk attempt. 256 questions of 100 services have at most 950,000 bytes, with a space after each comma
and colon."""
_SHOWN_MAX = 60
_PLACE = re.compile(r" - at `\$\.(.+)`$")
_PLACE_PARTS = re.compile(r"[^.\[\]]+")


class Refused(Exception):
    """The bench refuses a request and replies {"ok": false}. `more` has further fields for the reply."""

    def __init__(self, code: str, message: str, **more: int) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


async def read_line(reader: asyncio.StreamReader, at_most: int = MAX_LINE) -> bytes:
    """Return the next request, or b"" at the end of the connection, even if it ends within a line.

    The limit of `reader` is MAX_LINE; `at_most` may be higher. Raises Refused if the request is too long.
    """
    begun = bytearray()
    while True:
        try:
            return bytes(begun + await reader.readuntil(b"\n"))
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError as longer:
            if len(begun) + longer.consumed > at_most:
                raise Refused("bad-request", f"a request has at most {at_most} bytes") from None
            begun += await reader.readexactly(longer.consumed)


def parse_request(line: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Parse one line as a request of the decoder's type. Raises Refused."""
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as bad:
        raise Refused("bad-request", _invalid(line, str(bad), decoder)) from None
    except (ValueError, RecursionError) as bad:
        raise Refused("bad-request", f"not a line of JSON: {bad}") from None


def _invalid(line: bytes, why: str, decoder: msgspec.json.Decoder[Any]) -> str:
    """Return msgspec's reason with the field and its value: `fence: 1.5 is not valid: expected `int`, got `float``."""
    place = _PLACE.search(why)
    if not place:
        return f"not a valid request: {why}"
    try:
        value = json.loads(line)
        for part in _PLACE_PARTS.findall(place[1]):
            value = value[int(part) if isinstance(value, list) else part]
    except (ValueError, RecursionError, LookupError, TypeError):  # malformed after the fault, or a name given twice
        return f"not a valid request: {why}"
    shown = repr(value) if len(repr(value)) <= _SHOWN_MAX else f"{repr(value)[:_SHOWN_MAX]}…"
    if place[1] == "op":
        ops = (kind.__struct_config__.tag for kind in get_args(decoder.type))
        return f"op {shown} is not one of {', '.join(ops)}"
    reason = why[: place.start()]
    return f"{place[1]}: {shown} is not valid: {reason[0].lower()}{reason[1:]}"


def refusal(code: str, message: str) -> bytes:
    """Encode a refusal as one line."""
    return json.dumps({"ok": False, "code": code, "message": message}).encode() + b"\n"
