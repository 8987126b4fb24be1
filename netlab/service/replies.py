"""The bench's replies on its socket, one JSON object a line: written by the server, read by the client."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from netlab.results.document import DetailedResult, QuickResult


class Progress(Struct, frozen=True):
    """How far a detailed run has come."""

    phase: str
    percent: int
    message: str


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ok` with what was requested; or a step of progress; or a refusal with `code` and `message`."""

    ok: bool
    result: QuickResult | DetailedResult | None = None
    status: dict[str, Any] = {}
    journal: list[dict[str, Any]] = []
    descriptor: int = -1
    """Of the bench process: it holds the namespace of a router."""
    progress: Progress | None = None
    code: str = ""
    message: str = ""
    fence: int = 0
    """With code `stale-fence`: the highest fence that the bench has seen."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Reply)


def encode_reply(reply: Reply) -> bytes:
    """One line."""
    return _encoder.encode(reply) + b"\n"


def decode_reply(line: bytes | bytearray) -> Reply:
    """The reply in a line; msgspec.DecodeError."""
    return _decoder.decode(line)
