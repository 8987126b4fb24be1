"""The API reference as a page, made from the OpenAPI document. It loads nothing from other servers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import request
from werkzeug.wrappers import Response

from app.web.shell import Page, render


class Example(NamedTuple):
    """A worked example. `commands` are for a shell in which TOKEN is set; URL is the address of the server."""

    title: str
    text: str
    commands: str


_CURL = 'curl -sS -H "Authorization: Bearer $TOKEN"'
_JSON = f"{_CURL} -H 'Content-Type: application/json'"
EXAMPLES = (
    Example(
        "Test and wait for the answer",
        "The reply to the first command has the `id` and the `verdict` of the run. RUN in the second one is this id.",
        f"""{_JSON} 'URL/api/runs?wait=30' \
  -d '{{"source": "10.1.10.20", "destination": "10.3.20.8", "services": "22,443"}}'
{_CURL} URL/api/runs/RUN/result""",
    ),
    Example(
        "Ask many questions at once",
        "The reply to the first command lists the bulk runs. RUN is the id of one of them; the second command returns its"
        " answers that are NO, each with the blocking rule.",
        f"""{_JSON} URL/api/batches \
  -d '{{"questions": [{{"source": "10.1.10.20", "destination": "10.3.20.8", "services": "22,443"}}]}}'
{_CURL} 'URL/api/runs/RUN/answers?verdict=NO'""",
    ),
    Example(
        "See what a change breaks",
        "FOLDER has the changed facts of the routers. The reply to the first command has the hash of the snapshot in"
        " `facts`, and AFTER is this hash. The reply to the second one has the `id` of the comparison, which is CHANGE.",
        f"""tar -C FOLDER -cz . |
  {_CURL} -H 'Content-Type: application/octet-stream' --data-binary @- 'URL/api/snapshots?wait=20'
{_JSON} 'URL/api/changes?wait=30' \
  -d '{{"before": "current", "after": "AFTER", "rows": "10.1.10.20, 10.3.20.8, 22, 443"}}'
{_CURL} URL/api/changes/CHANGE/report.md""",
    ),
)


class ApiDocs:
    """The page `/docs/api`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._operations = operations(document)
        self._schemas = [
            (name, fields(schema, document)) for name, schema in sorted(document["components"]["schemas"].items())
        ]

    def page(self) -> Response:
        """Show all operations, and then all documents."""
        examples = [Example(*(part.replace("URL", request.host_url.rstrip("/")) for part in one)) for one in EXAMPLES]
        return render("api.html", operations=self._operations, schemas=self._schemas, examples=examples)

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
