"""Checks the record of a run: which fields each state needs, and what each field may contain. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dscp.lanes import LANES
from ledger.runs.run import ENDED, HOLDS_SLOT, Mode, State

SHOWN = 80
"""Maximum number of bytes of a value that are quoted in a sentence."""
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,14}")
_BENCH = re.compile(rb"[a-z][a-z0-9-]{0,30}")
_SERVICES = re.compile(rb"(icmp|[0-9]{1,5}/(tcp|udp))(,(icmp|[0-9]{1,5}/(tcp|udp)))*")
_QUEUE = re.compile(rb"[a-z][a-z0-9-]{0,30}-(quick|detailed|bulk)-[0-9]{1,6}")
ASKED = ("mode", "state", "source", "destination", "services")
"""Fields that every record needs, including that of an ended run."""
_OPEN = (*ASKED, "user", "bench", "seq", "submitted_ms")
_PROMOTED = (*_OPEN, "token", "fence", "queue", "promoted_ms", "attempt")
_RUNNING = (*_PROMOTED, "worker", "started_ms")
_Check = tuple[Callable[[bytes], bool], str]
"""Whether a value is valid, and what is wrong with one that is not."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One damaged field: its value in Redis (None if missing), and what is wrong with it."""

    field: str
    value: bytes | None
    why: str

    def __str__(self) -> str:
        if self.value is None:
            return f"field {self.field} is missing"
        return f"field {self.field} is {quoted(self.value)}, which {self.why}"


def quoted(value: bytes) -> str:
    """Quote at most SHOWN bytes of a value for a sentence, with terminal control characters escaped."""
    shown = ascii(value[:SHOWN].decode("utf-8", "backslashreplace"))
    return f"{shown}..." if len(value) > SHOWN else shown


def is_service(text: str) -> bool:
    """Return whether this is one service as written in a record, such as `443/tcp` or `icmp`."""
    return "," not in text and bool(_SERVICES.fullmatch(text.encode()))


def is_number(text: str) -> bool:
    """Return whether this is a whole number as written in a record: 0 or more, at most 15 digits."""
    return bool(_NUMBER.fullmatch(text.encode()))


def number(value: object) -> int:
    """Return the whole number in a field or reply, or 0 for anything else."""
    return int(text) if is_number(text := str(value)) else 0


def fault_of(record: Mapping[bytes, bytes]) -> Fault | None:
    """Return the first fault of a record as HGETALL returns it (bytes), or None if the record is sound."""
    for name, (fits, why) in _CHECKS.items():
        value = record.get(name)
        if value is not None and not fits(value):
            return Fault(name.decode(), value, why)
    for field in _needed(record):
        if not record.get(field.encode()):
            return Fault(field, record.get(field.encode()), "is empty")
    if b"dscp" in record and record[b"mode"] == b"detailed" and record[b"state"].decode() in HOLDS_SLOT:
        return Fault("dscp", record[b"dscp"], "is a lane, and a detailed run holds none")
    return None


def _needed(record: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the fields that a record needs in its state, including the state itself."""
    state = record.get(b"state", b"").decode("utf-8", "replace")
    if state in ENDED:
        return ASKED
    if state not in HOLDS_SLOT:
        return _OPEN
    fields = _RUNNING if state == State.RUNNING else _PROMOTED
    return fields if record.get(b"mode") == b"detailed" else (*fields, "dscp")


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=4096)
def _is_address(value: bytes) -> bool:
    try:
        ipaddress.ip_address(value.decode())
    except ValueError:
        return False
    return True


def _among(names: type[State] | type[Mode]) -> tuple[Callable[[bytes], bool], str]:
    values = {name.value.encode() for name in names}
    return values.__contains__, f"is not one of {', '.join(names)}"


def _matches(pattern: re.Pattern[bytes], why: str) -> tuple[Callable[[bytes], bool], str]:
    return lambda value: bool(pattern.fullmatch(value)), why


def _between(first: int, last: int) -> tuple[Callable[[bytes], bool], str]:
    return lambda value: bool(_NUMBER.fullmatch(value)) and first <= int(value) <= last, f"is not {first}-{last}"


_WHOLE = _matches(_NUMBER, "is not a whole number of 0 or more")
_ADDRESS = (_is_address, "is not an IP address")
_FIELDS: dict[str, _Check] = {
    "state": _among(State),
    "mode": _among(Mode),
    "bench": _matches(_BENCH, "is not the name of a bench"),
    "source": _ADDRESS,
    "destination": _ADDRESS,
    "services": _matches(_SERVICES, "is not a list of services"),
    "source_port": _between(1, 65535),
    "dscp": _between(LANES[0], LANES[-1]),
    "queue": _matches(_QUEUE, "is not the name of a queue"),
    "host": _matches(_BENCH, "is not the name of a host"),
    "cancelling": _matches(re.compile(b"1"), "is not 1"),
    "snapshot": _matches(re.compile(rb"[0-9a-f]{1,64}"), "is not the hash of facts"),
    **dict.fromkeys(("seq", "turn", "attempt", "fence", "overtaken", "questions"), _WHOLE),
    **dict.fromkeys(("submitted_ms", "promoted_ms", "started_ms", "finished_ms"), _WHOLE),
}
_TEXTS = ("user", "token", "worker", "wait_code", "wait_reason", "verdict", "stopped_by", "error")
"""Fields that may hold any text."""
_CHECKS: dict[bytes, _Check] = {
    **{name.encode(): check for name, check in _FIELDS.items()},
    **dict.fromkeys((name.encode() for name in _TEXTS), (_is_text, "is not UTF-8 text")),
}
