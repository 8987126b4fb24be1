"""Bulk tests: rows of text, a dry run, and one page for all results."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flask import g, request
from werkzeug.wrappers import Response

from app.api.runs import find
from app.formatting import spans
from app.questions import answered
from app.questions.answered import AnsweredRow
from app.questions.planned import part_name, planned, submit_all
from app.rows import ROWS_MAX, Row, read_rows
from app.web.shell import Page, back_to, later, render
from app.web.views.ask import BLANK, protocol
from ledger.errors import BadInput, RunNotFound, TooManyWaiting
from ledger.runs.bulk import QUESTIONS_MAX, BulkQuestion
from ledger.runs.run import ENDED, Mode, Run
from ledger.store import AppLedger

FILE_MAX = 48 * 1024
TOO_LARGE = f"The file is larger than {FILE_MAX // 1024} KiB: submit its rows in several parts."
NO_ROWS = "There are no rows: paste some, or choose a file."
CHANGED = "The rows or their settings have changed since you checked them: check them again."
AGAIN = "Press the same button again: no row will be submitted twice."
PAGE = 500
"""Number of rows on one page of the results."""
PARTS_MAX = ROWS_MAX // QUESTIONS_MAX + 1
LINES_MAX = 16_000
"""Maximum number of characters of the list of lines in an address. Rows of FILE_MAX bytes never need more."""
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

    Only the runs of a batch are stored. Their ids are derived from the user, the key in the address, and the line of a
    single run or the number of a bulk run.
    """

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def form(self) -> Response:
        """Show the form: empty, or with the questions of the bulk run that the address names."""
        return Draft(self._given(), BLANK).page()

    def _given(self) -> str:
        if "from" not in request.args:
            return ""
        run = find(self._ledger, request.args["from"])
        questions = self._ledger.questions(run.id) if run.mode is Mode.BULK else ()
        lines = ["source;destination;services;source_port", *map(_as_row, questions)] if questions else []
        return "".join(f"{line}\n" for line in lines)

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
        lines = spans(list(valid)).replace(" ", "")
        given = request.form.get("key", "")
        key = given if _KEY.fullmatch(given) else str(uuid.uuid4())
        try:
            list(submit_all(self._ledger, planned(valid), user=g.identity.name, batch=_batch(key), again=AGAIN))
        except TooManyWaiting as refused:
            return later(draft.page(rows, error=str(refused), status=429, key=key), refused)
        return back_to(f"/many/{key}?lines={lines}")

    def answers(self, key: str) -> Response:
        """Show all rows of one batch in their order, in pages."""
        lines, runs, rows, damage = self._rows(key)
        offset = min(int(text) if (text := request.args.get("offset", "0")[:6]).isdecimal() else 0, len(rows))
        base = f"/many/{key}?lines={request.args['lines']}"
        ended = all(run.state in ENDED for run in runs)
        return render(
            "answers.html",
            rows=rows[offset : offset + PAGE],
            total=len(rows),
            count=len(lines),
            lines=request.args["lines"],
            key=key,
            damage=damage,
            left=sum(1 for one in rows if one.run.state not in ENDED),
            ended=ended,
            offset=offset,
            earlier=f"{base}&offset={max(0, offset - PAGE)}" if offset else "",
            later=f"{base}&offset={offset + PAGE}" if offset + PAGE < len(rows) else "",
            address=request.full_path,
        )

    def as_csv(self, key: str) -> Response:
        """Export the same rows as CSV.

        The columns are line, source, destination, services, mode, state, answer, stopped by, run, and one way.
        """
        table = answered.answers_csv(self._rows(key)[2])
        headers = {"Content-Disposition": 'attachment; filename="reachq-answers.csv"'}
        return Response(table, content_type="text/csv; charset=utf-8", headers=headers)

    def _rows(self, key: str) -> tuple[list[int], list[Run], list[AnsweredRow], list[str]]:
        """Return the submitted lines, the runs that are still in the history, their rows in order, and any damage."""
        lines = _lines(request.args.get("lines", ""))
        if not _KEY.fullmatch(key) or not 1 <= len(lines) <= ROWS_MAX:
            raise RunNotFound("There is no such bulk test.")
        bulk = self._keyed(key, map(part_name, range(1, PARTS_MAX + 1)))
        rows, damage = answered.of_bulk_runs(self._ledger, bulk.values())
        single = self._keyed(key, (str(line) for line in lines if line not in rows))
        rows |= {int(line): answered.of_single(int(line), run) for line, run in single.items()}
        runs = [*bulk.values(), *single.values()]
        if not runs:
            raise RunNotFound("You have no such bulk test, or its runs are no longer in the history.")
        return lines, runs, [rows[line] for line in sorted(rows)], damage

    def _keyed(self, key: str, names: Iterable[str]) -> dict[str, Run]:
        """Return {name: run} of the runs of a batch that are in the history."""
        prefix = f"{_batch(key)} "
        found = self._ledger.keyed(g.identity.name, (prefix + name for name in names))
        return {name.removeprefix(prefix): run for name, run in found.items()}

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
    for part in text[:LINES_MAX].split(","):
        ends = re.fullmatch(r"([1-9][0-9]{0,5})(?:-([1-9][0-9]{0,5}))?", part)
        if not ends or len(lines) > ROWS_MAX:
            return []
        first, last = int(ends[1]), int(ends[2] or ends[1])
        lines += range(first, min(last, first + ROWS_MAX) + 1)
    return lines


def _batch(key: str) -> str:
    return f"rows {key}"


def _as_row(question: BulkQuestion) -> str:
    """Return a question as a row of the form."""
    asked = question.asked
    return f"{asked.source};{asked.destination};{','.join(map(str, asked.services))};{asked.source_port or ''}"
