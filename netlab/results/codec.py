"""Results as JSON. The bench sends them, Redis stores them, and the API returns them. Pure."""

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
    """Encode the result as JSON."""
    return _encoder.encode(result)


def decode(text: bytes | str) -> Result:
    """Decode a JSON document of any version. Raises BadDocument."""
    try:
        result = upgraded(_decoder.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise BadDocument(str(bad)) from None
    _check_ends(result)
    return result


def _check_ends(result: Result) -> None:
    """Raise BadDocument if a service ended at a router that is not on the path."""
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
