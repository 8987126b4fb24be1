"""The bench's replies on its socket, one JSON object per line. The server encodes them and the client decodes them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from netlab.results.document import DetailedResult, QuickResult
from netlab.service.status import BenchStatus


class Progress(Struct, frozen=True):
    """A progress message of a detailed run."""

    phase: str
    percent: int
    message: str


class JournalEntry(Struct, frozen=True):
    """One use of the network: a monotonic time in ns, for the order, and the time in ms since 1970, for display."""

    ns: int
    ms: int
    what: str
    run_id: str


class OpenBench(Struct, frozen=True):
    """A bench that the service keeps open. `state` is building, ready, refused or failed."""

    name: str
    folder: str
    address: str
    state: str
    pid: int = 0
    since_ms: int = 0
    """When it was opened."""
    error: str = ""
    """Why it is not ready: the last lines of its output."""


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reply: the requested data or a progress message (`ok` is True), or a refusal with `code` and `message`."""

    ok: bool
    result: QuickResult | DetailedResult | None = None
    results: tuple[QuickResult, ...] = ()
    """The results of the next questions of a bulk run."""
    status: BenchStatus | None = None
    journal: tuple[JournalEntry, ...] = ()
    descriptor: int = -1
    """The bench's file descriptor for a router's network namespace."""
    progress: Progress | None = None
    warnings: tuple[str, ...] = ()
    benches: tuple[OpenBench, ...] = ()
    problems: tuple[str, ...] = ()
    """With code `refused`: the faults in the facts, a sentence each."""
    code: str = ""
    message: str = ""
    fence: int = 0
    """The highest fence that the bench has seen, with code `stale-fence`; otherwise 0."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Reply)


def encode_reply(reply: Reply) -> bytes:
    """Encode a reply as one line."""
    return _encoder.encode(reply) + b"\n"


def decode_reply(line: bytes | bytearray) -> Reply:
    """Decode one line as a reply. Raises msgspec.DecodeError."""
    return _decoder.decode(line)
