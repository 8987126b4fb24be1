"""Submits, shows, lists and cancels runs through the HTTP API, for the command line on another machine."""

from __future__ import annotations

import re
import shutil
import uuid
from typing import Any

import click
import msgspec

from app.cli import interrupt, render, tables
from app.cli.bulk_text import bulk_result
from app.cli.exit_codes import EXIT_CODES, NOT_ANSWERED
from app.cli.status_line import StatusLine
from app.cli.system import print_json
from app.formatting import short
from app.remote.api import Api
from ledger.errors import BadInput, RunNotFound
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Mode, Run, State
from netlab.results.bulk import decode_bulk
from netlab.results.codec import decode

WAIT_S = 20
"""Time for which one request waits for the end of a run."""
LISTED = 500
"""Number of runs among which a run is searched by the start of its id."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def submit_one(api: Api, request: RunRequest, *, wait: bool, as_json: bool) -> int:
    """Submit a test and print its id, or wait for its result and print it. Returns the exit code."""
    body = {
        "source": request.source,
        "destination": request.destination,
        "services": ",".join(map(str, request.services)),
        "mode": str(request.mode),
        "source_port": request.source_port,
    }
    document = api.post("/api/runs", body, {"wait": WAIT_S if wait else None})
    if not wait:
        if as_json:
            print_json(document)
        else:
            click.echo(f"submitted {document['id']}\n  reachq show {short(document['id'])}")
        return 0
    return _report_when_ended(api, document, as_json=as_json)


def show(api: Api, given: str, *, as_json: bool) -> int:
    """Print the result of a run, or its state. Returns the exit code."""
    return _report(api, _found(api, given), as_json=as_json)


def listing(api: Api, *, state: str | None, limit: int, offset: int, as_json: bool) -> None:
    """Print runs, newest first."""
    page = api.get("/api/runs", {"state": state, "limit": limit, "offset": offset})
    if as_json:
        print_json(page)
    else:
        click.echo(tables.run_list([Run.model_validate(one) for one in page["runs"]], page["total"], offset))


def cancel(api: Api, given: str, *, as_json: bool) -> None:
    """Cancel one run."""
    after = api.delete(f"/api/runs/{_found(api, given)['id']}")
    if as_json:
        print_json(after)
    elif after["state"] == State.CANCELLED:
        click.echo(f"run {short(after['id'])} has been cancelled")
    else:
        click.echo(f"run {short(after['id'])} is being cancelled: its worker stops it within a second")


def _report_when_ended(api: Api, document: Any, *, as_json: bool) -> int:
    status_line = StatusLine()
    try:
        while Run.model_validate(document).state not in ENDED:
            status_line.show(document["wait_reason"] or document["state"])
            document = api.get(f"/api/runs/{document['id']}", {"wait": WAIT_S})
    except KeyboardInterrupt:
        interrupt.handled()
        status_line.clear()
        run = short(document["id"])
        click.echo(f"run {run} continues: `reachq show {run}` shows it, `reachq cancel {run}` stops it", err=True)
        return NOT_ANSWERED
    finally:
        status_line.clear()
    return _report(api, document, as_json=as_json)


def _report(api: Api, document: Any, *, as_json: bool) -> int:
    run = Run.model_validate(document)
    if run.state is not State.DONE:
        if as_json:
            print_json(document)
        else:
            click.echo(tables.one_run(run, None))
        return NOT_ANSWERED
    text = api.get_bytes(f"/api/runs/{run.id}/result")
    if as_json:
        click.echo(msgspec.json.format(text, indent=2).decode())
    elif run.mode is Mode.BULK:
        click.echo(bulk_result(decode_bulk(text)))
    else:
        click.echo(render.result(decode(text), width=shutil.get_terminal_size().columns))
    return EXIT_CODES.get(run.verdict, NOT_ANSWERED)


def _found(api: Api, given: str) -> Any:
    """Return the document of the run with this id, or with an id that begins so. Raises RunNotFound or BadInput."""
    run_id = given.strip().lower()
    if _UUID.fullmatch(run_id):
        return api.get(f"/api/runs/{uuid.UUID(run_id)}")
    if not run_id or not set(run_id) <= set("0123456789abcdef-"):
        raise BadInput("run", given, "is not a valid run id: `reachq list` shows them")
    fitting = [run for run in api.get("/api/runs", {"limit": LISTED})["runs"] if run["id"].startswith(run_id)]
    if len(fitting) > 1:
        raise RunNotFound(f"{len(fitting)} runs have an id that begins with {run_id}: give more of the id.")
    if not fitting:
        raise RunNotFound(f"None of the newest {LISTED} runs has an id that begins with {run_id}: give the whole id.")
    return fitting[0]
