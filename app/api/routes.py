"""A route of the API: one entry from which both Flask's routing and the OpenAPI document are made.

So the document always matches the code, and there are no operations that it does not describe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Response
from pydantic import BaseModel

from app.api.request_models import NoQuery

JSON = "application/json"
STORE_AWAY = {503: "Redis cannot be reached; try again."}
"""The problem that every operation may return, because it uses the ledger."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a request or a response."""

    description: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful response."""

    description: str
    model: type[BaseModel] | None = None
    schema: str = ""
    """Name of a schema that has no pydantic model, such as `Result` of netlab.results.document."""
    media_type: str = JSON
    headers: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: method, address, handler, and everything that it accepts and returns."""

    method: str
    path: str
    name: str
    view: Callable[..., Response]
    summary: str
    answers: Mapping[int, Answer]
    problems: Mapping[int, str] = field(default_factory=dict)
    query: type[BaseModel] = NoQuery
    body: type[BaseModel] | None = None
    upload: str = ""
    """Description of a body that is not JSON; empty: there is none."""
    headers: Mapping[str, Header] = field(default_factory=dict)
    public: bool = False
    role: str = "viewer"
    """Required role, a key of app.people.identity.ALLOWED. `user` means all users who may submit runs."""

    def __post_init__(self) -> None:
        if self.method != "GET" and self.role == "viewer":
            raise ValueError(f"{self.name}: viewers change nothing: say which role may {self.method}")
