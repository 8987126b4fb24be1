"""The bench's replies on its socket, one JSON object a line: written by the server, read by the client."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from netlab.results.document import DetailedResult, QuickResult


class Progress(Struct, frozen=True):
    """Progress of a detailed run."""

    phase: str
    percent: int
    message: str


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ok` with the requested data; or a progress message; or a refusal with `code` and `message`."""

    ok: bool
    result: QuickResult | DetailedResult | None = None
    status: dict[str, Any] = {}
    journal: list[dict[str, Any]] = []
    descriptor: int = -1
    """Descriptor in the bench process that holds the namespace of a router."""
    progress: Progress | None = None
    code: str = ""
    message: str = ""
    fence: int = 0
    """With code `stale-fence`: the highest fence that the bench has seen."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Reply)


def encode_reply(reply: Reply) -> bytes:
    """Encode a reply as one line."""
    return _encoder.encode(reply) + b"\n"


def decode_reply(line: bytes | bytearray) -> Reply:
    """Decode the reply in a line; msgspec.DecodeError."""
    return _decoder.decode(line)
