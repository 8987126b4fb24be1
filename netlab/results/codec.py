"""Results as JSON: sent by the bench, stored in Redis and returned by the API. Pure."""

from __future__ import annotations

import msgspec

from netlab.results.document import DetailedServiceResult, Result
from netlab.results.older import upgraded
from netlab.results.services import service_name

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
        result = upgraded(_decoder.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise BadDocument(str(bad)) from None
    _check_ends(result)
    return result


def _check_ends(result: Result) -> None:
    """Reject an end that names a router that the path does not have."""
    for number, service in enumerate(result.services):
        end = service.ended
        if end is None or end.hop is None:
            continue
        if isinstance(service, DetailedServiceResult):
            routers = sum(hop.direction == end.direction for hop in service.hops)
        else:
            name = service_name(service)
            routers = sum(service_name(cell) == name for router in result.routers for cell in router.services)
        if not 1 <= end.hop <= routers:
            raise BadDocument(f"services[{number}].ended.hop is {end.hop}, and the path has {routers} routers")
