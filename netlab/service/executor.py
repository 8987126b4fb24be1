"""The executor takes all waiting requests together, walks them in one pass, and answers each separately.

Interactive questions, those of quick runs, always go first. Between them, bulk runs take turns: each turn walks a slice
of one bulk run (netlab/service/slices.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from netlab.detailed.answer import answer_detailed
from netlab.detailed.run import DetailedRun, Progress
from netlab.errors import NetlabError, NetlinkError
from netlab.live.build import LiveNetwork
from netlab.live.hosts import HostRegistry
from netlab.live.router_locks import RouterLocks
from netlab.quick.answer import answer
from netlab.quick.flow import Question
from netlab.quick.walk import RouterLocked, Walker
from netlab.results.document import DetailedResult, QuickResult
from netlab.rules.caveats import Caveats
from netlab.service.attempts import ActiveAttempt
from netlab.service.journal import Journal
from netlab.service.slices import Pace, longest_slice

BATCH = 32
"""Maximum number of interactive requests in one pass, equal to the number of lanes."""
TURNS = 8
"""Number of passes of the event loop before each slice of a bulk run.

A new connection takes this many until its question waits: it is accepted, opened and read, and two requests are parsed.
"""


class BenchBroken(NetlabError):
    """The kernel has failed to carry out a request for the network. The bench must be rebuilt."""


@dataclass
class Asked:
    """One question, its attempt, and the time since when it waits."""

    question: Question
    attempt: ActiveAttempt
    since: float


@dataclass
class QueuedQuestion(Asked):
    """One waiting request of a quick run, and the future for its result."""

    answer: asyncio.Future[QuickResult]


@dataclass(eq=False)
class BulkRun:
    """The questions of a bulk run that are not answered yet, and the future for the results of the next ones."""

    attempt: ActiveAttempt
    left: list[Question]
    answers: asyncio.Future[list[QuickResult]]
    since: float = 0.0
    pace: Pace = field(default_factory=Pace)


class Executor:
    """Runs all tests. Nothing else uses the network once it is built."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self.locks = RouterLocks()
        self.hosts = HostRegistry(network)
        self.journal = Journal()
        self._caveats = Caveats(network.facts, network.lacking)
        self._walker = Walker(network, self.locks.holder, self._caveats)
        self._waiting: deque[QueuedQuestion] = deque()
        self._bulk: deque[BulkRun] = deque()
        self._arrived = asyncio.Event()
        self._interactive_at = float("-inf")
        self._broken: asyncio.Future[None]
        self._parked: set[asyncio.Future[None]] = set()
        self.answered = 0
        self.batches = 0

    async def ask(self, question: Question, attempt: ActiveAttempt) -> QuickResult:
        """Run a quick test. In the result, timing_ms has waited, walk, total and together_with."""
        future: asyncio.Future[QuickResult] = asyncio.get_running_loop().create_future()
        self._queue([QueuedQuestion(question, attempt, time.perf_counter(), future)])
        return await future

    @contextlib.contextmanager
    def bulk(self, questions: Iterable[Question], attempt: ActiveAttempt) -> Iterator[BulkRun]:
        """Begin a bulk run, and end it after the body. `next_slice` runs its quick tests."""
        self.journal.write("bulk begins", attempt.run_id)
        try:
            yield BulkRun(attempt, list(questions), asyncio.get_running_loop().create_future())
        finally:
            self.journal.write("bulk ends", attempt.run_id)

    async def next_slice(self, run: BulkRun) -> list[QuickResult]:
        """Wait for a turn, and return the results of the next questions of a bulk run, at least one.

        In timing_ms, `waited` is the time from this call, and `together_with` counts the other questions of the slice.
        """
        run.answers, run.since = asyncio.get_running_loop().create_future(), time.perf_counter()
        self._queue_bulk(run)
        return await run.answers

    async def ask_detailed(self, question: Question, attempt: ActiveAttempt, progress: Progress) -> DetailedResult:
        """Run a detailed test. If it is cancelled at any point, the network is restored."""
        run = DetailedRun(self._network, self._walker, self.hosts, self.locks, progress)
        self.journal.write("detailed begins", attempt.run_id)
        try:
            tests = await run.run(question, attempt.run_id)
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while testing run {attempt.run_id}: {bad}") from bad
        finally:
            self.journal.write("detailed ends", attempt.run_id)
        self.answered += 1
        return answer_detailed(
            question,
            tests,
            self._caveats,
            self._network.facts.digest,
            run_id=attempt.run_id,
            timing_ms=run.timing_ms,
        )

    def broken(self, why: BenchBroken) -> None:
        """Make `run` raise this error, because another part has found that the network is broken."""
        self._broken.set_exception(why)

    async def run(self) -> None:
        """Serve requests until the network fails. Raises BenchBroken then."""
        self._broken = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(self._serve_for_ever())
        try:
            await asyncio.wait({serving, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            (self._broken if self._broken.done() else serving).result()
        finally:
            serving.cancel()

    def _queue(self, batch: Iterable[QueuedQuestion]) -> None:
        self._waiting.extend(batch)
        self._arrived.set()

    def _queue_bulk(self, run: BulkRun) -> None:
        self._bulk.append(run)
        self._arrived.set()

    async def _serve_for_ever(self) -> None:
        while True:
            if self._bulk:
                await self._let_in()
            if self._waiting:
                self._serve(self._next_batch())
                await asyncio.sleep(0)  # send the replies first
                self._forget()
            elif self._bulk:
                self._serve_slice(self._bulk.popleft())
            else:
                self._arrived.clear()
                await self._arrived.wait()

    async def _let_in(self) -> None:
        """Let the event loop run until an interactive question waits, if one has arrived."""
        for _ in range(TURNS):
            if self._waiting:
                return
            await asyncio.sleep(0)

    def _next_batch(self) -> list[QueuedQuestion]:
        """Return the next interactive requests.

        Those whose client has disconnected are left out; another attempt may already have their lane.
        """
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        return [waiting for waiting in batch if waiting.attempt.live and not waiting.answer.cancelled()]

    def _serve(self, batch: list[QueuedQuestion]) -> None:
        """Answer interactive requests."""
        if not batch:
            return
        try:
            results = self._walk(batch)
        except RouterLocked as taken:
            self._later([waiting.attempt for waiting in batch], taken, lambda: self._queue(batch))
            return
        for waiting, result in zip(batch, results, strict=True):
            self.journal.write("quick", waiting.attempt.run_id)
            if not waiting.answer.done():
                waiting.answer.set_result(result)
        self._interactive_at = time.monotonic()

    def _serve_slice(self, run: BulkRun) -> None:
        """Answer the next questions of a bulk run, unless its client has disconnected."""
        if not run.attempt.live or run.answers.done():
            return
        started = time.perf_counter()
        size = run.pace.fitting(run.left, longest_slice(time.monotonic() - self._interactive_at))
        questions = run.left[:size]
        try:
            # All of them have the DSCP of the run's lane. Only cookies tell probes apart: the bench's table in a router
            # compares the DSCP with 32, sets it to 0 before the first rule, and has the cookie in the key of each set.
            results = self._walk([Asked(question, run.attempt, run.since) for question in questions])
        except RouterLocked as taken:
            self._later([run.attempt], taken, lambda: self._queue_bulk(run))
            return
        finally:
            self._forget()
        run.pace.measured(questions, time.perf_counter() - started)
        del run.left[:size]
        run.answers.set_result(results)

    def _walk(self, asked: Sequence[Asked]) -> list[QuickResult]:
        """Walk the questions in one pass, and return their results. Raises RouterLocked and BenchBroken."""
        started = time.perf_counter()
        try:
            walks = self._walker.walk(one.question for one in asked)
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while testing run {asked[0].attempt.run_id}: {bad}") from bad
        walked = time.perf_counter()
        self.batches += 1
        results = []
        for one, (_, flows) in zip(asked, walks, strict=True):
            timing_ms = {
                "waited": round((started - one.since) * 1e3, 3),
                "walk": round((walked - started) * 1e3, 3),
                "total": round((time.perf_counter() - one.since) * 1e3, 3),
                "together_with": len(asked) - 1,
            }
            results.append(
                answer(
                    one.question,
                    flows,
                    self._caveats,
                    self._network.facts.digest,
                    run_id=one.attempt.run_id,
                    timing_ms=timing_ms,
                )
            )
        self.answered += len(results)
        return results

    def _later(self, attempts: Sequence[ActiveAttempt], taken: RouterLocked, again: Callable[[], None]) -> None:
        """Call `again`, which queues the questions again, once a router that a detailed run has locked is released.

        The interrupted walk has left nothing in the network. The dispatcher's rules normally prevent this case.
        """
        for attempt in attempts:
            self.journal.write(f"{attempt.mode} waits for {taken.router}", attempt.run_id)

        # Called here, because the locks may be released before the task starts.
        released = self.locks.released()

        async def resume() -> None:
            await released
            again()

        task = asyncio.ensure_future(resume())
        self._parked.add(task)
        task.add_done_callback(self._parked.discard)

    def _forget(self) -> None:
        try:
            self._walker.forget()
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while emptying the sets: {bad}") from bad
