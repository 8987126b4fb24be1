"""The command `reachq submit`: submits a test and optionally waits for its result."""

from __future__ import annotations

import shutil
import time
import uuid
from pathlib import Path

import click
import msgspec

from app.answers.sentences import published
from app.api.documents import run_document
from app.cli import interrupt, remote_runs, render, tables
from app.cli.bulk_text import bulk_result
from app.cli.exit_codes import EXIT_CODES, NOT_ANSWERED
from app.cli.status_line import StatusLine
from app.cli.submit_file import read_file, submit_file
from app.cli.system import data_option, json_option, network_option, open_ledger, print_json, remote_api
from app.formatting import short
from app.stored_result import bulk_result_of, result_of
from ledger.bench.health import Health
from ledger.errors import RunNotFound, StoreDamaged, StoreUnavailable
from ledger.runs.requests import RunRequest, parse_mode
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.store import AppLedger
from netlab.results.bulk import encode_bulk
from netlab.results.codec import encode

BLOCK_MS = 500
BAD_ROWS = 2
"""Exit code for a file with invalid rows."""
LOST_CONTACT_S = 30.0
HEALTH_S = 1.0


@click.command()
@click.argument("source", required=False)
@click.argument("destination", required=False)
@click.argument("services", required=False)
@click.option("--file", "path", metavar="FILE", help="Test the rows of a file instead; - is the standard input.")
@click.option(
    "--mode",
    default="quick",
    show_default=True,
    help="quick: forward path, runs in parallel; detailed: both directions, every rule, runs alone.",
)
@click.option("--source-port", type=int, help="1-65535; by default the bench chooses one.")
@click.option(
    "--wait", is_flag=True, help="Wait for the result and set the exit code (0 yes, 1 no, 3 unknown, 4 no result)."
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="With --file and --wait: print the answers as CSV.")
@network_option
@data_option
@click.pass_context
def submit(
    ctx: click.Context,
    source: str | None,
    destination: str | None,
    services: str | None,
    path: str | None,
    mode: str,
    source_port: int | None,
    wait: bool,
    as_json: bool,
    as_csv: bool,
    data: Path | None,
) -> int:
    """Test whether SOURCE reaches DESTINATION on SERVICES, or test the rows of a file.

    SERVICES is a list such as 22,80/tcp,53/udp,8000-8003,https,icmp; tcp is the default protocol.

    The exit code is 4 when the run could not be stored: Redis is unreachable or full, or too many runs wait.

    With --wait the exit code is 0 when every service is YES, 1 for a NO, 3 for an UNKNOWN and 4 when there
    was no answer. Ctrl-C stops the waiting, not the run.

    With --file, each row is SOURCE,DESTINATION,SERVICES[,MODE], as on the page "Bulk test", up to 20,000 rows; a source
    port needs a first row with the names of the columns. If a row is invalid, nothing is submitted, and the exit code
    is 2. With --wait, one line is printed for each row, and the exit code is that of the worst answer.
    """
    if path is not None:
        if source is not None or source_port is not None:
            raise click.UsageError("give either --file, or SOURCE, DESTINATION and SERVICES")
        if as_csv and (as_json or not wait):
            raise click.UsageError("give --csv with --wait and without --json")
        questions = read_file(path, parse_mode(mode))
        if questions is None:
            return BAD_ROWS
        return submit_file(open_ledger(data), questions, wait=wait, as_json=as_json, as_csv=as_csv)
    if as_csv:
        raise click.UsageError("give --csv with --file")
    for name, value in (("SOURCE", source), ("DESTINATION", destination), ("SERVICES", services)):
        if value is None:
            raise click.UsageError(f"Missing argument '{name}'.", ctx)
    request = RunRequest.parse(source, destination, services, mode, source_port)
    if api := remote_api(data):
        return remote_runs.submit_one(api, request, wait=wait, as_json=as_json)
    return _submit_one(open_ledger(data), request, wait=wait, as_json=as_json)


def _submit_one(ledger: AppLedger, request: RunRequest, *, wait: bool, as_json: bool) -> int:
    run_id = str(uuid.uuid4())
    run: Run | None = None
    try:
        run, _ = ledger.submit(request, user="cli", run_id=run_id)
        ended = wait_for(ledger, run, StatusLine()) if wait else None
    except KeyboardInterrupt:
        interrupt.handled()
        click.echo(_interrupted(run_id, stored=run is not None), err=True)
        return NOT_ANSWERED
    if ended:
        return report(ledger, ended, as_json=as_json)
    if as_json:
        print_json(run_document(run))
    else:
        click.echo(f"submitted {run.id}\n  reachq show {short(run.id)}")
    return 0


def _interrupted(run_id: str, *, stored: bool) -> str:
    show, cancel = f"`reachq show {short(run_id)}`", f"`reachq cancel {short(run_id)}`"
    if stored:
        return f"run {short(run_id)} continues: {show} shows it, {cancel} stops it"
    return f"interrupted while run {short(run_id)} was submitted: {show} shows it if it was stored, {cancel} stops it"


def report(ledger: AppLedger, run: Run, *, as_json: bool) -> int:
    """Print the result of an ended run, or why it has none. Returns the exit code."""
    if run.mode is Mode.BULK:
        return _report_bulk(ledger, run, as_json=as_json)
    result = result_of(ledger, run)
    if result is None:
        return _without_result(ledger, run, as_json=as_json)
    if as_json:
        click.echo(msgspec.json.format(encode(published(result)), indent=2))
    else:
        click.echo(render.result(result, width=shutil.get_terminal_size().columns))
    return EXIT_CODES.get(result.verdict, NOT_ANSWERED)


def _report_bulk(ledger: AppLedger, run: Run, *, as_json: bool) -> int:
    result = bulk_result_of(ledger, run)
    if result is None:
        return _without_result(ledger, run, as_json=as_json)
    click.echo(msgspec.json.format(encode_bulk(result), indent=2) if as_json else bulk_result(result))
    return EXIT_CODES.get(result.verdict, NOT_ANSWERED)


def _without_result(ledger: AppLedger, run: Run, *, as_json: bool) -> int:
    if as_json:
        print_json(run_document(run))
    else:
        click.echo(tables.one_run(run, _health(ledger, run), several_hosts=len(ledger.used_hosts()) > 1))
    return NOT_ANSWERED


def _health(ledger: AppLedger, run: Run) -> Health | None:
    """Return the health of the system for a waiting run. For any other run, return None without reading anything."""
    return ledger.health() if run.state is State.PENDING else None


def wait_for(ledger: AppLedger, run: Run, status_line: StatusLine) -> Run:
    """Block until `run` has ended, and print its progress on stderr. Continues after a restart of Redis."""
    try:
        return _wait_for(ledger, run, status_line)
    finally:
        status_line.clear()


def _wait_for(ledger: AppLedger, run: Run, status_line: StatusLine) -> Run:
    after = f"{max(run.submitted_ms - 1, 0)}-0"  # stream ids use Redis's clock, so no later event is missed
    contact = time.monotonic()
    state_text = StateText(ledger)
    while True:
        try:
            current = ledger.run(run.id)
            contact = time.monotonic()
            if current.state in ENDED:
                return current
            status_line.show(state_text.of(current))
            for event in ledger.events(after, block_ms=BLOCK_MS):
                after = event.id
        except (StoreUnavailable, StoreDamaged) as error:
            if time.monotonic() - contact > LOST_CONTACT_S:
                raise
            damaged = isinstance(error, StoreDamaged)
            status_line.show(str(error) if damaged else "Redis does not answer, trying again")
            time.sleep(0.2)
        except RunNotFound:
            raise StoreUnavailable(f"run {short(run.id)} no longer exists: the Redis data was deleted") from None


class StateText:
    """Describes the state of a run in words. Reads the health of the system at most once a second."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger
        self._health: Health | None = None
        self._read = 0.0

    def of(self, run: Run) -> str:
        """Return the state as text, such as `waiting: ...` or `running, 40 %: ...`.

        For a waiting run it says what prevents the start and what to do.
        """
        if run.state is State.PENDING:
            if self._health is None or time.monotonic() - self._read >= HEALTH_S:
                self._health, self._read = self._ledger.health(), time.monotonic()
            return f"waiting: {self._health.why_not(run.mode, remedy=True) or run.wait_reason or 'for a dispatcher'}"
        if run.mode is not Mode.QUICK and run.state is State.RUNNING and (log := self._ledger.log(run.id)):
            return f"running, {log[-1].percent} %: {log[-1].message}"
        return f"{run.state} on lane {run.dscp}" if run.dscp is not None else run.state.value
