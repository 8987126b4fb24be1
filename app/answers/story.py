"""Texts about the run itself: its timeline, the text for a ticket, and the commands for a terminal. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app import formatting
from app.answers.sentences import Sentence
from ledger.redis import keys
from ledger.runs.records import ProgressEntry
from ledger.runs.run import ENDED, Mode, Run, State
from netlab.results.services import fold


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run. `mark` is past, now, ill or next, and `ms` is 0 if the step has not happened."""

    mark: str
    words: str
    ms: int = 0
    after_ms: int | None = None


def timeline(run: Run, log: Sequence[ProgressEntry], *, several_hosts: bool = False) -> list[Step]:
    """Return the steps from submission to the end, including the phases of a detailed run.

    With several hosts, the host is named.
    """
    steps = [Step("past", f"Submitted by {run.user}", run.submitted_ms)]
    if run.state is State.PENDING:
        again = f", attempt {run.attempt + 1}" if run.attempt else ""
        return [
            *steps,
            Step("now", f"Waiting{again}"),
            Step("next", "Runs on the bench"),
            Step("next", "Answered"),
        ]
    if run.promoted_ms:
        leg = f" on lane {run.dscp}" if run.dscp is not None else ", alone on the bench"
        leg += f" of host {run.host}" if several_hosts else ""
        steps.append(Step("past", f"Started{leg}", run.promoted_ms, run.promoted_ms - run.submitted_ms))
    if run.state is State.PROMOTED:
        return [*steps, Step("now", "A worker picks it up"), Step("next", "Answered")]
    if run.started_ms:
        steps.append(Step("past", f"Worker {run.worker}", run.started_ms, run.started_ms - run.submitted_ms))
    phases = [entry for entry in log if entry.ms >= run.started_ms]
    steps += [Step("past", e.message, e.ms, e.ms - run.submitted_ms) for e in phases[-8:]]
    if run.state not in ENDED:
        return [*steps, Step("now", "Being cancelled" if run.cancelling else "On the bench"), Step("next", "Answered")]
    words = {State.DONE: "Answered", State.FAILED: f"Failed: {run.error}", State.CANCELLED: "Cancelled"}[run.state]
    mark = "past" if run.state is State.DONE else "ill"
    return [*steps, Step(mark, words, run.finished_ms, run.finished_ms - run.submitted_ms)]


def ended_in_words(run: Run) -> str:
    """Return how the run ended, such as `Answered after 43 ms` or `Failed after 3.0 s; waited 2.9 s`.

    The text is empty while the run has not ended.
    """
    if run.state not in ENDED:
        return ""
    verb = {State.DONE: "Answered", State.FAILED: "Failed", State.CANCELLED: "Cancelled"}[run.state]
    waited_ms = run.promoted_ms - run.submitted_ms if run.promoted_ms else 0
    waited = f"; waited {formatting.duration(waited_ms)}" if waited_ms else ""
    return f"{verb} after {formatting.duration(run.finished_ms - run.submitted_ms)}{waited}"


def ticket(sentences: Iterable[Sentence], run: Run, facts: str, address: str) -> str:
    """Return the text to copy into a ticket: one sentence per line, then the time, the facts and the address."""
    asked = datetime.fromtimestamp(run.finished_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return "\n".join([*(sentence.text for sentence in sentences), f"reachq, {asked}, facts {facts[:12]}, {address}"])


def commands(run: Run, base: str, *, admin: bool) -> list[tuple[str, str]]:
    """Return (purpose, command) pairs that repeat the test or show this run in a terminal.

    Only admins get the Redis commands.
    """
    if run.mode is Mode.BULK:
        return _bulk_commands(run, base, admin=admin)
    services = fold(run.services).replace(", ", ",")
    mode = " --mode detailed" if run.mode is Mode.DETAILED else ""
    port = f" --source-port {run.source_port}" if run.source_port else ""
    lines = [
        ("Test again", f"reachq submit {run.source} {run.destination} {shlex.quote(services)}{mode}{port} --wait"),
        ("This run", f"reachq show {formatting.short(run.id)}"),
        ("Over HTTP", f'curl -H "Authorization: Bearer $REACHQ_TOKEN" {base}/api/runs/{run.id}/result'),
    ]
    return [*lines, *(_redis_commands(run) if admin else ())]


def _bulk_commands(run: Run, base: str, *, admin: bool) -> list[tuple[str, str]]:
    address = f"{base}/api/runs/{run.id}/answers?verdict=NO"
    lines = [
        ("This run", f"reachq show {formatting.short(run.id)}"),
        ("Over HTTP", f'curl -H "Authorization: Bearer $REACHQ_TOKEN" "{address}"'),
    ]
    return [*lines, *(_redis_commands(run, f"GET {keys.questions(run.id)}") if admin else ())]


def _redis_commands(run: Run, *more: str) -> list[tuple[str, str]]:
    commands = (f"HGETALL {keys.run(run.id)}", *more, f"GET {keys.result(run.id)}", f"XRANGE {keys.log(run.id)} - +")
    return [("In Redis", "\n".join(f"redis-cli {command}" for command in commands))]
