"""Reads one request to the bench: a line of JSON of limited length. Anything else is refused with a code and a message."""

from __future__ import annotations

import asyncio
import json
from typing import Any

MAX_LINE = 1 << 17
"""Maximum length of a request in bytes. A request with 100 services has about 5,000."""


class Refused(Exception):
    """The bench refuses a request and replies {"ok": false}. `more` has further fields for the reply."""

    def __init__(self, code: str, message: str, **more: int) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """Return the next request, or b"" at the end of the connection, even if it ends within a line.

    Raises Refused if the request is too long.
    """
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return b""
    except asyncio.LimitOverrunError:
        raise Refused("bad-request", f"a request has at most {MAX_LINE} bytes") from None


def parse_request(line: bytes) -> dict[str, Any]:
    """Parse one line as a request. Raises Refused."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as bad:
        raise Refused("bad-request", f"not a line of JSON: {bad}") from None
    if not isinstance(request, dict):
        raise Refused("bad-request", "a request is a JSON object")
    return request


def refusal(code: str, message: str) -> bytes:
    """Encode a refusal as one line."""
    return json.dumps({"ok": False, "code": code, "message": message}).encode() + b"\n"
