"""Router locks: they isolate a detailed run from all other runs, in addition to the dispatcher's rules.

A detailed run locks all routers of its paths exclusively, either all or none, so no deadlock is possible. A quick run
uses routers only during its walk, which no other task can interrupt. It must not enter a locked router. Waiting runs do
not poll: the release of a router wakes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class RouterLocks:
    """Exclusive locks of runs on routers. For use in one event loop."""

    def __init__(self) -> None:
        self._holder: dict[str, str] = {}
        self._queue: list[asyncio.Future[None]] = []

    def holder(self, router: str) -> str | None:
        """Return the run that has locked this router, or None."""
        return self._holder.get(router)

    def holders(self) -> dict[str, str]:
        """Return router -> run for every locked router."""
        return dict(self._holder)

    async def take(self, routers: Iterable[str], run: str) -> None:
        """Wait until all of `routers` are free or locked by this run, then lock them in one step."""
        names = set(routers)
        while any(self._holder.get(router, run) != run for router in names):
            await self.released()
        self._holder |= dict.fromkeys(names, run)

    def give_back(self, run: str) -> None:
        """Release all locks of the run, and wake all waiting runs, the longest waiting first."""
        self._holder = {router: holder for router, holder in self._holder.items() if holder != run}
        waiting, self._queue = self._queue, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def released(self) -> asyncio.Future[None]:
        """Return a future that is done at the next release after this call, even if nothing awaits it yet."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        return future
