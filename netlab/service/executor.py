"""The executor takes all waiting requests together, walks them in one pass, and answers each separately."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

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

BATCH = 32
"""Maximum number of requests in one pass, equal to the number of lanes."""


class BenchBroken(NetlabError):
    """The kernel has failed to carry out a request for the network. The bench must be rebuilt."""


@dataclass
class QueuedQuestion:
    """One waiting request, its attempt, and the future for its result."""

    question: Question
    attempt: ActiveAttempt
    answer: asyncio.Future[QuickResult]
    since: float


class Executor:
    """Runs all tests. Nothing else uses the network once it is built."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self.locks = RouterLocks()
        self.hosts = HostRegistry(network)
        self.journal = Journal()
        self._caveats = Caveats(network.facts, network.lacking)
        self._walker = Walker(network, self.locks.holder, self._caveats)
        self._waiting: asyncio.Queue[QueuedQuestion] = asyncio.Queue()
        self._broken: asyncio.Future[None]
        self._parked: set[asyncio.Future[None]] = set()
        self.answered = 0
        self.batches = 0

    async def ask(self, question: Question, attempt: ActiveAttempt) -> QuickResult:
        """Run a quick test. In the result, timing_ms has waited, walk, total and together_with."""
        future: asyncio.Future[QuickResult] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(QueuedQuestion(question, attempt, future, time.perf_counter()))
        return await future

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

    async def _serve_for_ever(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            # Skip requests whose client has disconnected; another attempt may already have their lane.
            batch = [waiting for waiting in batch if waiting.attempt.live and not waiting.answer.cancelled()]
            if batch:
                self._serve(batch)
                await asyncio.sleep(0)  # send the replies first
                self._forget()

    def _serve(self, batch: list[QueuedQuestion]) -> None:
        started = time.perf_counter()
        try:
            walks = self._walker.walk(waiting.question for waiting in batch)
        except RouterLocked as taken:
            self._later(batch, taken)
            return
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while testing run {batch[0].attempt.run_id}: {bad}") from bad
        walked = time.perf_counter()
        self.batches += 1
        for waiting, (_, flows) in zip(batch, walks, strict=True):
            self.journal.write("quick", waiting.attempt.run_id)
            timing_ms = {
                "waited": round((started - waiting.since) * 1e3, 3),
                "walk": round((walked - started) * 1e3, 3),
                "total": round((time.perf_counter() - waiting.since) * 1e3, 3),
                "together_with": len(batch) - 1,
            }
            result = answer(
                waiting.question,
                flows,
                self._caveats,
                self._network.facts.digest,
                run_id=waiting.attempt.run_id,
                timing_ms=timing_ms,
            )
            self.answered += 1
            if not waiting.answer.done():
                waiting.answer.set_result(result)

    def _later(self, batch: list[QueuedQuestion], taken: RouterLocked) -> None:
        """Queue the whole batch again once a router that a detailed run has locked is released.

        The interrupted walk has left nothing in the network. The dispatcher's rules normally prevent this case.
        """
        for waiting in batch:
            self.journal.write(f"quick waits for {taken.router}", waiting.attempt.run_id)

        # Called here, because the locks may be released before the task starts.
        released = self.locks.released()

        async def resume() -> None:
            await released
            for waiting in batch:
                self._waiting.put_nowait(waiting)

        task = asyncio.ensure_future(resume())
        self._parked.add(task)
        task.add_done_callback(self._parked.discard)

    def _forget(self) -> None:
        try:
            self._walker.forget()
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while emptying the sets: {bad}") from bad
