"""The model of the result document, quick and detailed. Pure.

`SCHEMA` is the version of the format. `codec.decode` reads documents of every version: a field that was added later has
a default (`older` computes its value), and unknown fields are ignored.

The parts of a document are not tracked by the garbage collector (`gc=False`): they are immutable and contain no cycles,
and a result of 100 services has about 800 of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

SCHEMA: Final = 1

Verdict = Literal["YES", "NO", "UNKNOWN"]
YES: Final = "YES"
NO: Final = "NO"
UNKNOWN: Final = "UNKNOWN"
WORST_FIRST: tuple[Verdict, ...] = (NO, UNKNOWN, YES)

Side = Literal["request", "reply"]
REQUEST: Final = "request"
REPLY: Final = "reply"


class Outcome(StrEnum):
    """How a real connection ended, as the client saw it."""

    CONNECTED = "CONNECTED"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"


class Cause(StrEnum):
    """Why a service ended where it did."""

    RULE = "rule"
    """A rule or a policy stopped it."""
    ROUTE = "route"
    """No route, an unreachable or blackhole route, or a next hop that does not exist."""
    LOOP = "loop"
    NO_HOST = "no-host"
    """An address that no host can have."""
    REFUSED = "refused"
    """A host refused the connection, and no router stopped it."""
    NO_REPLY = "no-reply"
    """No reply arrived, and no router stopped a packet."""
    UNKNOWN = "unknown"
    """It could not be determined; `reason` says why."""


class End(Struct, frozen=True, gc=False):
    """Where a service ended."""

    direction: Side
    router: Annotated[str | None, Meta(description="null when it ended between the last router and the host")]
    hop: Annotated[int | None, Meta(description="position of that router on the path of this direction, from 1")]
    cause: Cause


class Rule(Struct, frozen=True, gc=False):
    """What decided about a packet: a rule, or the policy of a chain, with the text from the router's facts."""

    family: str
    table: str
    chain: str
    chains: Annotated[tuple[str, ...], Meta(description="the base chain, then the chains entered by jumps")]
    number: Annotated[int | None, Meta(description="counted from 1 within `chain`; null for a policy")]
    text: str | None
    file: str | None
    line: int | None
    hook: str
    verdict: Annotated[
        str, Meta(description="ACCEPT, DROP, REJECT; STOLEN or QUEUE if the packet was handed to something else")
    ]
    policy: bool


class Cell(Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer for one service on one router."""

    port: Annotated[int, Meta(ge=1, le=65535)] | None
    protocol: str
    result: Verdict
    rule: Annotated[
        Rule | None, Meta(description="the deciding rule; in a quick run only for a NO, and only when requested")
    ] = None


class RouterResult(Struct, frozen=True, gc=False):
    """One router on the path of at least one service."""

    name: str
    hop: int
    in_iface: Annotated[str | None, Meta(description="interface on which the packets arrive")] = msgspec.field(
        name="in"
    )
    out_iface: Annotated[str | None, Meta(description="interface through which they leave")] = msgspec.field(name="out")
    services: tuple[Cell, ...]


class Nat(Struct, frozen=True):
    """The addresses and ports of a packet before and after NAT, such as `10.1.10.20:49184 → 8.8.8.8:80`."""

    before: str
    after: str
    changes: Annotated[
        tuple[str, ...], Meta(description="the parts that changed: `10.1.10.20 → 203.0.113.2`; empty in older results")
    ] = ()


class Hop(Struct, frozen=True):
    """One router that a real packet of a detailed run passed or reached."""

    router: str
    direction: Side
    in_iface: str | None = msgspec.field(name="in")
    out_iface: Annotated[
        str | None, Meta(description="null when the packet ended here, or was for the router itself")
    ] = msgspec.field(name="out")
    result: Verdict
    rule: Annotated[Rule | None, Meta(description="null when nothing filters here, or a route stopped it")]
    nat: Nat | None
    decisions: Annotated[tuple[Rule, ...], Meta(description="the deciding rule of each base chain, in order")] = ()


class ServiceResult(Struct, frozen=True, kw_only=True, gc=False):
    """The answer for one service."""

    port: Annotated[int, Meta(ge=1, le=65535)] | None
    protocol: str
    result: Verdict
    path: tuple[str, ...]
    blocked_by: tuple[str, ...]
    reason: Annotated[str | None, Meta(description="the reason, when no rule blocked it")] = None
    ended: Annotated[End | None, Meta(description="where and why it ended; null when it works")] = None
    sentence: Annotated[
        str | UnsetType, Meta(description="the result in one sentence; added when the result is returned")
    ] = UNSET


class DetailedServiceResult(ServiceResult, frozen=True, kw_only=True):
    """The answer for one service of a detailed run."""

    outcome: Outcome | None = None
    latency_ms: float | None = None
    refused_by: Annotated[str | None, Meta(description="who refused the connection")] = None
    reply_path: Annotated[tuple[str, ...], Meta(description="routers of the return path")] = ()
    blocked: Annotated[Side | None, Meta(description="the direction that was blocked")] = None
    also_blocked_by: Annotated[
        tuple[str, ...], Meta(description="routers further along the path that would also block it")
    ] = ()
    hops: Annotated[tuple[Hop, ...], Meta(description="every router, on the forward and the return path")] = ()


class _Result(Struct, frozen=True, kw_only=True, tag_field="mode"):
    """The fields of both kinds of result."""

    run_id: str
    source: str
    destination: str
    source_port: int | None
    dscp: Annotated[int | None, Meta(description="the lane; null for a detailed run")] = None
    verdict: Annotated[Verdict, Meta(description="the worst answer of its services")]
    path: Annotated[tuple[str, ...], Meta(description="routers that most services pass, in order")]
    routers: tuple[RouterResult, ...]
    caveats: Annotated[tuple[str, ...], Meta(description="assumptions on which the answer depends")] = ()
    depends_on: Annotated[tuple[str, ...], Meta(description="the caveats that could change the answer")] = ()
    reason: str | None = None
    facts: Annotated[str, Meta(description="hash of the facts that were tested")]
    timing_ms: dict[str, float] = {}
    sentences: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="the result in plain English, worst first; added when the result is returned"),
    ] = UNSET
    schema: Annotated[int, Meta(description="version of this format; 0 for documents without a version")] = 0


class QuickResult(_Result, frozen=True, kw_only=True, tag="quick"):
    """The result of a quick test."""

    services: tuple[ServiceResult, ...]
    one_way: Annotated[bool, Meta(description="true: only the forward path was tested")] = True


class DetailedResult(_Result, frozen=True, kw_only=True, tag="detailed"):
    """The result of a detailed test."""

    services: tuple[DetailedServiceResult, ...]
    one_way: Annotated[bool, Meta(description="false: the return path was tested too")] = False


Result = QuickResult | DetailedResult
