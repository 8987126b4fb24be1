"""The bench's status: one typed document. The bench writes it, the worker pool stores it, all others read it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct


class HostStatus(Struct, frozen=True):
    """A host on the bench, its place, and the number of references of each run to it."""

    address: str = ""
    place: str = ""
    references: dict[str, int] = {}


class AttemptStatus(Struct, frozen=True):
    """An attempt that uses the bench."""

    run_id: str
    mode: str
    lane: int
    fence: int
    since_ms: int


class BenchStatus(Struct, frozen=True, kw_only=True):
    """The network on the bench, and what uses it."""

    network: str = ""
    facts: str = ""
    """Digest of the facts."""
    routers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    pid: int = 0
    since_ms: int = 0
    answered: int = 0
    """Number of tests answered since the start."""
    batches: int = 0
    fence: int = 0
    """Highest fence that the bench has seen."""
    hosts: tuple[HostStatus, ...] = ()
    locks: dict[str, str] = {}
    """Router -> the run that has locked it."""
    attempts: tuple[AttemptStatus, ...] = ()


class BenchReport(BenchStatus, frozen=True, kw_only=True):
    """What the worker pool last reported: the status of a bench that is up, or why it is not."""

    state: str = ""
    """`up`, `away` or `restarting`; "" if the bench has never reported."""
    error: str = ""
    reported_ms: int = 0
    """Time of the report by Redis's clock; 0 if the bench has never reported."""
    age_ms: int = 0

    @classmethod
    def of(cls, status: BenchStatus) -> BenchReport:
        """Return the report of a bench that is up."""
        return cls(state="up", **msgspec.structs.asdict(status))

    @classmethod
    def read(cls, fields: Mapping[str, object]) -> BenchReport:
        """Read stored fields. Damaged ones are left out: the next report replaces them."""
        known = {name: fields[name] for name in cls.__struct_fields__ if name in fields}
        try:
            return msgspec.convert(known, cls)
        except msgspec.ValidationError:
            sound = cls()
            for name, value in known.items():
                with suppress(msgspec.ValidationError):
                    part = msgspec.convert({name: value}, cls)
                    sound = msgspec.structs.replace(sound, **{name: getattr(part, name)})
            return sound

    def fields(self) -> dict[str, object]:
        """Return the fields as JSON values. The status is left out if the bench is not up."""
        fields: dict[str, object] = msgspec.to_builtins(self)
        if self.state == "up":
            return fields if self.error else {name: value for name, value in fields.items() if name != "error"}
        return {name: value for name, value in fields.items() if value or name == "error"} if self.state else {}
