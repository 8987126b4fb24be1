"""Request bodies and query parameters of the API, as pydantic models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from app.http.problems import ApiProblem, FieldError, bad_fields
from ledger.runs.requests import DETAILED_SERVICES_MAX, RunRequest, examine
from ledger.runs.run import SINGLE, Mode, State
from ledger.runs.services import SERVICES_MAX

Model = TypeVar("Model", bound=BaseModel)

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_FIRST_OCTET = "(25[0-4]|24[0-9]|22[0-3]|2[01][0-9]|1[3-9][0-9]|12[0-689]|1[01][0-9]|[1-9]?[1-9]|[1-9]0)"
_ADDRESS = {
    "type": "string",
    "pattern": rf"^{_FIRST_OCTET}(\.{_OCTET}){{3}}$",
    "description": "the IPv4 address of a host; source and destination must differ",
}
SOURCE = {**_ADDRESS, "examples": ["10.1.10.20"]}
DESTINATION = {**_ADDRESS, "examples": ["10.3.20.8"]}
_SERVICE_TEXT = {
    "type": "string",
    "minLength": 1,
    "description": "ports, ranges and names with an optional protocol, or icmp, separated by commas",
    "examples": ["22,80/tcp,53/udp,8000-8003,https,icmp"],
}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_PORT_OBJECT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["port"],
    "properties": {"port": _PORT, "protocol": {"type": "string", "enum": ["tcp", "udp"], "default": "tcp"}},
}
_ICMP_OBJECT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["protocol"],
    "properties": {"port": {"type": "null"}, "protocol": {"const": "icmp"}},
}
SERVICES = {
    "description": (
        f"1-{SERVICES_MAX} services after expansion (detailed: {DETAILED_SERVICES_MAX}); duplicates are merged"
    ),
    "anyOf": [
        _SERVICE_TEXT,
        {"type": "array", "minItems": 1, "items": {"anyOf": [_SERVICE_TEXT, _PORT_OBJECT, _ICMP_OBJECT]}},
    ],
}
_MODE = {"type": "string", "enum": sorted(SINGLE), "default": "quick"}
SOURCE_PORT = {
    **_PORT,
    "type": ["integer", "null"],
    "description": "source port of the packets; by default the bench chooses one",
}


class RunBody(BaseModel):
    """The body of `POST /api/runs`; ledger.runs.requests checks the values, as for every other input."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[object, WithJsonSchema(SOURCE)]
    destination: Annotated[object, WithJsonSchema(DESTINATION)]
    services: Annotated[object, WithJsonSchema(SERVICES)]
    mode: Annotated[object, WithJsonSchema(_MODE)] = "quick"
    source_port: Annotated[object, WithJsonSchema(SOURCE_PORT)] = None

    def request(self) -> RunRequest:
        """Return the validated request. Raises ApiProblem 422 naming every invalid field."""
        request, wrong = examine(self.source, self.destination, self.services, self.mode, self.source_port)
        if request is None:
            raise bad_fields(wrong)
        return request


def _digits(given: object) -> object:
    """Check that a number has only digits.

    Without this, pydantic would also accept 1_0, +1, 1.0 and surrounding spaces.
    """
    if isinstance(given, str) and not re.fullmatch("-?[0-9]{1,20}", given):
        raise PydanticCustomError("digits", "Write it in digits")
    return given


Number = Annotated[int, BeforeValidator(_digits)]


class PageQuery(BaseModel):
    """Part of the history to return."""

    model_config = ConfigDict(extra="forbid")

    offset: Number = Field(0, ge=0, le=10_000_000, description="number of newest runs to skip")
    limit: Number = Field(50, ge=1, le=500, description="maximum number of runs to return")
    state: State | None = Field(None, description="only runs in this state")


class CancelQuery(BaseModel):
    """Which of the waiting and running runs to cancel: those that have all of these."""

    model_config = ConfigDict(extra="forbid")

    user: str | None = Field(
        None, max_length=64, description="owner; by default the caller. Others, and `*` for all users, need an admin"
    )
    mode: Mode | None = Field(None, description="only runs of this mode")
    state: Literal["pending", "promoted", "running"] | None = Field(None, description="only runs in this state")
    text: str = Field(
        "", max_length=200, description="only runs with these services, or with addresses or an id that begin so"
    )


class LimitQuery(BaseModel):
    """Part of the queue to return."""

    model_config = ConfigDict(extra="forbid")

    limit: Number = Field(
        100, ge=1, le=500, description="maximum number of waiting runs, and of finished runs, to return"
    )


EVENT_ID = "^([0-9]{1,19}(-[0-9]{1,19})?)?$"
"""Pattern of a stream id. An empty text means only new events."""


class EventsQuery(BaseModel):
    """Parameters of an event stream."""

    model_config = ConfigDict(extra="forbid")

    with_: Literal["board"] | None = Field(
        None, alias="with", description="`board`: also send the live part of the board, as HTML"
    )
    after: str | None = Field(
        None, pattern=EVENT_ID, description="alternative to the Last-Event-ID header (the header wins)"
    )


class WaitQuery(BaseModel):
    """How long to wait for the end of a run."""

    model_config = ConfigDict(extra="forbid")

    wait: Number = Field(
        0, ge=0, le=60, description="seconds to wait for the end of the run; the reply is sent as soon as it has ended"
    )


class NoQuery(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


def read(model: type[Model], given: Mapping[str, object], *, status: int = 422) -> Model:
    """Validate `given` as a `model`. Raises ApiProblem naming every missing, unknown or invalid field."""
    try:
        return model.model_validate(given)
    except ValidationError as bad:
        errors = [_field_error(error) for error in bad.errors(include_url=False, include_context=False)]
    detail = "; ".join(f"{error.field}: {error.message}" for error in errors[:10])
    raise ApiProblem(status, "bad-input", detail, errors)


def _field_error(error: ErrorDetails) -> FieldError:
    field = ".".join(str(part) for part in error["loc"])[:60]
    if error["type"] == "missing":
        return FieldError(field=field, message="is missing")
    if error["type"] == "extra_forbidden":
        return FieldError(field=field, message="is not a field of this request; check its spelling or leave it out")
    shown = repr(error["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return FieldError(field=field, message=f"{shown} cannot be used: {error['msg'].lower()}")
