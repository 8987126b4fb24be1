"""The pages of comparisons: the list with a form, one comparison with its report, and a what-if."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from app.answers.impact.document import CHANGED
from app.answers.impact.expectation import read_expectation
from app.answers.impact.markdown import impact_markdown
from app.answers.impact.sections import Section, sections
from app.answers.impact.selection import chosen, read_selection
from app.answers.impact.table import impact_csv
from app.answers.impact.words import scope
from app.changes.asking import ask_both
from app.changes.questions import RECENT, BadRows, assemble, flows_of, rows_of
from app.changes.removing import remove_comparison
from app.changes.reporting import EXPECTATION_FILE, Report, progress_of, report_of
from app.changes.visible import change_for, changes_for, may_remove, own_change_for, recent_for
from app.changes.what_if import discard_what_if, editable_files, push_what_if
from app.http.problems import FieldError
from app.people.identity import me
from app.snapshots.push import await_check, problems_of
from app.web.shell import Page, back_to, later, render
from ledger.changes.records import Change
from ledger.errors import BadInput, ReachqError, SnapshotNotFound, StoreDamaged, TooManyWaiting
from ledger.snapshots.records import SnapshotState
from ledger.store import AppLedger
from netlab.errors import FactsError
from netlab.facts.changes.document import NOUNS

SHOWN = 50
ITEMS_MAX = 500
"""Maximum number of items of a class on the page. The CSV has all of them."""
CHECK_S = 20.0
TEXT_MAX = 512 * 1024
"""Maximum size of a file that can be edited on the page."""


class ChangesPages:
    """The pages `/changes`, `/changes/<id>` and `/what-if`."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Show the newest comparisons, and the form for another one."""
        return self._page({})

    def _page(
        self, typed: Mapping[str, str], status: int = 200, *, error: str = "", errors: list[FieldError] | None = None
    ) -> Response:
        return render(
            "changes.html",
            status,
            changes=changes_for(me(), self._ledger, limit=SHOWN),
            snapshots=[one for one in self._ledger.snapshots(limit=SHOWN) if one.state is SnapshotState.READY],
            flows=typed.get("flows", self._ledger.management_flows()),
            typed=typed,
            error=error,
            errors=errors or [],
            recent=RECENT,
            me_may_ask=me().may("user"),
            me_is_admin=me().may("admin"),
        )

    def add(self) -> Response:
        """Ask the questions of the form in both snapshots, and show the comparison."""
        typed = {name: request.form.get(name, "") for name in ("before", "after", "rows", "note", "expectation")}
        try:
            if typed["expectation"].strip():
                read_expectation(typed["expectation"], EXPECTATION_FILE)
            change = self._ask(typed["before"], typed["after"], typed)
        except ReachqError as bad:
            return self._refused(typed, bad)
        return back_to(f"/changes/{change.id}")

    def _ask(self, before: str, after: str, typed: Mapping[str, str]) -> Change:
        rows = rows_of(typed.get("rows", ""))
        asked = rows or list(enumerate(recent_for(me(), self._ledger), 1))
        return ask_both(
            self._ledger,
            before,
            after,
            assemble(self._ledger, asked),
            user=me().name,
            note_text=typed.get("note", ""),
            expectation=typed.get("expectation", "").strip(),
        )

    def _refused(self, typed: Mapping[str, str], bad: ReachqError) -> Response:
        errors = _errors_of(bad)
        status = 429 if isinstance(bad, TooManyWaiting) else 422
        page = self._page(typed, status, error=str(bad), errors=errors)
        return later(page, bad) if isinstance(bad, TooManyWaiting) else page

    def set_flows(self) -> Response:
        """Store the management flows of the network."""
        rows = request.form.get("flows", "")
        try:
            flows_of(rows)
        except BadInput as bad:
            return self._refused({"flows": rows}, bad)
        self._ledger.set_management_flows(rows, by=me().name)
        return back_to("/changes", "flows-stored")

    def one(self, change_id: str) -> Response:
        """Show a comparison: how far it is, or its report."""
        change = change_for(me(), self._ledger, change_id)
        progress = progress_of(self._ledger, change)
        report, problem = None, progress.problem
        if progress.finished:
            try:
                report = self._report(change)
            except BadInput as bad:
                return self._shown(change, progress, None, str(bad), status=422)
            except ReachqError as bad:
                problem = str(bad)
        return self._shown(change, progress, report, problem)

    def _shown(
        self, change: Change, progress: Any, report: Report | None, problem: str, *, status: int = 200
    ) -> Response:
        shown: list[Section] = []
        if report:
            shown = list(sections(report.impact, report.judgement if report.expected else None))
        return render(
            "change.html",
            status,
            change=change,
            progress=progress,
            problem=problem,
            report=report,
            sections=shown,
            items_max=ITEMS_MAX,
            scope=scope(report.impact.counts) if report else "",
            classes=CHANGED,
            nouns=NOUNS,
            filters={name: request.args.get(name, "") for name in ("kind", "router", "address", "services")},
            may_remove=may_remove(me(), change),
        )

    def _report(self, change: Change) -> Report:
        """Return the report with the cells that the filters of the address select."""
        given = request.args
        kinds = [given["kind"]] if given.get("kind") else []
        selection = read_selection(kinds, given.get("router", ""), given.get("address", ""), given.get("services", ""))
        report = report_of(self._ledger, change)
        return Report(chosen(report.impact, selection), report.judgement, report.expected)

    def csv(self, change_id: str) -> Response:
        """Download the changed cells as CSV."""
        text = impact_csv(self._report(change_for(me(), self._ledger, change_id)).impact)
        headers = {"Content-Disposition": f'attachment; filename="reachq-change-{change_id[:8]}.csv"'}
        return Response(text, content_type="text/csv; charset=utf-8", headers=headers)

    def markdown(self, change_id: str) -> Response:
        """Download the report as Markdown."""
        report = self._report(change_for(me(), self._ledger, change_id))
        text = impact_markdown(report.impact, report.judgement if report.expected else None)
        headers = {"Content-Disposition": f'attachment; filename="reachq-change-{change_id[:8]}.md"'}
        return Response(text, content_type="text/markdown; charset=utf-8", headers=headers)

    def remove(self, change_id: str) -> Response:
        """Remove a comparison, and the snapshot of its what-if."""
        remove_comparison(self._ledger, own_change_for(me(), self._ledger, change_id), by=me().name)
        return back_to("/changes", "change-removed")

    def back(self, change_id: str) -> Response:
        """Redirect to the comparison from an address that only accepts forms."""
        return back_to(f"/changes/{change_for(me(), self._ledger, change_id).id}")

    def what_if(self) -> Response:
        """Show the form to edit one file of the current snapshot."""
        return self._what_if(request.args.get("file", "")[:200])

    def _what_if(
        self,
        path: str,
        status: int = 200,
        *,
        text: str | None = None,
        error: str = "",
        errors: list[FieldError] | None = None,
    ) -> Response:
        files, damage = self._files()
        given = files.get(path, "")
        too_large = len(given.encode()) > TEXT_MAX
        return render(
            "what_if.html",
            status,
            files=sorted(files),
            path=path if path in files else "",
            text=given if text is None else text,
            too_large=too_large,
            rows=request.form.get("rows", ""),
            error=error or damage,
            errors=errors or [],
            recent=RECENT,
        )

    def _files(self) -> tuple[dict[str, str], str]:
        """Return the files that can be edited, or why there are none."""
        try:
            return editable_files(self._ledger), ""
        except (SnapshotNotFound, StoreDamaged) as bad:
            return {}, str(bad)

    def try_out(self) -> Response:
        """Store the edited file as a snapshot, compare it with the current one, and show the comparison."""
        path, text = request.form.get("file", ""), request.form.get("text", "")
        try:
            rows_of(request.form.get("rows", ""))
            change = self._try(path, text)
        except FactsError as bad:
            errors = [FieldError(field=str(one).partition(": ")[0], message=one.message) for one in bad.problems[:100]]
            return self._what_if(
                path, 422, text=text, error=f"The facts cannot be used: {bad.problems[0]}", errors=errors
            )
        except TooManyWaiting as bad:
            return later(self._what_if(path, 429, text=text, error=str(bad)), bad)
        except ReachqError as bad:
            return self._what_if(path, 422, text=text, error=str(bad), errors=_errors_of(bad))
        return back_to(f"/changes/{change.id}")

    def _try(self, path: str, text: str) -> Change:
        """Store the edited file as a snapshot, and ask the questions in it. The snapshot is removed if this fails."""
        facts = push_what_if(self._ledger, path, text, by=me().name)
        try:
            snapshot = await_check(self._ledger, facts, timeout_s=CHECK_S)
            if snapshot.state is SnapshotState.REFUSED:
                raise problems_of(snapshot)
            return self._ask("current", facts, {"rows": request.form.get("rows", ""), "note": f"what-if: {path}"})
        except (FactsError, ReachqError):
            discard_what_if(self._ledger, facts, by=me().name)
            raise

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/changes", "changes", self.page),
            Page("POST", "/changes", "changes_add", self.add, "user"),
            Page("GET", "/management-flows", "flows_page", lambda: back_to("/changes"), "admin"),
            Page("POST", "/management-flows", "flows_store", self.set_flows, "admin"),
            Page("GET", "/changes/<change_id>", "change", self.one),
            Page("GET", "/changes/<change_id>/report.csv", "change_csv", self.csv),
            Page("GET", "/changes/<change_id>/report.md", "change_markdown", self.markdown),
            Page("GET", "/changes/<change_id>/remove", "change_remove_page", self.back, "user"),
            Page("POST", "/changes/<change_id>/remove", "change_remove", self.remove, "user"),
            Page("GET", "/what-if", "what_if", self.what_if, "user"),
            Page("POST", "/what-if", "what_if_try", self.try_out, "user"),
        ]


def _errors_of(bad: ReachqError) -> list[FieldError]:
    """Return one error for each wrong row, or none."""
    if not isinstance(bad, BadRows):
        return []
    return [FieldError(field=f"line {row.line}", message=error) for row in bad.rows[:100] for error in row.errors]
