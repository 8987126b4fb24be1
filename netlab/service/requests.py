"""What may be asked on the sockets of a bench and of the service of benches: one type for each request. Pure.

A request is one line of JSON, and its field `op` names its type: {"op": "namespace", "router": "core-1"}. A field that
the type does not have is ignored, so that a worker pool and a bench of different versions understand each other. The
limits in the docstrings are checked by the server, which refuses with `bad-request` what is outside them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]


class _Request(Struct, frozen=True, tag_field="op", tag=lambda name: name.removesuffix("Request").lower()):
    """A request. `op` is the name of its class in lower case, without `Request`."""


class StatusRequest(_Request, frozen=True):
    """Ask for the status of the bench: its network, and what uses it."""


class WarningsRequest(_Request, frozen=True):
    """Ask what is probably missing or wrong in the facts of the bench."""


class JournalRequest(_Request, frozen=True):
    """Ask which run used the network when."""


class NamespaceRequest(_Request, frozen=True):
    """Ask for the bench's descriptor of the network namespace of a router."""

    router: str


class AttemptRequest(_Request, frozen=True):
    """Open an attempt. The connection then belongs to it, and its end ends the attempt."""

    run_id: str
    mode: str
    """`quick`, `bulk` or `detailed`."""
    lane: int | None
    """The DSCP value of the probes, 32 to 63. It is ignored for a detailed attempt, which has no lane."""
    fence: int
    """A positive number that is higher than the fence of every earlier attempt on this lane."""


class RequestedService(Struct, frozen=True):
    """One service to test."""

    port: int | None
    """1 to 65535; null for icmp."""
    protocol: str
    """`tcp`, `udp` or `icmp`."""


class _TestRequest(_Request, frozen=True):
    source: str
    """An IPv4 address in dotted form, as is `destination`."""
    destination: str
    services: tuple[RequestedService, ...]
    source_port: int | None = None
    """1 to 65535; the bench chooses a port if it is null."""


class QuickRequest(_TestRequest, frozen=True):
    """Run a quick test of 1 to 100 services, in the open attempt."""

    rules: bool = True
    """Whether to find the rule behind each NO."""


class AskedQuestion(Struct, frozen=True):
    """One question of a bulk run, with the limits of a quick test."""

    source: str
    destination: str
    services: tuple[RequestedService, ...]
    source_port: int | None = None


class BulkRequest(_Request, frozen=True):
    """Run a quick test for each of 1 to 256 questions, in the open attempt.

    The results come in the order of the questions, in several replies. Until the last one, no other request can be sent:
    data from the client end the attempt, as the end of the connection does.
    """

    questions: tuple[AskedQuestion, ...]
    rules: bool = True
    """Whether to find the rule behind each NO."""


class DetailedRequest(_TestRequest, frozen=True):
    """Run a detailed test of 1 to 50 services, in the open attempt."""


class QuitRequest(_Request, frozen=True):
    """End the bench cleanly."""


ToBench = (
    StatusRequest
    | WarningsRequest
    | JournalRequest
    | NamespaceRequest
    | AttemptRequest
    | QuickRequest
    | BulkRequest
    | DetailedRequest
    | QuitRequest
)
"""What a bench answers."""


class OpenRequest(_Request, frozen=True):
    """Open a bench, or wait until it is ready if it is open."""

    bench: Text
    """Its name: 1 to 60 characters of a-z, 0-9 and `-`, the first one not `-`."""
    folder: Text
    """The folder with its facts."""
    network: Text
    """The name of the network, for display."""
    address: Text
    """The address of the socket on which it listens."""


class CloseRequest(_Request, frozen=True):
    """End the bench with this name. A bench that is not open is fine."""

    bench: str


class BenchesRequest(_Request, frozen=True):
    """Ask for the open benches."""


ToBenchService = OpenRequest | CloseRequest | BenchesRequest
"""What the service of benches answers."""

_encoder = msgspec.json.Encoder()


def encode_request(request: ToBench | ToBenchService) -> bytes:
    """Encode a request as one line. Raises UnicodeEncodeError if a text is not valid Unicode."""
    return _encoder.encode(request) + b"\n"
