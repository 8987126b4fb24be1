"""Bulk tests: rows of text, a dry run, and one page for all results."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import g, request
from werkzeug.wrappers import Response

from app.formatting import spans
from app.rows import ROWS_MAX, Row, read_rows
from app.web.forms import spreadsheet
from app.web.shell import Page, back_to, later, render
from app.web.views.ask import BLANK, protocol
from ledger.errors import BadInput, RunNotFound, TooManyWaiting
from ledger.runs.requests import RunRequest
from ledger.runs.run import ENDED, Mode, Run
from ledger.settings import Settings
from ledger.store import AppLedger

FILE_MAX = 48 * 1024
TOO_LARGE = f"The file is larger than {FILE_MAX // 1024} KiB: submit its rows in several parts."
NO_ROWS = "There are no rows: paste some, or choose a file."
CHANGED = "The rows or their settings have changed since you checked them: check them again."
_KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Draft:
    """The form as it was sent: the text of the rows, and how to read it."""

    text: str
    values: Mapping[str, str]
    file_too_large: bool = False

    def read(self) -> tuple[list[Row], str]:
        """Return the rows, or no rows and the error."""
        if self.file_too_large:
            return [], TOO_LARGE
        try:
            rows = read_rows(self.text, mode=self.values["mode"], default_protocol=protocol(self.values))
        except BadInput as bad:
            return [], str(bad)
        return rows, "" if rows else NO_ROWS

    @property
    def digest(self) -> str:
        """Digest of the rows, which ensures that only rows that were checked are submitted.

        Line ends do not change it.
        """
        lines = [line.strip() for line in self.text.splitlines()]
        return hashlib.sha256("\n".join([self.values["mode"], protocol(self.values), *lines]).encode()).hexdigest()[:16]

    def page(self, rows: Sequence[Row] = (), *, error: str = "", status: int = 200, key: str = "") -> Response:
        """Return the page with the form, these rows and this error."""
        wrong = sum(1 for row in rows if row.errors)
        return render(
            "many.html",
            status,
            text=self.text,
            values=self.values,
            rows=rows,
            wrong=wrong,
            right=len(rows) - wrong,
            error=error,
            seen=self.digest,
            key=key or str(uuid.uuid4()),
            rows_max=ROWS_MAX,
        )


def sent_draft() -> Draft:
    """Return the form of this request. A file replaces the text of the rows, unless the file is empty or too large."""
    text = request.form.get("rows", "")
    values = BLANK | {name: request.form.get(name, BLANK[name]) for name in ("mode", "default_protocol")}
    file = request.files.get("file")
    content = file.read(FILE_MAX + 1) if file else b""
    if len(content) > FILE_MAX:
        return Draft(text, values, file_too_large=True)
    return Draft(content.decode("utf-8", "replace") or text, values)


class BulkPages:
    """The pages `/many` and `/many/<key>`, the results.

    Only the runs of a batch are stored. Their ids are derived from the user, the key in the address and the line.
    """

    def __init__(self, ledger: AppLedger, settings: Settings) -> None:
        self._ledger = ledger
        self._waiting_max = settings.waiting_max

    def form(self) -> Response:
        """Show the empty form."""
        return Draft("", BLANK).page()

    def rows(self) -> Response:
        """Check the rows.

        If the same rows were checked and confirmed, submit the valid ones and redirect to the results.
        """
        draft = sent_draft()
        rows, error = draft.read()
        if error:
            return draft.page(error=error, status=422)
        if request.form.get("confirmed") == "yes":
            return self._confirmed(draft, rows)
        return draft.page(rows, status=422 if any(row.errors for row in rows) else 200)

    def _confirmed(self, draft: Draft, rows: list[Row]) -> Response:
        valid = {row.line: row.request for row in rows if row.request}
        if request.form.get("seen") != draft.digest or not valid:
            return draft.page(rows, error=CHANGED, status=422)
        given = request.form.get("key", "")
        key = given if _KEY.fullmatch(given) else str(uuid.uuid4())
        if refused := self._submit(valid, key):
            return later(draft.page(rows, error=str(refused), status=429, key=key), refused)
        return back_to(f"/many/{key}?lines={spans(list(valid)).replace(' ', '')}")

    def _submit(self, good: Mapping[int, RunRequest], key: str) -> TooManyWaiting | None:
        """Submit all rows, or none if they exceed the user's limit of waiting runs. Returns the error, or None."""
        user, names = g.identity.name, {line: _name(key, line) for line in good}
        room = max(0, self._waiting_max - self._ledger.waiting_of(user))
        new = len(good) - len(self._ledger.keyed(user, names.values())) if len(good) > room else 0
        if new > room:
            rows = f"there {'is 1 row' if new == 1 else f'are {new} rows'}"
            return TooManyWaiting(
                f"No rows were submitted: {rows}, but you can add only {room} run{'' if room == 1 else 's'} now (your"
                f" limit is {self._waiting_max} waiting runs). Submit fewer rows, or try again when some of your runs"
                " have started."
            )
        for asked, (line, request_) in enumerate(good.items()):
            try:
                self._ledger.submit(request_, user=user, idempotency_key=names[line])
            except TooManyWaiting as refused:  # the same user has submitted other runs in the meantime
                return TooManyWaiting(
                    f"Only the first {asked} of the {len(good)} rows were submitted. {refused}"
                    " Press the same button again: no row will be submitted twice."
                )
        return None

    def answers(self, key: str) -> Response:
        """Show all runs of one batch in the order of its rows."""
        lines, runs = self._runs(key)
        left = sum(1 for run in runs.values() if run.state not in ENDED)
        return render(
            "answers.html",
            runs=runs,
            count=len(lines),
            lines=request.args["lines"],
            key=key,
            left=left,
            address=request.full_path,
        )

    def as_csv(self, key: str) -> Response:
        """Export the same runs as CSV.

        The columns are line, source, destination, services, mode, state, answer, stopped by, run, and one way.
        """
        lines = [spreadsheet.row("line source destination services mode state answer stopped_by run one_way".split())]
        for line, run in self._runs(key)[1].items():
            services = " ".join(map(str, run.services))
            cells = [
                line,
                run.source,
                run.destination,
                services,
                run.mode,
                run.state,
                run.verdict,
                run.stopped_by,
                run.id,
                "yes" if run.mode is Mode.QUICK else "no",
            ]
            lines.append(spreadsheet.row(cells))
        headers = {"Content-Disposition": 'attachment; filename="reachq-answers.csv"'}
        return Response("".join(lines), content_type="text/csv; charset=utf-8", headers=headers)

    def _runs(self, key: str) -> tuple[list[int], dict[int, Run]]:
        """Return the submitted lines, and {line: run} of the runs that are still in the history."""
        lines = _lines(request.args.get("lines", ""))
        if not _KEY.fullmatch(key) or not 1 <= len(lines) <= ROWS_MAX:
            raise RunNotFound("There is no such bulk test.")
        names = {line: _name(key, line) for line in lines}
        by_name = self._ledger.keyed(g.identity.name, names.values())
        runs = {line: by_name[name] for line, name in names.items() if name in by_name}
        if not runs:
            raise RunNotFound("You have no such bulk test, or its runs are no longer in the history.")
        return lines, runs

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/many", "many", self.form, "user"),
            Page("POST", "/many", "many_rows", self.rows, "user"),
            Page("GET", "/many/<key>", "many_answers", self.answers),
            Page("GET", "/many/<key>/answers.csv", "many_csv", self.as_csv),
        ]


def _lines(text: str) -> list[int]:
    """Parse a list such as `1-4,6` to numbers. The result is empty if the list is invalid or too long."""
    lines: list[int] = []
    for part in text[:4000].split(","):
        ends = re.fullmatch(r"([1-9][0-9]{0,5})(?:-([1-9][0-9]{0,5}))?", part)
        if not ends or len(lines) > ROWS_MAX:
            return []
        first, last = int(ends[1]), int(ends[2] or ends[1])
        lines += range(first, min(last, first + ROWS_MAX) + 1)
    return lines


def _name(key: str, line: int) -> str:
    return f"rows {key} {line}"
