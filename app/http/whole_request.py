"""Finds the end of a request in the bytes received so far. Pure.

This only decides how long to wait. app.http.server decides from the same bytes whether the request is acceptable. A
request that will be rejected is passed on without waiting.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEAD_ENDS = re.compile(rb"\r\n\r\n|(?<!\r)\n")
"""End of a head: the empty line, or a line that ends without CR, which will be rejected."""
_LENGTH = re.compile(rb"^content-length:[ \t]*([^\r]*?)[ \t]*\r$", re.I | re.M)
_CODING = re.compile(rb"^transfer-encoding:[ \t]*([^\r]*?)[ \t]*\r$", re.I | re.M)
_EXPECTS = re.compile(rb"^expect:[ \t]*100-continue[ \t]*\r$", re.I | re.M)
_LAST_CHUNK = re.compile(rb"\n0+[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n")


CHUNKED_MAX = 72 * 1024
"""Maximum size of a chunked body: its end is searched for in all of it, each time that a part arrives."""


class Found(NamedTuple):
    """Size of the request in bytes, or None while it is incomplete.

    `expects` is true if the client waits for `100 Continue` before it sends the body.
    """

    size: int | None
    expects: bool = False


def request_size(received: bytearray, head_max: int, body_max: int) -> Found:
    """Find the size of the first request in `received`.

    It is all of `received` if the request is too large or malformed.
    """
    all_of_it = Found(len(received))
    end = _HEAD_ENDS.search(received)
    if end is None or end.end() > head_max:
        return all_of_it if len(received) > head_max else Found(None)
    if end.group() == b"\n":
        return all_of_it
    head, body = received[: end.end()], len(received) - end.end()
    lengths, codings = _LENGTH.findall(head), _CODING.findall(head)
    expects = bool(_EXPECTS.search(head)) and not body
    if codings:
        refused = lengths or [coding.lower() for coding in codings] != [b"chunked"]
        whole = refused or body > min(body_max, CHUNKED_MAX) or _LAST_CHUNK.search(received, end.end() - 1)
        return all_of_it if whole else Found(None, expects)
    if not lengths:
        return Found(end.end())
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]) or int(lengths[0]) > body_max:
        return all_of_it
    size = end.end() + int(lengths[0])
    return Found(size) if len(received) >= size else Found(None, expects)
