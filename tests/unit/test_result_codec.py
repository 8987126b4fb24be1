"""Result documents of every version are read as written; a damaged one is refused with its field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netlab.results.codec import BadDocument, decode, encode
from netlab.results.document import SCHEMA
from tests.support.results import Document, document, hop, read, router, sample, service

END: dict[str, Any] = {"direction": "request", "router": "r", "hop": 1, "cause": "rule"}


def with_end(services: list[Document], **end: Any) -> str:
    result = document(services, [router("r", 1, {"22/tcp": "NO"})], schema=SCHEMA)
    result["services"][0]["ended"] = END | end
    return json.dumps(result)


@pytest.mark.parametrize("name", ["quick", "quick-many", "detailed", "detailed-nat"])
def test_what_is_encoded_is_decoded_alike(name: str) -> None:
    result = read(sample(name))
    assert decode(encode(result)) == result


def test_an_unknown_field_of_a_newer_version_is_ignored() -> None:
    assert read(sample("quick") | {"colour": "blue"}) == read(sample("quick"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"verdict": "MAYBE"}, "verdict"),
        ({"services": [{"port": 22}]}, "protocol"),
        ({"services": [service("22/tcp", "NO") | {"port": 70000}]}, "port"),
        ({"mode": "slow"}, "mode"),
        ({"facts": 7}, "facts"),
    ],
)
def test_a_damaged_document_is_refused_by_field(change: Document, field: str) -> None:
    with pytest.raises(BadDocument, match=field):
        read(sample("quick") | change)


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_end_beyond_the_path_is_refused(number: int) -> None:
    with pytest.raises(BadDocument, match=r"services\[0\].ended.hop"):
        decode(with_end([service("22/tcp", "NO")], hop=number))
    decode(with_end([service("22/tcp", "NO")], hop=1))


def test_an_end_on_a_reply_that_was_not_seen_is_refused() -> None:
    services = [service("22/tcp", "NO", hops=[hop("r", "request")], ended=END | {"direction": "reply"})]
    with pytest.raises(BadDocument, match=r"ended\.hop is 1, and the path has 0 routers"):
        read(document(services, mode="detailed", schema=SCHEMA))
