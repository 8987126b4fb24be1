"""The audit page: the event stream, newest first, with filters and exports. For administrators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypedDict

from flask import Response, request
from werkzeug.wrappers import Response as AnyResponse

from app.live.window import parse_position
from app.web.forms.spreadsheet import row
from app.web.shell import Page, iso, render
from ledger.events import Event, Kind
from ledger.store import AppLedger

PAGE = 100
EXPORT_PAGE = 1000
NOISE = frozenset({Kind.PROGRESS, Kind.WORKER, Kind.WITHDRAWN, Kind.BENCH, Kind.EXPLAINED, Kind.BEGUN, Kind.PROMOTED})
"""Routine events of the processes, which are hidden unless they are requested."""


class Filters(TypedDict):
    """Which events to show. `kinds` is None for all kinds."""

    kinds: set[Kind] | None
    user: str
    run: str


class AuditPages:
    """The page `/audit` and its exports."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> AnyResponse:
        """Show a page of events, newest first."""
        filters = _query()
        before = request.args.get("before", "")
        before = before if (position := parse_position(before)) and max(position) else "+"
        events, more = self._ledger.audit(before=before, limit=PAGE, **_filters(filters))
        return render("audit.html", events=events, more=more, filters=filters, kinds=sorted(Kind), noise=NOISE)

    def as_csv(self) -> AnyResponse:
        """Export all events that match the filters as CSV: time, kind, by, user, run, bench and the rest as JSON."""

        events = self._everything(
            _filters(_query())
        )  # read here, because the body is generated after the request has ended

        def rows() -> Iterator[str]:
            yield row("time kind by user run bench more".split())
            for event in events:
                rest = {k: v for k, v in event.fields.items() if k not in ("by", "user")}
                by, user = event.fields.get("by", ""), event.fields.get("user", "")
                more = json.dumps(rest, ensure_ascii=False)
                yield row([iso(event.ms), event.kind, by, user, event.run_id, event.bench, more])

        return _download(rows(), "text/csv", "reachq-audit.csv")

    def as_lines(self) -> AnyResponse:
        """Export all events that match the filters as JSON lines."""

        events = self._everything(_filters(_query()))

        def lines() -> Iterator[str]:
            for event in events:
                record = {
                    "id": event.id,
                    "time": iso(event.ms),
                    "kind": event.kind,
                    "run": event.run_id,
                    "bench": event.bench,
                }
                yield json.dumps({**record, **event.fields}, ensure_ascii=False) + "\n"

        return _download(lines(), "application/x-ndjson", "reachq-audit.jsonl")

    def _everything(self, filters: Filters) -> Iterator[Event]:
        before = "+"
        while before:
            events, before = self._ledger.audit(before=before, limit=EXPORT_PAGE, **filters)
            yield from events

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/audit", "audit", self.page, "admin"),
            Page("GET", "/audit.csv", "audit_csv", self.as_csv, "admin"),
            Page("GET", "/audit.jsonl", "audit_lines", self.as_lines, "admin"),
        ]


def _query() -> dict[str, str]:
    kind = request.args.get("kind", "")
    return {
        "kind": kind if kind in Kind.__members__.values() or kind == "all" else "",
        "user": request.args.get("user", "").strip()[:64],
        "run": request.args.get("run", "").strip().lower()[:36],
    }


def _filters(query: dict[str, str]) -> Filters:
    kinds = {Kind(query["kind"])} if query["kind"] not in ("", "all") else None if query["kind"] else set(Kind) - NOISE
    return Filters(kinds=kinds, user=query["user"], run=query["run"])


def _download(body: Iterator[str], kind: str, name: str) -> Response:
    return Response(
        body, content_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
