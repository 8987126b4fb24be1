"""Computes the health of the system from what Redis reports. Pure functions.

It contains every sentence about the health. The board, the pages, `/readyz`, the command line and the reasons of
waiting runs all use these sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ledger.bench.health import (
    NOTHING_MORE,
    Expected,
    Health,
    HostReport,
    Life,
    Observed,
    Times,
    Trouble,
    Worker,
    WorkerRecord,
)
from ledger.errors import StoreUnavailable
from ledger.redis.suitability import Finding, Level
from ledger.runs.records import Damage
from ledger.runs.run import Mode

BENCH_SILENT_MS = 10_000
"""Time in ms without a report from the worker pool after which the bench counts as silent."""
CLOCK_SLACK_MS = 1000
"""A heartbeat more than this in the future does not count as recent: Redis's clock must have been set back."""
OVERDUE_MS = 5000
"""Grace period after the time limit of a run, in ms. A worker that still holds the run after it counts as hung."""
UNSEEN_MS = 5000
"""A run that no dispatcher has looked at for this long, in ms, means that the leading dispatcher hangs.

Normally a dispatcher starts or explains a new run within 0.1 s, and another dispatcher takes over within 2 s.
"""
NAMED_MAX = 3
"""Maximum number of processes or damaged records listed in one remedy."""
UNREACHABLE = "redis-unreachable"
NO_DISPATCHER = "no dispatcher leads"
ALL_DRAINED = "every host is drained for maintenance"
BENCH_SILENT = "the bench is silent: no worker pool reports its state"
NO_MEMORY = "Redis has no memory left"
START_DISPATCHER = "start `python -m compat_dispatcher`"
START_WORKERS = "start `python -m workers` on the host of the bench"
ALL_MODES = frozenset(Mode)


def assess(seen: Observed, times: Times, expected: Expected = NOTHING_MORE) -> Health:
    """Compute the health of the system. Reports older than `expected.since_ms` do not count."""
    seen = seen.since(expected.since_ms)
    workers = tuple(_worker(record, seen.now_ms, times) for record in seen.workers)
    followers = tuple(
        name
        for name, heard in seen.dispatchers.items()
        if name != seen.leader and fresh(seen.now_ms - heard, 2 * times.leader_ms)
    )
    troubles = (
        *_redis(seen.findings),
        *_damaged(seen.damages),
        *_dispatcher(seen, times, followers),
        *_workers(workers),
        *_too_few(workers, expected.workers),
        *_bench(seen),
    )
    return Health(seen.leader, followers, workers, seen.paused, troubles)


def unreachable(error: StoreUnavailable) -> Trouble:
    """Return the fault for a Redis server that cannot be reached. Only its remedy contains the server's address."""
    return Trouble("redis", UNREACHABLE, Level.BLOCKING, "Redis cannot be reached", str(error), ALL_MODES)


def no_live_worker(mode: Mode) -> str:
    """Return the sentence for a mode without a live worker. It is for dispatchers, which see only live workers."""
    return f"no live {mode} worker; start one with python -m workers"


def no_worker(mode: Mode) -> str:
    """Return the sentence for a mode without any worker."""
    return f"no {mode} worker is running"


def bench_down(state: str) -> str:
    """Return the sentence for a bench that reports a state other than `up`."""
    return f"the bench is {'down' if state == 'away' else state}"


def span(ms: int) -> str:
    """Format a duration, for example as `12 s`, `3 min` or `2 h`."""
    seconds = max(0, ms) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def fresh(age_ms: float, limit_ms: int) -> bool:
    """Return whether a heartbeat is recent enough.

    One that is more than CLOCK_SLACK_MS in the future is not: the clock was set back, so the age is unknown.
    """
    return -CLOCK_SLACK_MS <= age_ms <= limit_ms


def _redis(findings: Iterable[Finding]) -> Iterator[Trouble]:
    for finding in findings:
        level = Level.WARNING if finding.level is Level.WARNING else Level.BLOCKING
        modes = frozenset() if level is Level.WARNING else ALL_MODES
        remedy = f"{finding.about}: {finding.remedy}" if finding.about else finding.remedy
        yield Trouble("redis", finding.code, level, finding.sentence, remedy, modes)


def _damaged(damages: Sequence[Damage]) -> Iterator[Trouble]:
    if not damages:
        return
    more = f"; and {len(damages) - NAMED_MAX} more" if len(damages) > NAMED_MAX else ""
    named = "; ".join(f"{damage.name}: {damage.what}" for damage in damages[:NAMED_MAX]) + more
    count = "a damaged record or key was" if len(damages) == 1 else f"{len(damages)} damaged records or keys were"
    remedy = f'{named}; see "Damaged records" in docs/operations.md'
    yield Trouble("redis", "damaged", Level.WARNING, f"{count} set aside", remedy)


def _dispatcher(seen: Observed, times: Times, followers: Sequence[str]) -> Iterator[Trouble]:
    def trouble(code: str, sentence: str, remedy: str) -> Trouble:
        return Trouble("dispatcher", code, Level.BLOCKING, sentence, remedy, ALL_MODES)

    if not seen.leader:
        last = max(seen.dispatchers.items(), key=lambda heard: heard[1], default=None)
        if followers:
            count = len(followers)
            which = f"one of the {count} running dispatchers" if count > 1 else "the running dispatcher"
            yield trouble("no-leader", NO_DISPATCHER, f"{which} will take over within 2 s")
        elif last is None:
            yield trouble("no-dispatcher", NO_DISPATCHER, START_DISPATCHER)
        else:
            words = f"{NO_DISPATCHER}: the last heartbeat of a dispatcher was {span(seen.now_ms - last[1])} ago"
            host, pid = _of_dispatcher(last[0])
            hangs = f"if process {pid} on {host} still exists, it hangs: `kill -9 {pid}` ends it"
            yield trouble("dispatcher-silent", words, f"{START_DISPATCHER}; {hangs}")
        return
    host, pid = _of_dispatcher(seen.leader)
    kill = f"`kill -9 {pid}` on {host} ends it, and another dispatcher takes over"
    silent_ms = seen.now_ms - seen.dispatchers.get(seen.leader, seen.now_ms)
    if not fresh(silent_ms, 2 * times.leader_ms + CLOCK_SLACK_MS):
        words = "the leading dispatcher is silent"
        yield trouble("leader-silent", words, f"its last heartbeat was {span(silent_ms)} ago: {kill}")
    elif seen.unseen_ms is not None and seen.now_ms - seen.unseen_ms > UNSEEN_MS:
        words = "the leading dispatcher neither starts a waiting run nor says why it waits"
        yield trouble("leader-idle", words, f"this has lasted {span(seen.now_ms - seen.unseen_ms)}: {kill}")


def _bench(seen: Observed) -> Iterator[Trouble]:
    """Yield the fault of the bench; with several hosts, of each bench. One that works is enough to test runs."""
    hosts = [host for host in seen.hosts if not host.drained]
    if not hosts:
        names = " or ".join(f"`reachq host resume {host.host}`" for host in seen.hosts)
        yield Trouble("bench", "hosts-drained", Level.BLOCKING, ALL_DRAINED, f"end the maintenance: {names}", ALL_MODES)
    faults = [_fault(host, seen.now_ms, several=len(seen.hosts) > 1) for host in hosts]
    for fault in faults:
        if fault:
            yield replace(fault, level=Level.WARNING, modes=frozenset()) if None in faults else fault


def _fault(host: HostReport, now_ms: int, *, several: bool) -> Trouble | None:
    """Return what is wrong with the bench of a host, or None. With `several` hosts, the remedy names the host."""

    def trouble(code: str, sentence: str, remedy: str, modes: frozenset[Mode] = ALL_MODES) -> Trouble:
        if several:
            sentence, remedy = f"one of the hosts: {sentence}", f"host {host.host}: {remedy}"
        return Trouble("bench", code, Level.BLOCKING, sentence, remedy, modes)

    age_ms = now_ms - host.reported_ms
    if not host.reported_ms:
        remedy = "start `python -m netlab` and, on the same host, a worker pool, which reports the bench's state"
        return trouble("bench-unknown", "the bench has never reported", remedy, frozenset())
    if not fresh(age_ms, BENCH_SILENT_MS):
        remedy = "its state is reported by the worker pool on its host: " + START_WORKERS
        return trouble("bench-silent", f"{BENCH_SILENT}, last report {span(age_ms)} ago", remedy)
    if host.state != "up":
        remedy = host.error or "look at its output, or start `python -m netlab`"
        return trouble("bench-down", bench_down(host.state), remedy)
    return None


def _worker(record: WorkerRecord, now_ms: int, times: Times) -> Worker:
    silent_ms = now_ms - record.heartbeat_ms
    if not fresh(silent_ms, times.lease_ms):
        return Worker(record, Life.SILENT, silent_ms)
    return Worker(record, Life.HUNG if _hang(record, now_ms, times) else Life.ALIVE, silent_ms)


def _hang(record: WorkerRecord, now_ms: int, times: Times) -> str:
    """Return what a worker with a recent heartbeat fails to do, or "" if it works."""
    if record.missed_ms:
        return "it did not begin a run that it was given"
    if record.run_state == "running" and now_ms - record.run_since_ms > times.run_timeout_ms + OVERDUE_MS:
        return f"it has not ended a run {span(now_ms - record.run_since_ms)} after it began"
    return ""


def _workers(workers: Sequence[Worker]) -> Iterator[Trouble]:
    if not workers:
        yield Trouble("workers", "no-worker", Level.BLOCKING, "no worker is running", START_WORKERS, ALL_MODES)
        return
    anyone = any(worker.life is Life.ALIVE for worker in workers)
    for mode in Mode:
        ours = [worker for worker in workers if worker.record.mode == mode]
        hung = [worker for worker in ours if worker.life is Life.HUNG]
        silent = [worker for worker in ours if worker.life is Life.SILENT]
        stops = len(hung) + len(silent) == len(ours)
        modes = frozenset({mode}) if stops else frozenset()
        level = Level.BLOCKING if stops else Level.WARNING
        if not ours:  # a pool may have no workers of a mode on purpose
            level = Level.WARNING if anyone else Level.BLOCKING
            yield Trouble("workers", "no-worker", level, no_worker(mode), START_WORKERS, modes)
        if hung:
            yield Trouble("workers", "worker-hung", level, _count(hung, ours, "hangs", "hang"), _kill(hung), modes)
        if silent:
            heard = f"last heartbeat {span(min(worker.silent_ms for worker in silent))} ago"
            sentence = f"{_count(silent, ours, 'is silent', 'are silent')}, {heard}"
            remedy = f"{_kill(silent)}; if there is no pool, {START_WORKERS}"
            yield Trouble("workers", "worker-silent", level, sentence, remedy, modes)


def _too_few(workers: Sequence[Worker], expected: int) -> Iterator[Trouble]:
    alive = sum(1 for worker in workers if worker.life is Life.ALIVE)
    if 0 < alive < expected:
        sentence = f"only {alive} of {expected} workers are running"
        yield Trouble("workers", "few-workers", Level.BLOCKING, sentence, START_WORKERS)


def _count(some: Sequence[Worker], ours: Sequence[Worker], one: str, plural: str) -> str:
    mode = some[0].record.mode
    if len(some) == len(ours):
        return f"the only {mode} worker {one}" if len(ours) == 1 else f"all {len(ours)} {mode} workers {plural}"
    return f"{len(some)} of {len(ours)} {mode} workers {one if len(some) == 1 else plural}"


def _kill(workers: Sequence[Worker]) -> str:
    named = [f"`kill -9 {w.record.pid}` on {w.record.host} ({w.record.queue})" for w in workers[:NAMED_MAX]]
    more = f" and {len(workers) - NAMED_MAX} more" if len(workers) > NAMED_MAX else ""
    verb = "ends it, and its pool starts" if len(workers) == 1 else "end them, and their pool starts"
    return f"{', '.join(named)}{more} {verb} {'another' if len(workers) == 1 else 'others'}"


def _of_dispatcher(name: str) -> tuple[str, str]:
    """Split a dispatcher's name `<host>-<pid>-<random>` into (host, pid). Returns (name, `?`) for any other name."""
    parts = name.rsplit("-", 2)
    return (parts[0], parts[1]) if len(parts) == 3 and parts[1].isdigit() else (name, "?")
