"""The OpenAPI document is valid, describes every route, and matches the responses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from app.http.problems import MEDIA_TYPE
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.runs import running, submitted
from tests.support.web import TOKEN, Reply, Web, application


@pytest.fixture
def document(web: Web) -> dict[str, Any]:
    found: dict[str, Any] = web.get("/api/openapi.json", token=None).json
    return found


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_it_describes_every_route(document: dict[str, Any], settings: Settings, ledger: Ledger) -> None:
    app = application(settings, ledger)
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule)), method)
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith(("rq_dashboard.", "web.")) and not rule.build_only and str(rule) != "/metrics"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert described == served


def test_every_operation_describes_its_problems(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            statuses = set(operation["responses"])
            assert {"405", "500"} <= statuses, where
            assert ("401" in statuses) == (operation.get("security") != []), where
            if "requestBody" in operation:
                as_json = "application/json" in operation["requestBody"]["content"]
                assert ({"400", "413", "415", "422"} if as_json else {"413", "422"}) <= statuses, where
            if "{" in path:
                assert "404" in statuses, where
            for status, answer in operation["responses"].items():
                (kind,) = answer["content"]
                assert (kind == MEDIA_TYPE) == (int(status) >= 400 or status == "500"), (where, status)
                if kind == MEDIA_TYPE:
                    assert answer["content"][kind]["schema"] == {"$ref": "#/components/schemas/Problem"}


def check(document: dict[str, Any], method: str, path: str, answer: Reply) -> None:
    """Check that the response's status, type and body are as described."""
    operation = document["paths"][path][method.lower()]
    assert str(answer.status) in operation["responses"], (method, path, answer.status)
    described = operation["responses"][str(answer.status)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in described, (method, path, kind)
    schema = {**described[kind]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json)


def test_answers_are_as_described(web: Web, ledger: Ledger, document: dict[str, Any]) -> None:
    one, busy = submitted(ledger), running(ledger)
    ledger.report_bench({"state": "up", "facts": "3f2a"})
    ledger.progress(busy.id, busy.token, "inject", 50, "half")
    run, none = "/api/runs/{run_id}", "00000000-0000-0000-0000-000000000000"
    for path in (
        "/api/runs",
        "/api/queue",
        "/api/lanes",
        "/api/limits",
        "/api/bench",
        "/api/hosts",
        "/healthz",
        "/readyz",
        "/api/openapi.json",
    ):
        check(document, "GET", path, web.get(path))
        check(document, "GET", path, web.get(path, token=None))
        check(document, "GET", path, web.get(path + "?nosuch=1")) if path.startswith("/api/") else None
    for run_id in (one.id, busy.id, none):
        for rest in ("", "/result", "/log"):
            check(document, "GET", run + rest, web.get(f"/api/runs/{run_id}{rest}"))
    drain = "/api/hosts/{host}/drain"
    for host in ("local", "nosuch"):
        for body in ({"why": "new memory"}, {}, {"why": "\x07"}, {"why": 1}, {"other": 1}, b"{", b"[]"):
            check(document, "PUT", drain, web.call("PUT", f"/api/hosts/{host}/drain", body))
        check(document, "DELETE", drain, web.call("DELETE", f"/api/hosts/{host}/drain"))
    check(document, "DELETE", run, web.call("DELETE", f"/api/runs/{one.id}"))
    check(document, "DELETE", run, web.call("DELETE", f"/api/runs/{one.id}"))
    check(document, "POST", "/api/runs", web.submit())
    check(document, "POST", "/api/runs", web.submit({"Idempotency-Key": "k"}))
    check(document, "POST", "/api/runs", web.submit({"Idempotency-Key": "k"}))
    check(document, "POST", "/api/runs", web.submit({"Idempotency-Key": "k"}, services="1"))
    for body in (b"", b"[]", b"x" * 70_000, b"{}"):
        check(document, "POST", "/api/runs", web.call("POST", "/api/runs", body))
    check(document, "POST", "/api/runs", web.call("POST", "/api/runs", {}, {"Content-Type": "text/plain"}))


def test_the_request_schema_takes_what_the_api_takes(web: Web, document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/RunBody", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    hosts = {"source": "10.1.10.20", "destination": "10.3.20.8"}
    good = [
        {**hosts, "services": "22"},
        {
            **hosts,
            "services": ["22", {"port": 53, "protocol": "udp"}, {"port": None, "protocol": "icmp"}],
            "mode": "quick",
        },
        {**hosts, "services": "icmp", "source_port": 40000},
        {**hosts, "services": "icmp", "source_port": None},
    ]
    bad = [
        {},
        {**hosts},
        {**hosts, "services": []},
        {**hosts, "services": ""},
        {**hosts, "services": 22},
        {**hosts, "services": "22", "mode": "slow"},
        {**hosts, "services": "22", "source_port": 0},
        {**hosts, "services": "22", "source_port": "1"},
        {**hosts, "services": "22", "other": 1},
    ]
    for body in good:
        validator.validate(body)
        assert web.call("POST", "/api/runs", body).status == 202
    for body in bad:
        assert not validator.is_valid(body), body
        assert web.call("POST", "/api/runs", body).status == 422


def test_a_fault_of_our_own_is_a_problem_too(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    app = application(settings, ledger)

    def fail() -> str:
        raise RuntimeError("a secret detail")

    app.add_url_rule("/fail", endpoint="healthz-fail", view_func=fail)
    answer = app.test_client().get("/fail", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.content_type) == (500, MEDIA_TYPE)
    assert b"secret" not in answer.data
