"""Reads runs: records, results, progress, pages of the history, and the lanes in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dscp.lanes import LANES, Lane
from ledger.errors import RunDamaged, RunNotFound, StoreDamaged
from ledger.redis import keys
from ledger.redis.connection import answers, translated
from ledger.redis.keys import of_host
from ledger.runs import hits, run_hash
from ledger.runs.questions import QuestionReading
from ledger.runs.records import ProgressEntry
from ledger.runs.run import ENDED, HOLDS_SLOT, Mode, Run, State
from ledger.runs.soundness import number
from ledger.runs.waiting import WaitingLines

_LISTED = (Mode.DETAILED, Mode.QUICK, Mode.BULK)
"""The order in which `runs` lists the waiting runs of the modes."""


class Reading(QuestionReading, WaitingLines):
    """Read-only operations. Lists are read in windows: no call reads a whole line of pending runs."""

    def ping(self) -> None:
        """Check the connection. Raises StoreUnavailable if Redis does not answer."""
        with translated():
            self.connection.client.ping()

    def run(self, run_id: str) -> Run:
        """Return the record of a run. Raises RunNotFound or RunDamaged."""
        try:
            with translated():
                record: Any = self.connection.client.hgetall(keys.run(run_id))
        except StoreDamaged:
            raise RunDamaged(f"The record of run {run_id} is damaged: its key is not a HASH.") from None
        if not record:
            raise RunNotFound(f"There is no run {run_id}.")
        return run_hash.decode(run_id, record)

    def keyed(self, user: str, idempotency_keys: Iterable[str]) -> dict[str, Run]:
        """Return {key: the run that this user submitted with this idempotency key}, without deleted runs."""
        ids = {run_hash.new_id(user, key): key for key in idempotency_keys}
        return {ids[run.id]: run for run in self._fetch(ids)}

    def runs_named(self, run_ids: Iterable[str]) -> list[Run]:
        """Return the existing, undamaged runs with these ids, in the given order."""
        return self._fetch(run_ids)

    def result(self, run_id: str) -> str | None:
        """Return the result document as its worker stored it, or None if there is none. Raises RunDamaged."""
        try:
            with translated():
                document: Any = self.connection.client.get(keys.result(run_id))
            return None if document is None else str(document)
        except StoreDamaged:
            raise RunDamaged(f"The result of run {run_id} is damaged: submit the run again.") from None

    def log(self, run_id: str) -> list[ProgressEntry]:
        """Return the progress of a run, oldest first. Damaged entries are left out."""
        entries = self.connection.lenient(lambda pipe: pipe.xrange(keys.log(run_id)))
        return [
            ProgressEntry(int(entry.partition("-")[0]), fields["phase"], number(fields["percent"]), fields["message"])
            for entry, fields in entries or ()
            if {"phase", "percent", "message"} <= fields.keys()
        ]

    def runs(self, *, offset: int = 0, limit: int = 50, state: State | None = None) -> tuple[list[Run], int]:
        """Return a page of runs, and the total number of runs.

        The order is: waiting runs as in `_LISTED`, holding a slot, ended. Waiting runs are listed last-to-start first:
        runs beyond each user's share (the surplus), then the line. All other runs are listed newest first.
        """
        pages: list[tuple[int, Any]] = []
        if state in (None, State.PENDING):
            pages += [page for mode in _LISTED for page in self._waiting_pages(mode)]
        if state is None or state in HOLDS_SLOT:
            holding = [run for run in self._holding() if state in (None, run.state)]
            pages.append((len(holding), lambda start, count: holding[::-1][start : start + count]))
        if state is None or state in ENDED:
            pages.append(self._ended_page(state))
        total = sum(size for size, _ in pages)
        listed: list[Run] = []
        for size, page in pages:
            if limit > len(listed) and offset < size:
                listed += page(offset, limit - len(listed))
            offset = max(0, offset - size)
        return listed, total

    def lanes(self) -> list[Lane]:
        """Return the 32 lanes of each host, host after host and in order, each with its holder."""
        return [lane for host in self.used_hosts() for lane in self._lanes_of(host)]

    def _lanes_of(self, host: str) -> list[Lane]:
        with self.connection.reading() as pipe:
            pipe.smembers(of_host(self.keys.leased, host))
            for dscp in LANES:
                pipe.hgetall(self.keys.lane(dscp, host))
            leased, *holders = answers(pipe)
        return [
            Lane(
                dscp,
                str(dscp) in (leased or ()),
                host=host,
                run_id=holder_fields.get("run", ""),
                worker=holder_fields.get("worker", ""),
                fence=number(holder_fields.get("fence")),
                since_ms=number(holder_fields.get("since_ms")),
            )
            for dscp, holder_fields in zip(LANES, (holder or {} for holder in holders), strict=True)
        ]

    def rule_hits(self, facts: str) -> dict[str, tuple[int, int]]:
        """Return {rule: (hits, time of the last hit in ms)} for the facts with this digest.

        ledger.runs.hits explains the names. Counts start when the bench first uses these facts, and expire 90 days
        after it last used them.
        """
        return hits.read(self.connection.lenient(lambda pipe: pipe.hgetall(self.keys.hits_prefix + facts)) or {})

    def _holding(self) -> list[Run]:
        with self.connection.reading() as pipe:
            for mode in keys.MODES:
                pipe.smembers(self.keys.running[mode])
            replies = answers(pipe)
        return sorted(self._fetch(i for ids in replies for i in ids or ()), key=lambda run: run.seq)
