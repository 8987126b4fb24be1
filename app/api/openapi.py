"""The OpenAPI 3.1 document, made from the routes and the models that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.api.bulk_documents import AnswersPage
from app.api.routes import JSON, Answer, Header, Route
from app.changes.reporting import Report
from app.http.problems import MEDIA_TYPE, Problem
from netlab.facts.changes.document import FactsChanges
from netlab.results.bulk import BulkResult
from netlab.results.document import DetailedResult, QuickResult
from netlab.service.status import BenchReport

RUN_ID = {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_PATH_PARTS = {
    "change_id": {**RUN_ID, "description": "id of a comparison"},
    "host": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,30}$", "description": "name of a host"},
    "name": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,30}$", "description": "name of a network"},
    "run_id": RUN_ID,
    "snapshot": {"type": "string", "pattern": "^([0-9a-f]{4,12}|current)$"},
}
"""Parts of addresses. A snapshot is named by its facts hash, the start of it, or `current`."""
_EVERYWHERE = {405: "Method not allowed.", 500: "Internal error."}
_GUARDED = {
    401: "Missing or invalid token.",
    403: "Not allowed for this role, a browser's request without its CSRF token, or an unknown user.",
}
_WITH_BODY = {
    400: "The body is not JSON.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not application/json.",
}
REF = "#/components/schemas/{model}"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of these routes, ready to be encoded as JSON."""
    routes = list(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "reachq",
            "version": version("reachq"),
            "summary": "Can A reach B, and what blocks it? Answered by a real packet through a kernel replica.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(routes),
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if route.public:
        operation["security"] = []
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARTS[name]}
        for name in re.findall(r"<(?:\w+:)?(\w+)>", route.path)
    ]
    parameters += _query_parameters(route.query)
    parameters += [
        {"name": name, "in": "header", "description": header.description, "schema": dict(header.schema)}
        for name, header in route.headers.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(route.body)}}}
    if route.upload:
        archive = {"type": "string", "format": "binary", "description": route.upload}
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": archive}}}
    operation["responses"] = _responses(route)
    return operation


def _query_parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    parameters = []
    for name, described in schema.get("properties", {}).items():
        described = dict(described)
        for option in described.pop("anyOf", ()):  # `X | None`: a parameter is present or absent, never null
            if "$ref" in option:
                option = schema["$defs"][option["$ref"].rpartition("/")[2]]
            if option.get("type") != "null":
                described |= option
        if described.get("default", ...) is None:
            del described["default"]
        text = described.pop("description", "")
        parameters.append({"name": name, "in": "query", "description": text, "schema": described})
    return parameters


def _responses(route: Route) -> dict[str, Any]:
    problems = (_WITH_BODY if route.body else {}) | dict(route.problems) | _EVERYWHERE
    problems |= {} if route.public else _GUARDED
    problems |= {413: "The archive is larger than 32 MiB."} if route.upload else {}
    problems.setdefault(422, "A parameter or field cannot be used; `errors` names each.")
    responses = {status: _answer(answer) for status, answer in route.answers.items()}
    for status, description in problems.items():
        responses[status] = {"description": description, "content": {MEDIA_TYPE: {"schema": _ref(Problem)}}}
        if status == 401:
            responses[status]["headers"] = _headers({"WWW-Authenticate": Header("the expected scheme")})
    return {str(status): responses[status] for status in sorted(responses)}


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.schema:
        schema = {"$ref": REF.format(model=answer.schema)}
    else:
        schema = _ref(answer.model) if answer.model else {"type": "string" if answer.media_type != JSON else "object"}
    described["content"] = {answer.media_type: {"schema": schema}}
    if answer.headers:
        described["headers"] = _headers(answer.headers)
    return described


def _headers(headers: Mapping[str, Header]) -> dict[str, Any]:
    return {
        name: {"description": header.description, "schema": dict(header.schema)} for name, header in headers.items()
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _schemas(routes: list[Route]) -> dict[str, Any]:
    modes: dict[type[BaseModel], JsonSchemaMode] = {Problem: "serialization"}
    for route in routes:
        if route.body:
            modes[route.body] = "validation"
        modes |= {answer.model: "serialization" for answer in route.answers.values() if answer.model}
    _, schemas = models_json_schema(list(modes.items()), ref_template=REF)
    definitions: dict[str, Any] = schemas["$defs"]
    any_result = QuickResult | DetailedResult | BulkResult
    (definitions["Result"], status, *_), of_structs = msgspec.json.schema_components(
        [any_result, BenchReport, FactsChanges, Report, AnswersPage], ref_template=REF.replace("model", "name")
    )
    definitions |= of_structs
    definitions["BenchDocument"]["properties"]["status"] = status
    # A problem has `errors` only when fields are invalid.
    definitions["Problem"]["required"] = [name for name in definitions["Problem"]["required"] if name != "errors"]
    return definitions
