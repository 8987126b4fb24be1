"""Finds runs by owner, state, mode, verdict and words, among those that wait, hold a slot or have ended."""

from __future__ import annotations

from typing import Any

from ledger.errors import BadInput, RunNotFound
from ledger.redis import keys
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import SEARCH
from ledger.runs import run_hash
from ledger.runs.run import ENDED, Mode, Run, State

WAITING_WINDOW = 2000
"""Number of waiting runs of each mode that are searched: the newest in the line, and the same number beyond it.

Older ones are neither found nor counted.
"""
ID_WINDOW = 100_000
"""Number of waiting runs searched for a prefix of the id.

It is larger because Redis compares the ids and reads only the runs that match.
"""
STRETCH = 1000
"""Number of ended runs searched in one call, which takes about 1 ms, during which Redis does nothing else.

A long history takes many calls.
"""
TEXT_MAX = 200


class Searching(LedgerPart):
    """Searches in Redis, so that only the requested page is transferred."""

    def search(
        self,
        *,
        user: str | None = None,
        state: State | None = None,
        mode: Mode | None = None,
        verdict: str | None = None,
        source: str = "",
        destination: str = "",
        text: str = "",
        id_start: str = "",
        offset: int = 0,
        limit: int = 50,
        counted: bool = True,
    ) -> tuple[list[Run], int]:
        """Return a page of the matching runs and their number: waiting, holding a slot, ended, each newest first.

        With `counted=False`, the search stops when the page is full, and the number counts only the matches so far.
        `user` is the owner; `source` and `destination` are whole addresses. Every word of `text` must be a prefix of
        the run's id, its source or its destination, or must be one of its services (`443`, `443/tcp`, `icmp`), in upper
        or lower case.

        If there are several networks, only runs of this one are found, except with `id_start`.

        `id_start` is a prefix of the run's id; with it, ID_WINDOW waiting runs are searched. Without it, only the
        WAITING_WINDOW newest waiting runs of each mode are searched in the line, and the same number beyond it, where
        the users share the window. So a million waiting runs cost no more. The search takes about 1 ms for each
        thousand ended runs, and almost no time without a filter. Raises BadInput if `text` has more than TEXT_MAX
        characters.
        """
        if len(text) > TEXT_MAX:
            raise BadInput("text", text, f"must be at most {TEXT_MAX} characters")
        filters = {
            "source": source,
            "destination": destination,
            "user": "" if user is None else f"={user}",
            "state": state or "",
            "mode": mode or "",
            "id_start": id_start,
            "verdict": verdict or "",
            "bench": "" if id_start else self._only_bench(),
        }
        words = text.lower().split()
        runs: dict[str, Run] = {}  # a run that ends between two reads appears twice
        total, after = 0, ""
        part = "ended" if state in ENDED else "open"
        while part and (counted or len(runs) < limit):
            matches, after, page = self._look(part, after, max(0, offset - total), limit - len(runs), filters, words)
            runs |= {run.id: run for run in run_hash.sound((i, run_hash.pairs(record)) for i, *record in page)}
            total += matches
            done = state is not None if part == "open" else not after
            part = "" if done else "ended"
        return list(runs.values()), total

    def run_starting_with(self, id_start: str, *, user: str | None = None) -> Run:
        """Return the only run (of `user`) whose id begins with `id_start`.

        Raises RunNotFound if none or several match.
        """
        matches, count = self.search(user=user, id_start=id_start, limit=2)
        if len(matches) > 1:
            raise RunNotFound(f"{count} runs have an id that begins with {id_start}: give more of the id.")
        if not matches:
            raise RunNotFound(f"There is no run whose id begins with {id_start}: look it up in the list of runs.")
        return matches[0]

    def _look(
        self, part: str, after: str, skip: int, limit: int, filters: dict[str, str], words: list[str]
    ) -> tuple[int, str, list[Any]]:
        _, matches, after, page = self.connection.run(
            SEARCH,
            {
                **self._queue_keys,
                "finished": keys.FINISHED,
                **self._waiting_keys,
            },
            {
                "part": part,
                "after": after,
                "at_most": (ID_WINDOW if filters["id_start"] else WAITING_WINDOW) if part == "open" else STRETCH,
                "skip": skip,
                "limit": limit,
                **self._prefixes("run_prefix", "surplus_prefix"),
                **filters,
            },
            tuple(words),
        )
        return matches, after, page
