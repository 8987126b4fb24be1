"""Router locks without the dispatcher: the bench itself isolates detailed runs from all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from random import Random
from typing import Any

import pytest

from netlab.live.build import LiveNetwork
from netlab.live.router_locks import RouterLocks
from netlab.quick.flow import Question
from netlab.service.attempts import ActiveAttempt
from netlab.service.executor import Executor
from netlab.service.requests import QuickRequest, RequestedService
from tests.bench.conftest import CAMPUS, Bench, as_json, parsed, running_bench
from tests.bench.detailed_networks import ways
from tests.bench.isolated import with_network
from tests.support.patience import patience
from tests.support.waiting import wait_until

A, B, D = "10.0.1.9", "10.0.2.9", "10.0.3.9"
SILENT = ("10.0.1.1", "8444/tcp")
"""A test from A that holds r1 for the two seconds in which no answer comes."""


def test_all_or_nothing_and_whoever_waits_is_woken() -> None:
    async def body() -> None:
        locks = RouterLocks()
        await locks.take(["r1", "r2"], "a")
        waiting = asyncio.ensure_future(locks.take(["r2", "r3"], "b"))
        await asyncio.sleep(0)
        assert locks.holders() == {"r1": "a", "r2": "a"}  # b has not locked r3 in the meantime
        await locks.take(["r3"], "c")
        locks.give_back("a")
        await asyncio.sleep(0)
        assert not waiting.done()  # r3 is c's now
        locks.give_back("c")
        await asyncio.wait_for(waiting, 1)
        assert locks.holders() == {"r2": "b", "r3": "b"}
        await locks.take(["r2"], "b")  # the run's own locks do not block it
        assert (locks.holder("r2"), locks.holder("r1")) == ("b", None)

    asyncio.run(body())


def test_a_cancelled_waiter_takes_nothing_and_wakes_nobody_wrongly() -> None:
    async def body() -> None:
        locks = RouterLocks()
        await locks.take(["r1"], "a")
        first = asyncio.ensure_future(locks.take(["r1"], "b"))
        second = asyncio.ensure_future(locks.take(["r1"], "c"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        locks.give_back("a")
        await asyncio.wait_for(second, 1)
        assert locks.holders() == {"r1": "c"}

    asyncio.run(body())


def test_no_deadlock_and_never_two_at_once_with_two_hundred_waiters() -> None:
    async def body() -> None:
        locks, random, held = RouterLocks(), Random(5), dict[str, str]()
        routers = [f"r{number}" for number in range(8)]

        async def hold(run: str) -> None:
            wanted = random.sample(routers, random.randint(1, 5))
            await locks.take(wanted, run)
            assert not held.keys() & set(wanted)
            held.update(dict.fromkeys(wanted, run))
            await asyncio.sleep(random.random() / 1000)
            for router in wanted:
                del held[router]
            locks.give_back(run)

        async def cancelled_soon(run: str) -> None:
            task = asyncio.ensure_future(locks.take(routers, run))
            await asyncio.sleep(random.random() / 100)
            task.cancel()
            locks.give_back(run)

        runs = [hold(f"run-{number}") for number in range(200)]
        runs += [cancelled_soon(f"gone-{number}") for number in range(20)]
        await asyncio.wait_for(asyncio.gather(*runs), 20)
        assert locks.holders() == {}

    asyncio.run(body())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The network `ways`, whose SILENT takes two seconds."""
    folder = tmp_path_factory.mktemp("ways")
    ways(folder)
    with running_bench(folder) as started:
        yield started


def silent(bench: Bench, run: str) -> dict[str, Any]:
    """A detailed run that has r1 locked for two seconds."""
    with bench.client.attempt(run_id=run, mode="detailed", lane=None, fence=next(bench.fences)) as attempt:
        destination, service = SILENT
        result = attempt.detailed(A, destination, parsed(service), progress=lambda *step: None)
        return as_json(result)


def quick(bench: Bench, lane: int, destination: str, fence: int) -> tuple[str, float]:
    """One quick run: its verdict, and when it arrived."""
    with bench.client.attempt(run_id=f"quick-{lane}", mode="quick", lane=lane, fence=fence) as attempt:
        result = attempt.quick(A, destination, parsed("80/tcp"))
        return result.verdict, time.monotonic()


def test_quick_runs_wait_for_a_taken_router_and_are_answered_right_afterwards(bench: Bench) -> None:
    with ThreadPoolExecutor(24) as threads:
        detailed = threads.submit(silent, bench, "long")
        wait_until(lambda: bench.client.status().locks == {"r1": "long"}, 2, "r1 is taken")
        before = bench.client.status().batches
        waiting = [threads.submit(quick, bench, lane, D, next(bench.fences)) for lane in range(32, 52)]
        wait_until(lambda: len(bench.client.status().attempts) == 21, 2, "all wait")
        assert bench.client.status().batches == before, "nobody is answered, and nobody asks again and again"
        assert detailed.result()["services"][0]["outcome"] == "TIMEOUT"
        ended = time.monotonic()
        answers = [one.result() for one in waiting]
    assert {verdict for verdict, _ in answers} == {"YES"}
    assert max(when for _, when in answers) - ended < patience(0.2)
    journal = [entry.what for entry in bench.client.journal() if entry.run_id.startswith(("quick-", "long"))]
    during = journal[journal.index("detailed begins") + 1 : journal.index("detailed ends")]
    assert set(during) == {"quick waits for r1"}
    assert len(during) == 20  # each once: it is woken, it does not poll
    assert journal[journal.index("detailed ends") + 1 :] == ["quick"] * 20


def test_who_does_not_meet_a_taken_router_does_not_wait(bench: Bench) -> None:
    with ThreadPoolExecutor(1) as threads:
        detailed = threads.submit(silent, bench, "detailed")
        wait_until(lambda: bench.client.status().locks == {"r1": "detailed"}, 2, "r1 is taken")
        asked = bench.quick(B, "10.0.2.1", "22/tcp", lane=60)  # r2 alone
        assert asked["verdict"] == "YES"
        assert not detailed.done()
        detailed.result()


def test_a_quick_run_that_leaves_while_it_waits_is_forgotten(bench: Bench) -> None:
    with ThreadPoolExecutor(1) as threads:
        detailed = threads.submit(silent, bench, "detailed")
        wait_until(lambda: bench.client.status().locks == {"r1": "detailed"}, 2, "r1 is taken")
        with bench.client.attempt(run_id="gone", mode="quick", lane=40, fence=next(bench.fences)) as attempt:
            attempt._line.send(QuickRequest(A, D, (RequestedService(80, "tcp"),)))
            wait_until(lambda: len(bench.client.status().attempts) == 2, 2, "it waits")
        detailed.result()
    assert bench.quick(A, D, "80/tcp", lane=41)["verdict"] == "YES"
    wait_until(lambda: bench.client.status().attempts == (), 2, "no attempt is left")


def test_detailed_and_quick_runs_at_once_are_kept_apart_by_the_locks_alone() -> None:
    """Thirty detailed runs at once and quick ones between, which no dispatcher would ever allow."""
    asked = [
        ("10.1.10.20", "10.3.20.8", 443, "YES"),
        ("10.1.10.20", "10.3.20.8", 22, "NO"),
        ("10.1.99.10", "10.2.10.9", 22, "YES"),
        ("10.2.10.9", "192.0.2.80", 80, "YES"),
        ("10.3.20.8", "10.3.40.5", 5432, "YES"),
        ("192.0.2.77", "203.0.113.3", 443, "YES"),
    ]

    def body(network: LiveNetwork) -> None:
        async def run() -> None:
            executor = Executor(network)
            serving = asyncio.ensure_future(executor.run())
            await asyncio.sleep(0)
            begun: list[asyncio.Future[Any]] = []
            for number in range(30):
                source, destination, port, _ = asked[number % len(asked)]
                question = Question(
                    IPv4Address(source), IPv4Address(destination), ((port, "tcp"),), 50_000 + number, 32
                )
                attempt = ActiveAttempt(f"d{number}", "detailed", 0, number + 1, 0, lambda: None)
                begun.append(asyncio.ensure_future(executor.ask_detailed(question, attempt, lambda *step: None)))
                attempt = ActiveAttempt(f"q{number}", "quick", 32, number + 1, 0, lambda: None)
                begun.append(asyncio.ensure_future(executor.ask(question, attempt)))
            answers = await asyncio.wait_for(asyncio.gather(*begun), 30)
            for number, answer in enumerate(answers[::2]):
                assert answer.verdict == asked[number % len(asked)][3], answer.services
            assert {answer.verdict for answer in answers[1::2]} == {"YES", "NO"}
            assert executor.locks.holders() == {}
            assert list(executor.hosts) == []
            serving.cancel()

        asyncio.run(run())

    with_network(CAMPUS, body)


def question(source: str, destination: str) -> Question:
    return Question(IPv4Address(source), IPv4Address(destination), ((443, "tcp"),), 50_000, 32)


def test_the_question_of_an_attempt_that_has_ended_is_not_walked() -> None:
    """Fails when the executor does not ask whether the attempt is live: by then its lane may be another run's."""

    def body(network: LiveNetwork) -> None:
        async def run() -> None:
            executor = Executor(network)
            ended = ActiveAttempt("ended", "quick", 32, 1, 0, lambda: None, live=False)
            asked = asyncio.ensure_future(executor.ask(question("10.1.10.20", "10.3.20.8"), ended))
            next_ = asyncio.ensure_future(
                executor.ask(
                    question("10.1.10.20", "10.3.20.8"), ActiveAttempt("next", "quick", 32, 2, 0, lambda: None)
                )
            )
            await asyncio.sleep(0)  # both wait
            serving = asyncio.ensure_future(executor.run())
            assert (await asyncio.wait_for(next_, 30)).verdict == "YES"
            assert not asked.done()
            assert [entry.run_id for entry in executor.journal.entries()] == ["next"]
            asked.cancel()
            serving.cancel()

        asyncio.run(run())

    with_network(CAMPUS, body)


def test_a_router_given_back_at_once_wakes_who_has_just_begun_to_wait() -> None:
    """Fails when `_later` starts to listen in its task: the task starts later, and the router is released by then."""

    def body(network: LiveNetwork) -> None:
        async def run() -> None:
            executor = Executor(network)
            await executor.locks.take(["dc-gw"], "detailed")
            asked = asyncio.ensure_future(
                executor.ask(question("10.1.10.20", "10.3.20.8"), ActiveAttempt("q", "quick", 32, 1, 0, lambda: None))
            )
            later = executor._later

            def given_back_at_once(*given: Any) -> None:
                later(*given)
                executor.locks.give_back("detailed")

            executor._later = given_back_at_once  # type: ignore[assignment, method-assign]
            serving = asyncio.ensure_future(executor.run())
            assert (await asyncio.wait_for(asked, patience(5))).verdict == "YES"
            serving.cancel()

        asyncio.run(run())

    with_network(CAMPUS, body)
