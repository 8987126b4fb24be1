"""Snapshots as text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.cli.console import columns, paint, style
from app.formatting import ago
from ledger.snapshots.records import Snapshot, SnapshotState
from netlab.terminal import in_a_line

WARNINGS_SHOWN = 20


def listed(snapshots: Sequence[Snapshot]) -> str:
    """Return the list, one snapshot in each line."""
    if not snapshots:
        return "there are no snapshots yet; `reachq facts push FOLDER` stores one"
    head = ["snapshot", "", "pushed", "by", "routers", "from", "changes"]
    rows = [
        [
            one.facts,
            _status(one),
            ago(one.pushed_ms),
            in_a_line(one.by),
            str(one.routers),
            in_a_line(one.origin),
            in_a_line(one.note or one.changes),
        ]
        for one in snapshots
    ]
    return columns([[style(word, bold=True) for word in head], *rows])


def one(snapshot: Snapshot) -> str:
    """Return everything about one snapshot."""
    rows = [
        ["state", _status(snapshot)],
        ["pushed", f"{ago(snapshot.pushed_ms)} by {in_a_line(snapshot.by)}, from {in_a_line(snapshot.origin)}"],
        ["routers", str(snapshot.routers)],
        ["size", f"{snapshot.bytes:,} bytes"],
    ]
    if snapshot.note:
        rows.append(["note", in_a_line(snapshot.note)])
    if snapshot.checked_ms:
        rows.append(["checked", f"{ago(snapshot.checked_ms)} on {in_a_line(snapshot.host)}"])
    if snapshot.used_ms:
        rows.append(
            ["current", f"since {ago(snapshot.used_ms)}" if snapshot.current else f"{ago(snapshot.used_ms)}, last"]
        )
        rows[-1][1] += f", by {in_a_line(snapshot.used_by)}"
    if snapshot.pinned:
        rows.append(["pinned", f"by {in_a_line(snapshot.pinned_by)} {in_a_line(snapshot.pinned_why)}".rstrip()])
    if snapshot.previous:
        rows.append(["compared", f"with {snapshot.previous}: {in_a_line(snapshot.changes) or 'not compared'}"])
    return "\n".join([f"snapshot {snapshot.facts}", columns(rows), *_findings(snapshot)])


def pushed(snapshot: Snapshot, *, new: bool) -> str:
    """Return the result of a push."""
    count = f"{snapshot.routers} router{'' if snapshot.routers == 1 else 's'}"
    known = "" if new else ", which was stored before"
    states = {
        SnapshotState.READY: "ready" if not snapshot.current else "current",
        SnapshotState.CHECKING: "stored; a host will check it",
        SnapshotState.REFUSED: "refused: no bench can be built from it",
    }
    head = f"snapshot {snapshot.facts} of {count}{known}: {states[snapshot.state]}"
    if snapshot.state is SnapshotState.READY and not snapshot.current:
        head += f"; `reachq facts use {snapshot.facts}` makes it current"
    return "\n".join([head, *_findings(snapshot)])


def _status(snapshot: Snapshot) -> str:
    word = "current" if snapshot.current else str(snapshot.state)
    return paint(word) + (" pinned" if snapshot.pinned else "")


def _findings(snapshot: Snapshot) -> list[str]:
    """Return the problems, and the first warnings."""
    more = len(snapshot.warnings) - WARNINGS_SHOWN
    return [
        *(in_a_line(problem) for problem in snapshot.problems),
        *(f"WARNING {in_a_line(warning)}" for warning in snapshot.warnings[:WARNINGS_SHOWN]),
        *([f"and {more} more warnings"] if more > 0 else []),
    ]
