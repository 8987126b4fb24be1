"""Runs, the queue, lanes and the bench as text for a terminal, with one function for each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.cli.console import columns, paint, style
from app.formatting import ARROW, ago, questions_of, short, spans
from dscp.lanes import Lane
from dscp.pool import Pool
from ledger.bench.diagnosis import BENCH_SILENT_MS
from ledger.bench.health import Health, Life, Trouble, Worker
from ledger.bench.processes import Leader
from ledger.redis.keys import LOCAL
from ledger.redis.suitability import Level
from ledger.runs.records import Pause, QueueView
from ledger.runs.run import ENDED, Mode, Run, State
from netlab.service.replies import JournalEntry
from netlab.service.status import BenchReport

SERVICES_SHOWN = 4


def question(run: Run) -> str:
    """Return what was asked, such as `10.1.10.20 → 10.3.20.8 22/tcp, 80/tcp and 3 more`.

    For a bulk run it is the number of questions and the first one, and the snapshot if it names one.
    """
    if run.mode is Mode.BULK:
        asked = f", snapshot {run.snapshot[:12]}" if run.snapshot else ""
        return questions_of(run.questions, run.source, run.destination) + asked
    named = ", ".join(str(service) for service in run.services[:SERVICES_SHOWN])
    more = len(run.services) - SERVICES_SHOWN
    return f"{run.source}{ARROW}{run.destination}  {named}{f' and {more} more' if more > 0 else ''}"


def outcome(run: Run) -> str:
    """Return the verdict of a finished run, otherwise its state. A YES that covers only the forward path says so."""
    if run.state is State.DONE and run.verdict:
        return paint(run.verdict) + (" forward path" if run.forward_only else "")
    return paint(run.state.value)


def waits(run: Run, health: Health) -> str:
    """Return why a run waits: the fault that affects all runs of its mode, or else the dispatcher's reason."""
    return health.why_not(run.mode) or run.wait_reason or "not yet scheduled"


def one_run(run: Run, health: Health | None = None, *, several_hosts: bool = False) -> str:
    """Return the text of a run without a result: its state, and why it waits or how it ended.

    With several hosts, the host that tests or tested it is named.
    """
    lines = [f"{question(run)}", f"  {run.mode} run {run.id}", f"  {outcome(run)}"]
    if run.state is State.PENDING:
        lines[-1] += f", submitted {ago(run.submitted_ms)}"
        why = health.why_not(run.mode, remedy=True) if health else ""
        lines.append(f"  waiting: {why or run.wait_reason or 'not yet scheduled'}")
    elif run.state not in ENDED:
        lines[-1] += f"{f' on {run.worker}' if run.worker else ', no worker yet'}, attempt {run.attempt}"
        place = _place(run, several_hosts=several_hosts)
        lines[-1] += f", {place}" if place else ""
        if run.cancelling:
            lines.append("  being cancelled")
    else:
        lines[-1] += f" {ago(run.finished_ms)}, after {run.attempt} attempt{'' if run.attempt == 1 else 's'}"
        lines[-1] += f", host {run.host}" if several_hosts and run.started_ms else ""
    if run.error:
        lines.append(f"  {run.error}")
    return "\n".join(lines)


def run_list(runs: Sequence[Run], total: int, offset: int) -> str:
    """Return a page of runs as text, newest first."""
    if not runs:
        are = "is" if total == 1 else "are"
        return f"no runs at offset {offset}; there {are} only {total}" if total else "no runs yet"
    table = columns(
        [[short(r.id), outcome(r), r.mode.value, ago(r.submitted_ms), question(r), r.stopped_by] for r in runs]
    )
    last = offset + len(runs)
    more = f"\n  {offset + 1}-{last} of {total}; continue with --offset {last}" if last < total else ""
    return table + more


def pause(paused: Pause) -> str:
    """Return the pause of the bench as text: by whom, since when, and why."""
    why = f": {paused.why}" if paused.why else ""
    return f"the bench is paused by {paused.by}, {ago(paused.since_ms)}{why}"


def _place(run: Run, *, several_hosts: bool) -> str:
    """Return the lane and, with several hosts, the host of a run: `lane 33, host east`."""
    named = [f"lane {run.dscp}"] if run.dscp is not None else []
    return ", ".join([*named, *([f"host {run.host}"] if several_hosts else [])])


def queue(view: QueueView, *, health: Health, paused: Pause | None = None) -> str:
    """Return the running runs, the waiting ones with their reason, the ended ones, and the faults that prevent tests."""
    parts = [style(pause(paused), fg="yellow")] if paused else []
    parts += trouble_lines(health.blocking)
    several = any(run.host != LOCAL for run in view.running)
    parts += [style(f"running ({len(view.running)})", bold=True)]
    parts.append(
        columns(
            [[short(r.id), outcome(r), r.mode, _place(r, several_hosts=several), question(r)] for r in view.running]
        )
        or "  nothing is running"
    )
    parts.append(style(f"waiting ({view.waiting_total})", bold=True))
    rows = [
        [f"{place}.", short(r.id), r.mode.value, question(r), waits(r, health)]
        for place, r in enumerate(view.waiting, 1)
    ]
    parts.append(columns(rows) or f"  nothing is waiting{'' if view.running else f'. {health.for_a_new_run}'}")
    if (hidden := view.waiting_total - len(rows)) > 0:
        parts.append(f"  and {hidden} more")
    parts.append(style("finished", bold=True))
    ended = [[short(r.id), outcome(r), r.mode.value, ago(r.finished_ms), question(r)] for r in view.finished]
    parts.append(columns(ended) or "  nothing has finished yet")
    return "\n".join(parts)


def lanes(all_lanes: Sequence[Lane], problems: Sequence[str] = ()) -> str:
    """Return the leased lanes with their holders, the numbers of the free ones, and the pool's problems, for each host."""
    hosts = list(dict.fromkeys(lane.host for lane in all_lanes))
    parts = []
    for host in hosts:
        heading = f"{style(f'host {host}', bold=True)}: " if len(hosts) > 1 else ""
        parts.append(heading + _lanes_of_host(Pool(tuple(lane for lane in all_lanes if lane.host == host))))
    return "\n".join([*parts, *(style(f"  ! {problem}", fg="red") for problem in problems)])


def _lanes_of_host(pool: Pool) -> str:
    rows = [
        [str(lane.dscp), short(lane.run_id), lane.worker or "not started", f"fence {lane.fence}", ago(lane.since_ms)]
        for lane in pool.leased
    ]
    if not rows:
        return f"all {len(pool.lanes)} lanes are free (DSCP {spans(pool.free)})"
    table = columns([["lane", "run", "worker", "fence", "since"], *rows])
    head = f"{len(rows)} of {len(pool.lanes)} lanes in use"
    return "\n".join([head, table, f"  free: {spans(pool.free) or 'none'}"])


def bench(report: BenchReport, leader: Leader | None, health: Health, *, paused: Pause | None = None) -> str:
    """Return the bench's last report, the leader, the live workers, a pause, and faults."""
    parts = [columns(_bench_rows(report)) or "  bench    has never reported"]
    if paused:
        parts.append(f"  paused   {style(pause(paused), fg='yellow')}; `reachq bench resume` ends it")
    parts.append(f"  leader   {leader.dispatcher}, epoch {leader.epoch}" if leader else "  leader   none")
    by_mode: dict[str, list[Worker]] = {}
    for worker in health.workers:
        by_mode.setdefault(worker.record.mode, []).append(worker)
    parts.append(f"  workers  {', '.join(_workers(mode, ours) for mode, ours in sorted(by_mode.items())) or 'none'}")
    parts += trouble_lines(health.troubles)
    return "\n".join(parts)


def journal(entries: Sequence[JournalEntry]) -> str:
    """Return one line per entry: local time, event, run id."""
    if not entries:
        return "no run has used the network since the bench started"
    rows = [
        [datetime.fromtimestamp(entry.ms / 1000).isoformat(" ", "milliseconds"), entry.what, entry.run_id]
        for entry in entries
    ]
    return columns(rows, indent=0)


def trouble_lines(troubles: Sequence[Trouble]) -> list[str]:
    """Return one line for each fault: what is wrong and what to do."""
    colours = {Level.WARNING: "yellow"}
    return [f"  {style(f'! {trouble}', fg=colours.get(trouble.level, 'red'))}" for trouble in troubles]


def _workers(mode: str, ours: Sequence[Worker]) -> str:
    """Return the workers of a mode as text, such as `4 quick (1 busy, 1 hung)`.

    The first number is that of the live workers. Silent and hung workers are counted separately.
    """
    alive = [worker for worker in ours if worker.life is Life.ALIVE]
    states = [f"{sum(1 for worker in ours if worker.life is life)} {life}" for life in (Life.SILENT, Life.HUNG)]
    notes = [f"{sum(1 for worker in alive if worker.record.run)} busy", *(text for text in states if text[0] != "0")]
    return f"{len(alive)} {mode} ({', '.join(notes)})"


def _bench_rows(report: BenchReport) -> list[list[str]]:
    if not report.reported_ms:
        return []
    state, heard = report.state or "?", ago(report.reported_ms)
    silent = report.age_ms > BENCH_SILENT_MS
    rows = [["bench", f"last report {heard}: {state}" if silent else f"{state}, as of {heard}"]]
    if report.error:
        rows.append(["", report.error])
    if report.routers:
        rows.append(["network", f"{report.network}, facts {report.facts}"])
        routers = ", ".join(report.routers)
        rows.append(["", f"{len(report.routers)} routers, {len(report.segments)} segments: {routers}"])
        busy = len(report.attempts)
        rows.append(["work", f"started {ago(report.since_ms)}; {report.answered} answered, {busy} in progress"])
        rows += _held(report)
    return rows


def _held(report: BenchReport) -> list[list[str]]:
    """Return what detailed runs use on the bench.

    These are their hosts with the numbers of references, and the routers that they have locked.
    """
    rows: list[list[str]] = []
    for host in report.hosts:
        references = " and ".join(
            f"{count} reference{'' if count == 1 else 's'} by run {short(run)}"
            for run, count in host.references.items()
        )
        rows.append(["host" if not rows else "", f"{host.address} ({host.place}): {references}"])
    holders: dict[str, list[str]] = {}
    for router, run in sorted(report.locks.items()):
        holders.setdefault(run, []).append(router)
    locked = [f"run {short(run)} has {', '.join(routers)}" for run, routers in holders.items()]
    return rows + [["locked" if not number else "", text] for number, text in enumerate(locked)]
