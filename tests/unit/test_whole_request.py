"""Where a request ends in the bytes received."""

from __future__ import annotations

import pytest

from app.http.whole_request import request_size

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next"

WHOLE = [
    HEAD + b"\r\n",
    HEAD + b"content-length:  3 \r\n\r\nabc",
    HEAD + b"Content-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("request_", WHOLE)
def test_no_byte_more_and_none_less(request_: bytes) -> None:
    for end in range(len(request_)):
        assert request_size(bytearray(request_[:end]), 1000, 1000).size is None
    assert request_size(bytearray(request_), 1000, 1000).size == len(request_)
    assert request_size(bytearray(request_ + NEXT), 1000, 1000).size == len(request_)


@pytest.mark.parametrize("body", [b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n00;x\r\nTrailer: y\r\n\r\n"])
def test_chunks_are_whole_with_the_last_one(body: bytes) -> None:
    for end in range(len(body)):
        assert request_size(bytearray(CHUNKED + body[:end]), 1000, 1000).size is None
    assert request_size(bytearray(CHUNKED + body), 1000, 1000).size == len(CHUNKED + body)


@pytest.mark.parametrize(
    "refused",
    [
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 1000,
        HEAD + b"Content-Length: 1001\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
        HEAD + b"Content-Length: -3\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        CHUNKED + b"x" * 1001,
    ],
)
def test_what_will_be_refused_is_not_waited_for(refused: bytes) -> None:
    assert request_size(bytearray(refused), 1000, 1000).size == len(refused)


def test_a_client_that_waits_to_be_asked_for_its_body() -> None:
    head = HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    assert request_size(bytearray(head), 1000, 1000).expects
    assert not request_size(bytearray(head + b"a"), 1000, 1000).expects
