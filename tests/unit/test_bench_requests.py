"""The requests on the sockets of the bench and of the service of benches: their lines, and what is refused."""

from __future__ import annotations

import json

import msgspec
import pytest

from netlab.service.request_lines import Refused, parse_request
from netlab.service.requests import (
    AskedQuestion,
    AttemptRequest,
    BenchesRequest,
    BulkRequest,
    CloseRequest,
    DetailedRequest,
    JournalRequest,
    NamespaceRequest,
    OpenRequest,
    QuickRequest,
    QuitRequest,
    RequestedService,
    StatusRequest,
    ToBench,
    ToBenchService,
    WarningsRequest,
    encode_request,
)

BENCH = msgspec.json.Decoder[ToBench](ToBench)
SERVICE = msgspec.json.Decoder[ToBenchService](ToBenchService)
SERVICES = (RequestedService(443, "tcp"), RequestedService(None, "icmp"))
SERVICES_JSON = '[{"port": 443, "protocol": "tcp"}, {"port": null, "protocol": "icmp"}]'
ENDS_JSON = '"source": "10.0.1.9", "destination": "10.0.2.9"'
BENCH_LINES: list[tuple[ToBench, str]] = [
    (StatusRequest(), '{"op": "status"}'),
    (WarningsRequest(), '{"op": "warnings"}'),
    (JournalRequest(), '{"op": "journal"}'),
    (NamespaceRequest("r1"), '{"op": "namespace", "router": "r1"}'),
    (
        AttemptRequest("abc", "quick", 33, 7),
        '{"op": "attempt", "run_id": "abc", "mode": "quick", "lane": 33, "fence": 7}',
    ),
    (
        AttemptRequest("abc", "detailed", None, 7),
        '{"op": "attempt", "run_id": "abc", "mode": "detailed", "lane": null, "fence": 7}',
    ),
    (
        QuickRequest("10.0.1.9", "10.0.2.9", SERVICES, None, True),
        f'{{"op": "quick", {ENDS_JSON}, "services": {SERVICES_JSON}, "source_port": null, "rules": true}}',
    ),
    (
        BulkRequest((AskedQuestion("10.0.1.9", "10.0.2.9", SERVICES, 5000),), False),
        f'{{"op": "bulk", "rules": false,'
        f' "questions": [{{{ENDS_JSON}, "services": {SERVICES_JSON}, "source_port": 5000}}]}}',
    ),
    (
        DetailedRequest("10.0.1.9", "10.0.2.9", SERVICES, 5000),
        f'{{"op": "detailed", {ENDS_JSON}, "services": {SERVICES_JSON}, "source_port": 5000}}',
    ),
    (QuitRequest(), '{"op": "quit"}'),
]
SERVICE_LINES: list[tuple[ToBenchService, str]] = [
    (
        OpenRequest("b1", "/facts", "campus", "@b1"),
        '{"op": "open", "bench": "b1", "folder": "/facts", "network": "campus", "address": "@b1"}',
    ),
    (CloseRequest("b1"), '{"op": "close", "bench": "b1"}'),
    (BenchesRequest(), '{"op": "benches"}'),
]


@pytest.mark.parametrize(("request_", "line"), BENCH_LINES, ids=lambda part: type(part).__name__)
def test_a_bench_of_an_older_version_understands_each_line(request_: ToBench, line: str) -> None:
    assert json.loads(encode_request(request_)) == json.loads(line)
    assert parse_request(line.encode(), BENCH) == request_


@pytest.mark.parametrize(("request_", "line"), SERVICE_LINES, ids=lambda part: type(part).__name__)
def test_a_service_of_an_older_version_understands_each_line(request_: ToBenchService, line: str) -> None:
    assert json.loads(encode_request(request_)) == json.loads(line)
    assert parse_request(line.encode(), SERVICE) == request_


def test_fields_may_be_missing_or_unknown_as_in_other_versions() -> None:
    line = f'{{"new": [1], "services": {SERVICES_JSON}, {ENDS_JSON}, "op": "quick"}}'
    assert parse_request(line.encode(), BENCH) == QuickRequest("10.0.1.9", "10.0.2.9", SERVICES, None, True)


ATTEMPT = {"op": "attempt", "run_id": "a", "mode": "quick", "lane": 33, "fence": 7}
QUICK = {"op": "quick", "source": "10.0.1.9", "destination": "10.0.2.9", "services": []}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ([1, 2], "not a valid request: Expected `object`, got `array`"),
        ({}, "not a valid request: Object missing required field `op`"),
        (
            {"op": "stop"},
            "op 'stop' is not one of status, warnings, journal, namespace, attempt, quick, bulk, detailed, quit",
        ),
        (
            {"op": ["quick"]},
            "op ['quick'] is not one of status, warnings, journal, namespace, attempt, quick, bulk, detailed, quit",
        ),
        (ATTEMPT | {"lane": "32"}, "lane: '32' is not valid: expected `int | null`, got `str`"),
        (ATTEMPT | {"fence": 1.5}, "fence: 1.5 is not valid: expected `int`, got `float`"),
        (ATTEMPT | {"fence": True}, "fence: True is not valid: expected `int`, got `bool`"),
        ({"op": "attempt"}, "not a valid request: Object missing required field `run_id`"),
        (QUICK | {"source": 167772161}, "source: 167772161 is not valid: expected `str`, got `int`"),
        (QUICK | {"services": "80/tcp"}, "services: '80/tcp' is not valid: expected `array`, got `str`"),
        (
            QUICK | {"services": [{"port": 1, "protocol": "tcp"}, {"port": [], "protocol": "tcp"}]},
            "services[1].port: [] is not valid: expected `int | null`, got `array`",
        ),
        (
            QUICK | {"services": [{"port": 80}]},
            "services[0]: {'port': 80} is not valid: object missing required field `protocol`",
        ),
        (
            QUICK | {"rules": "x" * 1000},
            f"rules: '{'x' * 59}… is not valid: expected `bool`, got `str`",
        ),
    ],
    ids=lambda part: str(part)[:60],
)
def test_a_refusal_names_the_field_the_value_and_what_is_expected(request_: object, message: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_request(json.dumps(request_).encode(), BENCH)
    assert (refused.value.code, str(refused.value)) == ("bad-request", message)


def test_the_service_of_benches_refuses_an_empty_text() -> None:
    line = encode_request(OpenRequest("b1", "", "campus", "@b1"))
    with pytest.raises(Refused, match="folder: '' is not valid: expected `str` of length >= 1"):
        parse_request(line, SERVICE)
    with pytest.raises(Refused, match="op 'status' is not one of open, close, benches"):
        parse_request(encode_request(StatusRequest()), SERVICE)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b'{"op": "namespace", "router": "\xff"}',
        b'{"op": "status", "new": ' + b"[" * 100_000,
        b'{"op": "status"} {}',
    ],
    ids=lambda line: repr(line[:30]),
)
def test_what_is_not_json_is_refused(line: bytes) -> None:
    with pytest.raises(Refused, match=r"not a line of JSON: ."):
        parse_request(line, BENCH)


@pytest.mark.parametrize(
    "line",
    [
        b'{"op": "stop", ' + b"[" * 100_000,
        b'{"op": "stop", not json',
        b'{"op": "quick", "services": [5], "services": []}',
        b'{"op": "quick", "services": [5], "services": 5}',
        b'{"op": "namespace", "router": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda line: repr(line[:50]),
)
def test_a_fault_before_other_faults_is_refused(line: bytes) -> None:
    with pytest.raises(Refused, match=r"not a valid request: ."):
        parse_request(line, BENCH)
