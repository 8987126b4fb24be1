"""Bulk attempts: many questions in one request, walked in slices between interactive ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from typing import Any

import msgspec
import pytest

from netlab.live.build import LiveNetwork
from netlab.quick.flow import Question
from netlab.results.codec import encode
from netlab.results.document import QuickResult
from netlab.service.attempts import ActiveAttempt
from netlab.service.client import AskedQuestion, BenchAttempt, BenchError, RequestedService
from netlab.service.executor import Executor
from netlab.service.request_lines import MAX_BULK_LINE, MAX_LINE
from netlab.service.requests import BulkRequest, encode_request
from tests.bench.campus_cells import CELLS
from tests.bench.conftest import CAMPUS, Bench, parse, parsed, running_bench
from tests.bench.detailed_networks import ways
from tests.bench.isolated import with_network
from tests.bench.test_bench_process import attempt as opening
from tests.bench.test_bench_process import connected, say
from tests.bench.test_locks import A, D, silent
from tests.support.patience import patience
from tests.support.waiting import wait_until

PORTS = (443, 22, 80, 53, 5432, 25, 8080, 3306, 3389, 8443)
LANE = 45


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A campus bench whose journal and counters only these tests change."""
    with running_bench(CAMPUS) as started:
        yield started


@contextlib.contextmanager
def bulk_attempt(bench: Bench, run: str = "bulk", lane: int = LANE) -> Iterator[BenchAttempt]:
    with bench.client.attempt(run_id=run, mode="bulk", lane=lane, fence=next(bench.fences)) as attempt:
        yield attempt


def asked(source: str, destination: str, services: str, source_port: int | None = None) -> AskedQuestion:
    return AskedQuestion(source, destination, tuple(RequestedService(*one) for one in parsed(services)), source_port)


def of_cells() -> list[AskedQuestion]:
    """A question for each cell of campus, and some of ten services."""
    each = [asked(cell.source, cell.destination, cell.service, cell.source_port) for cell in CELLS]
    return [*each, *long_ones(256 - len(each))]


def long_ones(count: int) -> list[AskedQuestion]:
    """Questions of ten services."""
    services = ",".join(f"{port}/tcp" for port in PORTS)
    cells = [CELLS[number % len(CELLS)] for number in range(count)]
    return [asked(cell.source, cell.destination, services) for cell in cells]


def comparable(result: QuickResult) -> dict[str, Any]:
    """The whole result, but without what differs between two runs."""
    return {name: value for name, value in json.loads(encode(result)).items() if name not in ("run_id", "timing_ms")}


def journal_of(bench: Bench, *runs: str) -> list[tuple[str, str]]:
    return [(entry.run_id, entry.what) for entry in bench.client.journal() if entry.run_id in runs]


@pytest.mark.parametrize("rules", [True, False])
def test_the_answers_are_those_of_single_runs_in_the_same_order(bench: Bench, rules: bool) -> None:
    questions = of_cells()
    assert len(questions) == 256
    before = bench.client.status()
    with bulk_attempt(bench, f"all-{rules}") as attempt:
        results = list(attempt.bulk(questions, rules=rules))
    after = bench.client.status()
    assert after.answered - before.answered == 256
    assert after.batches - before.batches < 256, "several questions are walked in one pass"
    assert {result.run_id for result in results} == {f"all-{rules}"}
    assert journal_of(bench, f"all-{rules}") == [(f"all-{rules}", "bulk begins"), (f"all-{rules}", "bulk ends")]
    for question, result in zip(questions, results, strict=True):
        services = [(service.port, service.protocol) for service in question.services]
        with bench.client.attempt(run_id="one", mode="quick", lane=LANE, fence=next(bench.fences)) as single:
            alone = single.quick(
                question.source, question.destination, services, source_port=question.source_port, rules=rules
            )
        assert comparable(result) == comparable(alone)
        assert result.timing_ms.keys() == alone.timing_ms.keys()


def test_an_attempt_may_have_several_bulk_requests(bench: Bench) -> None:
    questions = of_cells()[:20]
    with bulk_attempt(bench) as attempt:
        first, second = list(attempt.bulk(questions)), list(attempt.bulk(questions[::-1]))
    assert list(map(comparable, first)) == list(map(comparable, second[::-1]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "10.0.0"}, "questions[3]: source: '10.0.0' is not a valid IPv4 address"),
        ({"services": []}, "questions[3]: services: 0 given; 1 to 100 are allowed"),
        ({"services": [{"port": 80, "protocol": "icmp"}]}, "questions[3]: services: port 80 is not valid for icmp"),
        ({"source_port": 0}, "questions[3]: source_port: 0 is not in the range 1-65535"),
        ({"source": 5}, "questions[3].source: 5 is not valid: expected `str`, got `int`"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_a_wrong_question_is_refused_with_its_position(bench: Bench, wrong: dict[str, Any], message: str) -> None:
    good = json.loads(msgspec.json.encode(of_cells()[:8]))
    with connected(bench) as sock:
        assert say(sock, opening(LANE, next(bench.fences)) | {"mode": "bulk"})["ok"]
        before = bench.client.status().answered
        reply = say(sock, {"op": "bulk", "questions": [*good[:3], good[3] | wrong, *good[4:]]})
        assert (reply["ok"], reply["code"], reply["message"]) == (False, "bad-request", message)
        assert bench.client.status().answered == before, "nothing was sent"
        assert len(say(sock, {"op": "bulk", "questions": good[:1]})["results"]) == 1  # the attempt is still open


@pytest.mark.parametrize("count", [0, 257])
def test_the_number_of_questions_is_limited(bench: Bench, count: int) -> None:
    with bulk_attempt(bench) as attempt:
        results = attempt.bulk([of_cells()[0]] * count)
        with pytest.raises(BenchError, match=f"questions: {count} given; 1 to 256") as no:
            next(results)
    assert no.value.code == "bad-request"


def largest(last: str) -> dict[str, Any]:
    """The longest request: 256 questions of 100 services, the last of them with this protocol."""
    services = [{"port": 65_000 + number, "protocol": "tcp"} for number in range(100)]
    question = {"source": "100.100.100.100", "destination": "100.100.100.101", "source_port": 65_000}
    questions = [question | {"services": services} for _ in range(255)]
    return {"op": "bulk", "questions": [*questions, question | {"services": [*services[:99], parse(last)]}]}


def test_the_longest_request_is_read(bench: Bench) -> None:
    request = largest("65099/sctp")
    assert len(json.dumps(request)) > 7 * MAX_LINE
    with connected(bench) as sock:
        assert say(sock, opening(LANE, next(bench.fences)) | {"mode": "bulk"})["ok"]
        assert say(sock, request)["message"].startswith("questions[255]: services: protocol 'sctp'")


@pytest.mark.parametrize(("mode", "longest"), [("quick", MAX_LINE), ("bulk", MAX_BULK_LINE)])
def test_a_longer_request_ends_the_attempt(bench: Bench, mode: str, longest: int) -> None:
    with connected(bench) as sock:
        assert say(sock, opening(LANE, next(bench.fences)) | {"mode": mode})["ok"]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"x" * (longest + 3 * MAX_LINE))
        reply = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                reply += data
        assert json.loads(reply)["message"] == f"a request has at most {longest} bytes"
    wait_until(lambda: bench.client.status().attempts == (), 5, "the attempt has ended")


@pytest.mark.parametrize("lane", [None, 0, 31, 64])
def test_a_bulk_attempt_needs_a_lane(bench: Bench, lane: int | None) -> None:
    request = {"op": "attempt", "run_id": "a", "mode": "bulk", "lane": lane, "fence": next(bench.fences)}
    with connected(bench) as sock:
        reply = say(sock, request)
        assert (reply["code"], reply["message"]) == (
            "bad-request",
            f"lane {lane!r} is not a DSCP value from 32 to 63",
        )
        assert say(sock, {"op": "bulk", "questions": []})["code"] == "lost"  # no attempt is open


def test_a_bulk_request_needs_a_bulk_attempt(bench: Bench) -> None:
    (question,) = json.loads(msgspec.json.encode(of_cells()[:1]))
    for mode, other in (("quick", {"op": "bulk", "questions": [question]}), ("bulk", {"op": "quick"} | question)):
        with connected(bench) as sock:
            assert say(sock, opening(LANE, next(bench.fences)) | {"mode": mode})["ok"]
            reply = say(sock, other)
            assert (reply["code"], reply["message"]) == ("bad-request", f"this attempt is {mode}, not {other['op']}")


def test_the_status_shows_a_bulk_attempt_and_a_higher_fence_ends_it(bench: Bench) -> None:
    with bulk_attempt(bench, "older") as older:
        results = older.bulk(long_ones(256))
        next(results)
        (shown,) = bench.client.status().attempts
        assert (shown.run_id, shown.mode, shown.lane) == ("older", "bulk", LANE)
        with bulk_attempt(bench, "newer") as newer:
            assert len(list(newer.bulk(of_cells()[:3]))) == 3
            with pytest.raises(BenchError) as lost:
                list(results)
        assert lost.value.code == "lost"
    assert journal_of(bench, "older")[-1] == ("older", "bulk ends")


def test_a_client_that_leaves_in_the_middle_stops_its_run(bench: Bench) -> None:
    before = bench.client.status().answered
    with bulk_attempt(bench, "leaves") as attempt:
        next(attempt.bulk(long_ones(256)))
    wait_until(lambda: bench.client.status().attempts == (), 5, "the attempt has ended")
    stopped = bench.client.status().answered
    assert stopped - before < 256
    bench.quick("10.1.10.20", "10.3.20.8", "443/tcp")
    assert bench.client.status().answered == stopped + 1, "the other questions were dropped"
    assert journal_of(bench, "leaves") == [("leaves", "bulk begins"), ("leaves", "bulk ends")]


def test_a_client_that_does_not_read_stops_no_other(bench: Bench) -> None:
    """The bench keeps no more results for it than the connection takes."""
    before = bench.client.status().answered
    request = BulkRequest(tuple(long_ones(256)))
    with connected(bench) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert say(sock, opening(LANE, next(bench.fences)) | {"mode": "bulk"})["ok"]
        sock.sendall(encode_request(request))
        wait_until(lambda: bench.client.status().answered > before, 5, "it has begun")
        for _ in range(30):
            assert bench.quick("10.1.10.20", "10.3.20.8", "443/tcp")["verdict"] == "YES"
        results = b""
        while results.count(b"\n") < 1 or len(results) < 100_000:
            results += sock.recv(65536)
    wait_until(lambda: bench.client.status().attempts == (), 5, "the attempt has ended")


def test_an_interactive_question_is_answered_before_the_bulk_run_ends(bench: Bench) -> None:
    begun = threading.Event()

    def run() -> int:
        count = 0
        with bulk_attempt(bench, "many") as attempt:
            for _ in attempt.bulk(long_ones(256)):
                begun.set()
                count += 1
        return count

    with ThreadPoolExecutor(1) as threads:
        bulk = threads.submit(run)
        assert begun.wait(patience(10))
        for number in range(3):
            with bench.client.attempt(
                run_id=f"between-{number}", mode="quick", lane=33, fence=next(bench.fences)
            ) as one:
                assert one.quick("10.1.10.20", "10.3.20.8", parsed("443/tcp")).verdict == "YES"
        assert bulk.result(patience(60)) == 256
    between = [(f"between-{number}", "quick") for number in range(3)]
    expected = [("many", "bulk begins"), *between, ("many", "bulk ends")]
    assert journal_of(bench, "many", *(run for run, _ in between)) == expected


def test_two_bulk_attempts_share_the_bench(bench: Bench) -> None:
    def run(lane: int) -> int:
        with bulk_attempt(bench, f"shares-{lane}", lane) as attempt:
            return len(list(attempt.bulk(long_ones(256))))

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, (40, 41))) == [256, 256]
    events = [what for _, what in journal_of(bench, "shares-40", "shares-41")]
    assert events == ["bulk begins", "bulk begins", "bulk ends", "bulk ends"]


def simple(count: int) -> list[Question]:
    one = Question(IPv4Address("10.1.10.20"), IPv4Address("10.3.20.8"), ((443, "tcp"),), 50_000, 32)
    return [one] * count


def attempt_of(run: str, mode: str, lane: int) -> ActiveAttempt:
    return ActiveAttempt(run, mode, lane, 1, 0, lambda: None)


async def all_slices(executor: Executor, run: str, questions: Sequence[Question], order: list[str]) -> None:
    """Run all questions, and note the name of the run for each slice."""
    with executor.bulk(questions, attempt_of(run, "bulk", 32)) as bulk:
        while bulk.left:
            assert all(result.run_id == run for result in await executor.next_slice(bulk))
            order.append(run)


def test_bulk_runs_take_turns_and_interactive_questions_go_first() -> None:
    def body(network: LiveNetwork) -> None:
        async def run() -> None:
            executor, order = Executor(network), list[str]()

            async def interactive() -> None:
                await executor.ask(simple(1)[0], attempt_of("q", "quick", 33))
                order.append("q")

            runs = [asyncio.ensure_future(all_slices(executor, name, simple(200), order)) for name in "ab"]
            await asyncio.sleep(0)  # both wait
            runs.append(asyncio.ensure_future(interactive()))
            await asyncio.sleep(0)
            serving = asyncio.ensure_future(executor.run())
            await asyncio.wait_for(asyncio.gather(*runs), 60)
            assert order[0] == "q"
            turns = order[1:]
            shared = 2 * min(turns.count("a"), turns.count("b"))
            assert shared > 10, "slices are short after an interactive question"
            assert turns[:shared] == ["a", "b"] * (shared // 2)
            serving.cancel()

        asyncio.run(run())

    with_network(CAMPUS, body)


def test_a_slice_of_an_attempt_that_has_ended_is_not_walked() -> None:
    def body(network: LiveNetwork) -> None:
        async def run() -> None:
            executor, order = Executor(network), list[str]()
            ended = attempt_of("ended", "bulk", 32)
            ended.live = False
            with executor.bulk(simple(5), ended) as bulk:
                never = asyncio.ensure_future(executor.next_slice(bulk))
                await asyncio.sleep(0)
                serving = asyncio.ensure_future(executor.run())
                await asyncio.wait_for(all_slices(executor, "next", simple(5), order), 30)
                assert not never.done()
                assert executor.answered == 5
                never.cancel()
            serving.cancel()

        asyncio.run(run())

    with_network(CAMPUS, body)


def test_a_bulk_run_waits_for_a_locked_router_and_continues(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ways")
    ways(folder)
    questions = [asked(A, D, "80/tcp")] * 100

    def run(bench: Bench) -> list[QuickResult]:
        with bulk_attempt(bench, "waits") as attempt:
            return list(attempt.bulk(questions))

    with running_bench(folder) as bench, ThreadPoolExecutor(2) as threads:
        detailed = threads.submit(silent, bench, "long")
        wait_until(lambda: bench.client.status().locks == {"r1": "long"}, 2, "r1 is locked")
        bulk = threads.submit(run, bench)
        wait_until(lambda: ("waits", "bulk waits for r1") in journal_of(bench, "waits"), 2, "the bulk run waits")
        answered = bench.client.status().answered
        assert detailed.result()["services"][0]["outcome"] == "TIMEOUT"
        assert answered == 0
        assert {result.verdict for result in bulk.result(patience(10))} == {"YES"}
        assert journal_of(bench, "long", "waits") == [
            ("long", "detailed begins"),
            ("waits", "bulk begins"),
            ("waits", "bulk waits for r1"),
            ("long", "detailed ends"),
            ("waits", "bulk ends"),
        ]
