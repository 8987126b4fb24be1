"""Client of the bench for workers: blocking, with one connection per attempt. Closing the connection ends the attempt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from netlab.results.document import DetailedResult, QuickResult
from netlab.service.address import default_address
from netlab.service.line import BenchError, Line, connected
from netlab.service.replies import JournalEntry, Reply
from netlab.service.requests import (
    AskedQuestion,
    AttemptRequest,
    BulkRequest,
    DetailedRequest,
    JournalRequest,
    NamespaceRequest,
    QuickRequest,
    QuitRequest,
    RequestedService,
    StatusRequest,
    WarningsRequest,
)
from netlab.service.status import BenchStatus

__all__ = [
    "AskedQuestion",
    "BenchAttempt",
    "BenchClient",
    "BenchError",
    "RequestedService",
    "Service",
    "default_address",
]

Service = tuple[int | None, str]
"""(port, protocol). The port is None for icmp."""


class BenchClient:
    """One bench at one address. `timeout_s` is the time limit for each connection and each reply."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def status(self) -> BenchStatus:
        """Return the bench's status. Raises BenchError."""
        with connected(self._address, self._timeout_s) as line:
            line.send(StatusRequest())
            status = line.receive().status
            assert status
            return status

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return the journal: which run used the network when, oldest entry first. Raises BenchError."""
        with connected(self._address, self._timeout_s) as line:
            line.send(JournalRequest())
            return line.receive().journal

    def namespace(self, router: str) -> Path:
        """Return the path of a router's network namespace, /proc/PID/fd/N, which is valid while the bench runs.

        Raises BenchError with code `not-found` if the bench has no such router (the message lists its routers), and
        with code `forbidden` if the bench runs in another PID namespace.
        """
        with connected(self._address, self._timeout_s) as line:
            line.send(NamespaceRequest(router))
            descriptor = line.receive().descriptor
            if not line.peer.pid:
                raise BenchError("forbidden", "the bench runs in another PID namespace; run this in its container")
            return Path(f"/proc/{line.peer.pid}/fd/{descriptor}")

    def warnings(self) -> tuple[str, ...]:
        """Return what is probably missing or wrong in the facts of the bench. Raises BenchError."""
        with connected(self._address, self._timeout_s) as line:
            line.send(WarningsRequest())
            return line.receive().warnings

    def quit(self) -> None:
        """Ask the bench to end cleanly, with exit code 0. Raises BenchError if no bench is running."""
        with connected(self._address, self._timeout_s) as line:
            line.send(QuitRequest())
            line.receive()

    @contextlib.contextmanager
    def attempt(self, *, run_id: str, mode: str, lane: int | None, fence: int) -> Iterator[BenchAttempt]:
        """Open an attempt for the duration of the body. Raises BenchError."""
        with connected(self._address, self._timeout_s) as line:
            # Its reply is read together with that of the first test: this saves a round trip, and `close` can end the
            # wait for it.
            line.send(AttemptRequest(run_id, mode, lane, fence))
            yield BenchAttempt(line)


class BenchAttempt:
    """A requested attempt. Whether the bench has admitted it is known with the reply to the first test."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._admitted = False

    def quick(
        self,
        source: str,
        destination: str,
        services: Sequence[Service],
        *,
        source_port: int | None = None,
        rules: bool = True,
    ) -> QuickResult:
        """Run a quick test. If `rules` is True, each NO comes with its rule. Raises BenchError."""
        self._line.send(QuickRequest(source, destination, _requested(services), source_port, rules))
        result = self._receive().result
        assert isinstance(result, QuickResult)
        return result

    def bulk(self, questions: Sequence[AskedQuestion], *, rules: bool = True) -> Iterator[QuickResult]:
        """Send 1 to 256 questions now, and return an iterator over their results, in their order.

        The bench sends the results as it has them, and the client's timeout applies to each of its replies. To stop,
        close the attempt: while results are missing, no other request can be sent. Raises BenchError, also while
        iterating, with code `lost` if a result is not that of its question.
        """
        self._line.send(BulkRequest(tuple(questions), rules))
        return self._results(questions)

    def _results(self, questions: Sequence[AskedQuestion]) -> Iterator[QuickResult]:
        done = 0
        while not done or done < len(questions):  # a request without questions is refused
            results = self._receive().results
            asked = questions[done : done + len(results)]
            if not results or len(results) > len(asked) or not all(map(_belongs, asked, results)):
                raise BenchError(
                    "lost", f"the bench's reply does not belong to the questions from number {done + 1} on"
                )
            done += len(results)
            yield from results

    def detailed(
        self,
        source: str,
        destination: str,
        services: Sequence[Service],
        *,
        source_port: int | None = None,
        progress: Callable[[str, int, str], None],
    ) -> DetailedResult:
        """Run a detailed test. `progress` is called with phase, percent and message. Raises BenchError."""
        self._line.send(DetailedRequest(source, destination, _requested(services), source_port))
        while step := (reply := self._receive()).progress:
            progress(step.phase, step.percent, step.message)
        assert isinstance(reply.result, DetailedResult)
        return reply.result

    def _receive(self) -> Reply:
        if not self._admitted:
            self._line.receive()
            self._admitted = True
        return self._line.receive()

    def close(self) -> None:
        """End the attempt now. Any thread may call this; a thread that waits for the bench gets a BenchError."""
        self._line.shutdown()


def _belongs(question: AskedQuestion, result: QuickResult) -> bool:
    """Return whether this is the result of the question."""
    services = tuple(RequestedService(service.port, service.protocol) for service in result.services)
    return (question.source, question.destination, question.services) == (
        result.source,
        result.destination,
        services,
    ) and question.source_port in (None, result.source_port)


def _requested(services: Sequence[Service]) -> tuple[RequestedService, ...]:
    return tuple(RequestedService(port, protocol) for port, protocol in services)
