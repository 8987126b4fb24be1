"""The output of `reachq up` when the system is ready: a first result from the bench, and how to run the next test.

Written as a generator that the supervisor steps between its own work: each `yield` means "not yet", so the code reads
from top to bottom and never blocks for long.
"""

from __future__ import annotations

import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator

from app.cli import render, tables
from app.launch.lines import OutputLines
from app.people.token import load_or_create_token
from app.stored_result import result_of
from ledger.bench.health import Expected
from ledger.errors import ReachqError
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Run, State
from ledger.settings import DATA, Settings
from ledger.store import AppLedger

STEP_TIMEOUT_S = 0.5
SAY_EVERY_S = 5.0
FIRST_ANSWER_S = 15.0
"""How long to wait for the first result, in s. After that its state is shown, and the run continues."""


def welcome(
    settings: Settings,
    lines: OutputLines,
    *,
    began: float,
    question: tuple[str, str, str] | None,
    reachq: str,
    first_password: Callable[[], str],
    ready: Callable[[], None],
) -> Iterator[None]:
    """Wait until the system is ready, call `ready`, test `question`, and print the result and the next steps.

    `first_password` returns the password of the admin if this start has added one, otherwise an empty string.
    """
    ledger = AppLedger.connect(settings, read_timeout_s=STEP_TIMEOUT_S)
    # The embedded server has this machine's clock, and still has the report of an earlier bench.
    since_ms = 0 if settings.redis_url else int((time.time() - (time.monotonic() - began)) * 1000)
    expected = Expected(settings.quick + settings.detailed, since_ms)
    reported = time.monotonic()
    while missing := _missing(ledger, settings, expected):
        if time.monotonic() - reported > SAY_EVERY_S:
            reported = time.monotonic()
            lines.say(f"not ready yet: {missing}")
        yield
    ready()
    lines.say(f"everything is up after {time.monotonic() - began:.1f} s")
    if question is not None:
        ended = yield from _first(ledger, lines, question)
        if ended:
            lines.say(f"answered {time.monotonic() - began:.1f} s after the start")
    lines.block(_directions(settings, reachq, question, first_password()))


def _missing(ledger: AppLedger, settings: Settings, expected: Expected) -> str:
    """Return what does not work yet, as sentences; empty if everything works."""
    missing = ledger.readiness(expected).missing
    if missing:
        return "; ".join(trouble.sentence for trouble in missing)
    return "" if _serves(settings) else "the web server does not answer"


def address(settings: Settings) -> str:
    """Return the URL for a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _serves(settings: Settings) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # on this machine, without a proxy
    try:
        with opener.open(f"{address(settings)}/healthz", timeout=STEP_TIMEOUT_S):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _first(ledger: AppLedger, lines: OutputLines, question: tuple[str, str, str]) -> Generator[None, None, bool]:
    """Run the test and print the result. Returns whether there was one."""
    source, destination, services = question
    try:
        run, _ = ledger.submit(RunRequest.parse(source, destination, services), user="up")
        until = time.monotonic() + FIRST_ANSWER_S
        while (run := ledger.run(run.id)).state not in ENDED and time.monotonic() < until:
            yield
        lines.block(f"\n{_answer(ledger, run)}\n")
        return run.state is State.DONE
    except ReachqError as error:
        lines.say(f"the first test got no answer: {error}")
        return False


def _answer(ledger: AppLedger, run: Run) -> str:
    result = result_of(ledger, run)
    if result is None:
        return tables.one_run(run)
    return render.result(result, width=shutil.get_terminal_size().columns)


def _directions(settings: Settings, reachq: str, question: tuple[str, str, str] | None, password: str) -> str:
    url = address(settings)
    source, destination, _ = question or ("10.1.10.20", "10.3.20.8", "")
    where = "" if settings.data == DATA.expanduser() else f" --data {settings.data}"
    body = f'{{"source": "{source}", "destination": "{destination}", "services": "22,443"}}'
    lost = f"to set a new one: {reachq} user password admin{where}"
    who = f"password {password}" if password else f"with the password shown at the first start; {lost}"
    return f"""
  web     {url}
          sign in as admin, {who}
  token   {load_or_create_token(settings)}

  In a second terminal:
    {reachq} submit {source} {destination} 22,80/tcp,53/udp,icmp --wait{where}
    {reachq} queue{where}
    curl -H "Authorization: Bearer $(cat {settings.data}/token)" -H "Content-Type: application/json" \\
         -d '{body}' {url}/api/runs

  Ctrl-C here stops everything.
"""
