"""Reads waiting runs in their order: the line of each mode, and the users' surplus beyond it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.runs import run_hash
from ledger.runs.fair_order import upcoming
from ledger.runs.records import QueueView
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.runs.soundness import number

Page = tuple[int, Any]
"""(total number of runs, function page(start, count) that returns a list of runs)."""
Owner = tuple[Mode, str]
"""A mode and a user."""
AHEAD_MAX = 5000
"""Highest position that is computed, which takes a few ms."""


class WaitingLines(LedgerPart):
    """Reads windows of the line and of the surplus. `ledger.runs.fair_order` describes the order."""

    def queue(self, *, limit: int = 100, ended: int | None = None) -> QueueView:
        """Return the runs on the bench, the next `limit` runs to start, and the last `ended` runs that have ended.

        If `ended` is None, it is the same as `limit`. Takes five round trips, or seven if the line is shorter
        than `limit` and runs wait beyond it.
        """
        last = limit if ended is None else ended
        with self.connection.reading() as pipe:
            for mode in keys.MODES:
                pipe.lrange(self.keys.pending[mode], 0, limit - 1)
                pipe.hgetall(self.keys.waiting[mode])
                pipe.smembers(self.keys.running[mode])
            replies = answers(pipe)
        ended_n, page = self._ended_page(None)
        lines, counts, slots = ([each or () for each in replies[start::3]] for start in range(3))
        users = {mode: dict(count) for mode, count in zip(keys.MODES, counts, strict=True)}
        waiting_ids, running_ids = list(chain(*lines)), list(chain(*slots))
        runs = {run.id: run for run in self._fetch([*waiting_ids, *running_ids]) if run.state not in ENDED}
        waiting = sorted((runs[i] for i in waiting_ids if i in runs), key=lambda run: run.turn or run.seq)
        total = sum(number(count) for of_mode in users.values() for count in of_mode.values())
        if len(waiting) < min(limit, total):
            waiting = self._and_beyond(waiting, users, limit)
        return QueueView(
            running=sorted((runs[i] for i in running_ids if i in runs), key=lambda run: run.seq),
            waiting=waiting[:limit],
            waiting_total=total,
            finished=page(0, last),
            finished_total=ended_n,
        )

    def ahead_of(self, run: Run) -> list[Mode] | None:
        """Return the modes of the runs that start before a waiting run, in order, if no more are submitted.

        The run's position is their number + 1. Returns None if the run does not wait, or waits behind more than
        AHEAD_MAX runs.
        """
        line, surplus = self._line_up()
        key = self.keys.surplus(run.mode, run.user)
        rank = self.connection.lenient(lambda pipe: pipe.zrank(key, run.id))
        named = (run.mode, run.user), run.id if rank is None else rank
        return _ahead(upcoming(line, surplus, self.settings.fair_waiting), named)

    def ahead_of_next(self, user: str) -> dict[Mode, list[Mode] | None]:
        """Return the result of `ahead_of` for a run that the user would submit now, for each mode."""
        line, surplus = self._line_up()
        ahead: dict[Mode, list[Mode] | None] = {}
        for mode in Mode:
            owner, line_max = (mode, user), self.settings.fair_waiting
            beyond = len(surplus.get(owner, ()))
            if beyond or sum(other == owner for other, _ in line) >= line_max:
                order = upcoming(line, {**surplus, owner: range(beyond + 1)}, line_max)
                ahead[mode] = _ahead(order, (owner, beyond))
            else:
                ahead[mode] = _ahead(upcoming([*line, (owner, "")], surplus, line_max), (owner, ""))
        return ahead

    def waiting_of(self, user: str) -> int:
        """Return the number of waiting questions of a user: a bulk run counts as its questions, any other run as one."""
        with self.connection.reading() as pipe:
            for mode in Mode:
                pipe.hget(self.keys.waiting[mode], user)
            pipe.hget(self.keys.queued_questions, user)
            *runs, questions = map(number, answers(pipe))
        return sum(runs) + max(0, questions - runs[tuple(Mode).index(Mode.BULK)])

    def _line_up(self) -> tuple[list[tuple[Owner, str]], dict[Owner, range]]:
        """Return (owner, run id) of the first AHEAD_MAX runs of each line, and {owner: ranks of the runs beyond it}."""
        with self.connection.reading() as pipe:
            for mode in Mode:
                pipe.lrange(self.keys.pending[mode], 0, AHEAD_MAX - 1)
            for mode in Mode:
                pipe.hkeys(self.keys.waiting[mode])
            replies = [reply or () for reply in answers(pipe)]
        lines, users = replies[: len(Mode)], replies[len(Mode) :]
        ids = [(mode, run_id) for mode, line in zip(Mode, lines, strict=True) for run_id in line]
        owners = [(mode, user) for mode, names in zip(Mode, users, strict=True) for user in names]
        with self.connection.reading() as pipe:
            for _, run_id in ids:
                pipe.hmget(keys.run(run_id), "user", "turn", "seq")
            for mode, user in owners:
                pipe.zcard(self.keys.surplus(mode, user))
            replies = answers(pipe)
        order = sorted(
            (number(turn or seq), mode, user or "", run_id)
            for (mode, run_id), (user, turn, seq) in zip(
                ids, (f or (None,) * 3 for f in replies[: len(ids)]), strict=True
            )
        )
        surplus = {owner: range(size) for owner, size in zip(owners, replies[len(ids) :], strict=True) if size}
        return [((mode, user), run_id) for _, mode, user, run_id in order], surplus

    def _and_beyond(self, line: list[Run], users: dict[str, dict[str, str]], limit: int) -> list[Run]:
        """Return the first `limit` waiting runs: the whole line, then the runs that will move into it."""
        owners = [(mode, user) for mode, names in users.items() for user in names]
        with self.connection.reading() as pipe:
            for mode, user in owners:
                pipe.zrange(self.keys.surplus(mode, user), 0, limit - 1)
            surplus = dict(zip(owners, (ids or () for ids in answers(pipe)), strict=True))
        in_line = [((str(run.mode), run.user), run.id) for run in line]
        order = [run_id for _, run_id in islice(upcoming(in_line, surplus, self.settings.fair_waiting), limit)]
        known = {run.id: run for run in line}
        known |= {run.id: run for run in self._fetch(run_id for run_id in order if run_id not in known)}
        return [known[run_id] for run_id in order if run_id in known]

    def _waiting_pages(self, mode: str) -> list[Page]:
        """Return pages of the waiting runs of one mode, the last to start first: each user's surplus, then the line."""
        line = self.keys.pending[mode]
        with self.connection.reading() as pipe:
            pipe.llen(line)
            pipe.hkeys(self.keys.waiting[mode])
            length, users = (reply or () for reply in answers(pipe))
        with self.connection.reading() as pipe:
            for user in users:
                pipe.zcard(self.keys.surplus(mode, user))
            sizes = answers(pipe)

        def beyond(user: str) -> Any:
            def page(start: int, count: int) -> list[Run]:
                key, last = self.keys.surplus(mode, user), start + count - 1
                return self._fetch(self.connection.lenient(lambda pipe: pipe.zrange(key, start, last, desc=True)) or ())

            return page

        def in_line(start: int, count: int) -> list[Run]:
            ids = self.connection.lenient(lambda pipe: pipe.lrange(line, -(start + count), -(start + 1)))
            return self._fetch(reversed(ids or ()))

        return [
            *((size, beyond(user)) for user, size in zip(users, sizes, strict=True) if size),
            (length or 0, in_line),
        ]

    def _ended_page(self, state: State | None) -> tuple[int, Any]:
        """Return the number of ended runs, and a function that returns a page of them.

        With a state or with several networks, Redis reads two fields of every ended run, which takes some ms in all.
        """
        bench = self._only_bench()
        if state is None and not bench:
            return self.connection.lenient(lambda pipe: pipe.zcard(keys.FINISHED)) or 0, self._last_ended
        get = ["#", f"{keys.RUN}*->state", f"{keys.RUN}*->bench"]
        flat = self.connection.lenient(
            lambda pipe: pipe.sort(keys.FINISHED, by="nosort", desc=True, get=get, groups=True)
        )
        ids = [run_id for run_id, was, its in flat or () if was == (state or was) and its == (bench or its)]
        return len(ids), lambda start, count: self._fetch(ids[start : start + count])

    def _last_ended(self, start: int, count: int) -> list[Run]:
        ids = self.connection.lenient(lambda pipe: pipe.zrange(keys.FINISHED, start, start + count - 1, desc=True))
        return self._fetch(ids or ())

    def _fetch(self, run_ids: Iterable[str]) -> list[Run]:
        """Return the existing, undamaged runs with these ids, in the given order."""
        ids = list(run_ids)
        with self.connection.reading() as pipe:
            for run_id in ids:
                pipe.hgetall(keys.run(run_id))
            replies = answers(pipe)
        return run_hash.sound(zip(ids, replies, strict=True))


def _ahead(order: Iterable[tuple[Owner, object]], run: tuple[Owner, object]) -> list[Mode] | None:
    """Return the modes of the runs before a run, or None if there are more than AHEAD_MAX or the run is not found.

    `run` is the owner and the run id, or the owner and the run's rank beyond the line.
    """
    modes: list[Mode] = []
    for one in islice(order, AHEAD_MAX + 1):
        if one == run:
            return modes
        modes.append(one[0][0])
    return None
