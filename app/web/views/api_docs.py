"""The API reference as a page, made from the OpenAPI document. It loads nothing from other servers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from app.web.shell import Page, render


class ApiDocs:
    """The page `/docs/api`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._operations = operations(document)
        self._schemas = [
            (name, fields(schema, document)) for name, schema in sorted(document["components"]["schemas"].items())
        ]

    def page(self) -> Response:
        """Show all operations, and then all documents."""
        return render("api.html", operations=self._operations, schemas=self._schemas)

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [Page("GET", "/docs/api", "api_docs", self.page)]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `parameters` are as in the document, each with its `type`; `responses` are (status, when, type)."""

    method: str
    path: str
    id: str
    summary: str
    public: bool
    parameters: list[Mapping[str, object]]
    body: str
    responses: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of an object."""

    name: str
    type: str
    required: bool
    description: str
    example: str


def operations(document: dict[str, Any]) -> list[Operation]:
    """Return the operations, in the document's order."""
    entries = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = _schema(operation.get("requestBody", {}))
            entries.append(
                Operation(
                    method=method.upper(),
                    path=path,
                    id=operation["operationId"],
                    summary=operation["summary"],
                    public=operation.get("security") == [],
                    parameters=[{**p, "type": kind(p["schema"])} for p in operation.get("parameters", ())],
                    body=kind(body) if body else "",
                    responses=[
                        (status, answer["description"], kind(_schema(answer)))
                        for status, answer in operation["responses"].items()
                    ],
                )
            )
    return entries


def _schema(holder: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the only media type of a body or response."""
    for media in holder.get("content", {}).values():
        return dict(media.get("schema", {}))
    return {}


def fields(schema: dict[str, Any], document: dict[str, Any]) -> list[FieldRow]:
    """Return the fields of an object."""
    required = schema.get("required", ())
    return [
        FieldRow(
            name=name,
            type=kind(field),
            required=name in required,
            description=field.get("description", ""),
            example=json.dumps(field["examples"][0]) if field.get("examples") else "",
        )
        for name, field in schema.get("properties", {}).items()
    ]


def kind(schema: dict[str, Any]) -> str:
    """Describe a schema in a few words, such as `string`, `RunDocument`, `list of Service` or `integer or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(kind(option) for option in options))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    named = schema.get("type", "")
    if named == "array":
        return f"list of {kind(schema.get('items', {})) or 'anything'}"
    return " or ".join(named) if isinstance(named, list) else str(named or "anything")
