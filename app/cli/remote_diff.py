"""Compares snapshots through the HTTP API, and pushes folders, for the command line on another machine."""

from __future__ import annotations

import time
import urllib.parse
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import msgspec

from app.answers.impact.expectation import NOTHING, Expectation
from app.changes.reporting import Report, report_of_no_change
from app.cli import interrupt
from app.cli.change_report import ReportForm
from app.cli.console import style
from app.cli.exit_codes import NOT_ANSWERED
from app.cli.status_line import StatusLine
from app.formatting import short
from app.remote.api import Api
from app.remote.archives import packed
from app.snapshots.push import CHECK_S, archive_name, problems_of
from ledger.errors import SnapshotNotReady
from ledger.snapshots.records import Snapshot, SnapshotState

WAIT_S = 20
"""Time for which one request waits."""
POLL_S = 0.2


def push(api: Api, path: Path, *, note: str) -> tuple[Snapshot, bool]:
    """Store a folder or archive as a snapshot, and wait until a host has checked it. Returns it, and whether it is new.

    Raises FactsError, ApiRefused, ApiAway or SnapshotNotReady.
    """
    before = {one["facts"] for one in api.get("/api/snapshots", {"limit": 1000})["snapshots"]}
    name = path.resolve().name if path.is_dir() else archive_name(path.name)
    document = api.upload("/api/snapshots", packed(path), {"name": name[:60], "note": note, "wait": WAIT_S})
    until = time.monotonic() + CHECK_S
    while document["state"] == SnapshotState.CHECKING:
        if time.monotonic() > until:
            raise SnapshotNotReady(f"No host has checked snapshot {document['facts']} within {CHECK_S:g} s.")
        time.sleep(POLL_S)
        document = api.get(f"/api/snapshots/{document['facts']}")
    return _snapshot(document), document["facts"] not in before


def diff(
    api: Api,
    sides: tuple[str, str],
    *,
    rows: str,
    recent: int,
    expectation: str,
    expected: Expectation | None,
    note: str,
    shown: ReportForm,
) -> int:
    """Compare two snapshots or folders, and print the report. Returns the exit code.

    `expectation` is the text of a file, and `expected` what it says (None: there is no file).
    """
    before, after = (_side(api, name) for name in sides)
    if before == after and any(map(is_path, sides)):
        click.echo(f"both sides are snapshot {before}: nothing changed, so nothing was asked", err=True)
        return shown.print(report_of_no_change(before, expected or NOTHING, expected=expected is not None))
    body = {"before": before, "after": after, "rows": rows, "recent": recent, "note": note, "expectation": expectation}
    document, line = api.post("/api/changes", body), StatusLine()
    try:
        while not document["finished"] and not document["problem"]:
            line.show(f"{document['answered']:,} of {2 * document['questions']:,} questions answered")
            document = api.get(f"/api/changes/{document['id']}", {"wait": WAIT_S})
    except KeyboardInterrupt:
        interrupt.handled()
        line.clear()
        click.echo(f"comparison {short(document['id'])} continues: the page Changes shows its report", err=True)
        return NOT_ANSWERED
    finally:
        line.clear()
    if document["problem"]:
        click.echo(f"{style('reachq:', fg='red')} there is no report: {document['problem']}", err=True)
        return NOT_ANSWERED
    text = api.get_bytes(f"/api/changes/{document['id']}/report")
    return shown.print(msgspec.json.decode(text, type=Report))


def is_path(name: str) -> bool:
    """Whether a side is a folder or an archive, and not the name of a snapshot."""
    return name != "current" and Path(name).exists()


def _side(api: Api, name: str) -> str:
    """Return the facts hash of a side. A folder or archive is pushed first."""
    if not is_path(name):
        return str(api.get(f"/api/snapshots/{urllib.parse.quote(name, safe='')}")["facts"])
    snapshot, _ = push(api, Path(name), note="pushed by reachq diff")
    if snapshot.state is SnapshotState.REFUSED:
        raise problems_of(snapshot)
    return snapshot.facts


def _snapshot(document: Any) -> Snapshot:
    given = {field.name: document[field.name] for field in fields(Snapshot) if field.name in document}
    given |= {name: tuple(given[name]) for name in ("problems", "warnings")}
    return Snapshot(**given | {"state": SnapshotState(given["state"])})
