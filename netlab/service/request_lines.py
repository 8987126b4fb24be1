"""Reads one request to the bench: a line of JSON within the limits, or refused with a code and a message."""

from __future__ import annotations

import asyncio
import json
from typing import Any

MAX_LINE = 1 << 17
"""Maximum length of a request in bytes; a request with 100 services has 5,000."""


class Refused(Exception):
    """A request that gets {"ok": false}; `more` is added to the reply."""

    def __init__(self, code: str, message: str, **more: int) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """The next request; empty at the end of the connection, even within a line. Raises Refused for a request that is
    too long.
    """
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return b""
    except asyncio.LimitOverrunError:
        raise Refused("bad-request", f"a request has at most {MAX_LINE} bytes") from None


def parse_request(line: bytes) -> dict[str, Any]:
    """Parse the request in a line; raises Refused."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as bad:
        raise Refused("bad-request", f"not a line of JSON: {bad}") from None
    if not isinstance(request, dict):
        raise Refused("bad-request", "a request is a JSON object")
    return request


def refusal(code: str, message: str) -> bytes:
    """Encode a refusal as a line."""
    return json.dumps({"ok": False, "code": code, "message": message}).encode() + b"\n"
