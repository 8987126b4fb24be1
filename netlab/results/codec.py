"""Results as JSON: what the bench sends, Redis stores and the API answers. Pure."""

from __future__ import annotations

import msgspec

from netlab.results.document import Result
from netlab.results.older import upgraded

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Result] = msgspec.json.Decoder(Result)


class BadDocument(ValueError):
    """The bytes are not a result document; the message names the field."""


def encode(result: Result) -> bytes:
    """The document as JSON."""
    return _encoder.encode(result)


def decode(text: bytes | str) -> Result:
    """The result in a JSON document of any version; BadDocument."""
    try:
        return upgraded(_decoder.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise BadDocument(str(bad)) from None
