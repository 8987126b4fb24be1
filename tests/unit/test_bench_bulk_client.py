"""The client of a bulk attempt: results in the order of the questions, and replies that do not belong to them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import msgspec
import pytest

from netlab.results.document import QuickResult, ServiceResult
from netlab.service.client import AskedQuestion, BenchAttempt, BenchError, RequestedService
from netlab.service.line import Line
from netlab.service.peer import Peer
from netlab.service.replies import Reply, encode_reply

QUESTIONS = [AskedQuestion("10.0.1.9", f"10.0.2.{host}", (RequestedService(443, "tcp"),)) for host in range(1, 5)]


def result(question: AskedQuestion, source_port: int = 50_000) -> QuickResult:
    """A result of this question: YES for all services."""
    return QuickResult(
        run_id="r",
        source=question.source,
        destination=question.destination,
        source_port=source_port,
        verdict="YES",
        path=(),
        routers=(),
        services=tuple(
            ServiceResult(port=one.port, protocol=one.protocol, result="YES", path=(), blocked_by=())
            for one in question.services
        ),
        facts="abc",
    )


RESULTS = [result(question) for question in QUESTIONS]


@pytest.fixture
def ends() -> Iterator[tuple[BenchAttempt, socket.socket]]:
    """An attempt, and the bench's end of its connection."""
    mine, its = socket.socketpair()
    with mine, its:
        mine.settimeout(5)
        yield BenchAttempt(Line(mine, Peer(os.getpid(), os.geteuid()))), its


def answers(its: socket.socket, *slices: list[QuickResult]) -> None:
    """Admit the attempt, and reply with these results."""
    replies = [Reply(ok=True), *(Reply(ok=True, results=tuple(part)) for part in slices)]
    its.sendall(b"".join(map(encode_reply, replies)))


def test_results_come_in_order_from_several_replies(ends: tuple[BenchAttempt, socket.socket]) -> None:
    attempt, its = ends
    answers(its, RESULTS[:1], RESULTS[1:3], RESULTS[3:])
    assert list(attempt.bulk(QUESTIONS, rules=False)) == RESULTS
    request = json.loads(its.recv(1 << 16))
    assert (request["op"], request["rules"], len(request["questions"])) == ("bulk", False, 4)


def test_a_result_is_available_before_the_others(ends: tuple[BenchAttempt, socket.socket]) -> None:
    attempt, its = ends
    answers(its, RESULTS[:2])
    results = attempt.bulk(QUESTIONS)
    assert [next(results), next(results)] == RESULTS[:2]


@pytest.mark.parametrize(
    "slices",
    [
        [[]],
        [[RESULTS[1]]],
        [[RESULTS[0], RESULTS[2]]],
        [RESULTS[:3], [RESULTS[3], RESULTS[3]]],
        [[msgspec.structs.replace(RESULTS[0], source="10.0.9.9")]],
        [[msgspec.structs.replace(RESULTS[0], services=())]],
    ],
    ids=["none", "another", "one left out", "too many", "another source", "without services"],
)
def test_a_reply_that_does_not_belong_is_an_error(
    ends: tuple[BenchAttempt, socket.socket], slices: list[list[QuickResult]]
) -> None:
    attempt, its = ends
    answers(its, *slices)
    with pytest.raises(BenchError, match=r"does not belong to the questions from number [14] on") as caught:
        list(attempt.bulk(QUESTIONS))
    assert caught.value.code == "lost"


def test_a_result_with_another_source_port_is_an_error(ends: tuple[BenchAttempt, socket.socket]) -> None:
    attempt, its = ends
    question = msgspec.structs.replace(QUESTIONS[0], source_port=1000)
    answers(its, [result(question, 1000)], [result(question, 1001)])
    results = attempt.bulk([question, question])
    assert next(results).source_port == 1000
    with pytest.raises(BenchError, match="from number 2 on"):
        next(results)


def test_a_bench_that_ends_in_the_middle_is_an_error(ends: tuple[BenchAttempt, socket.socket]) -> None:
    attempt, its = ends
    answers(its, RESULTS[:2])
    results = attempt.bulk(QUESTIONS)
    its.shutdown(socket.SHUT_RDWR)
    with pytest.raises(BenchError) as caught:
        list(results)
    assert caught.value.code == "lost"
