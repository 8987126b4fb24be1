"""One executor: questions that wait are taken together, walked in one pass, and each is answered on its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from netlab.answer import answer
from netlab.attempts import Attempt
from netlab.build import LiveNetwork
from netlab.caveats import Caveats
from netlab.errors import NetlabError, NetlinkError
from netlab.flow import Question
from netlab.walk import Walker

BATCH = 32
"""Questions walked in one pass: as many as there are lanes."""


class BenchBroken(NetlabError):
    """The kernel no longer answers for the network; the bench must be built anew."""


@dataclass
class Waiting:
    """One question, the attempt it belongs to and where its answer goes."""

    question: Question
    attempt: Attempt
    answer: asyncio.Future[dict[str, Any]]
    since: float


class Executor:
    """Owns the walker; the only one to touch the network once it stands."""

    def __init__(self, network: LiveNetwork) -> None:
        self._network = network
        self._walker = Walker(network)
        self._caveats = Caveats(network.facts)
        self._waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self.answered = 0
        self.batches = 0

    async def ask(self, question: Question, attempt: Attempt) -> dict[str, Any]:
        """The answer's document, with timing_ms: waited, walk and total."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(Waiting(question, attempt, future, time.perf_counter()))
        return await future

    async def run(self) -> None:
        """Serve for ever; raises BenchBroken when the network does not answer any more."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            # Whose connection has closed meanwhile has no use for an answer, and its lane may be somebody else's by now.
            batch = [waiting for waiting in batch if waiting.attempt.live and not waiting.answer.cancelled()]
            if batch:
                self._serve(batch)
                await asyncio.sleep(0)  # let the answers out first
                self._forget()

    def _serve(self, batch: list[Waiting]) -> None:
        started = time.perf_counter()
        try:
            walks = self._walker.walk(waiting.question for waiting in batch)
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while answering {batch[0].attempt.run_id}: {bad}") from bad
        walked = time.perf_counter()
        self.batches += 1
        for waiting, (entry, flows) in zip(batch, walks, strict=True):
            document = answer(waiting.question, entry, flows, self._caveats, self._network.facts.digest)
            document["timing_ms"] = {
                "waited": round((started - waiting.since) * 1e3, 3),
                "walk": round((walked - started) * 1e3, 3),
                "total": round((time.perf_counter() - waiting.since) * 1e3, 3),
                "together_with": len(batch) - 1,
            }
            self.answered += 1
            if not waiting.answer.done():
                waiting.answer.set_result(document)

    def _forget(self) -> None:
        try:
            self._walker.forget()
        except (NetlinkError, OSError) as bad:
            raise BenchBroken(f"while emptying the sets: {bad}") from bad
