"""The history of runs, and the comparison of two runs.

The history shows all runs to users who may see them, and otherwise only the user's own.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import g, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from app.answers.compare import compare
from app.api.runs import find
from app.stored_result import result_of
from app.web.shell import Page, back_to, error_page, render
from ledger.runs.cancelling import Choice
from ledger.runs.run import ENDED, Mode, State
from ledger.store import AppLedger

PAGE = 50
VERDICTS = ("YES", "NO", "UNKNOWN")
OFFSET_MAX = 1_000_000


class RunsPages:
    """The pages `/runs` and `/compare`."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def listing(self) -> AnyResponse:
        """Show a page of the history. The address contains the filters, so that it can be sent to a colleague."""
        all_of_them = _sees_all()
        filters = _filters(request.args)
        offset = min(int(text) if (text := request.args.get("offset", "0")[:8]).isdecimal() else 0, OFFSET_MAX)
        runs, total = self._ledger.search(
            user=g.identity.name if not all_of_them else filters["user"] or None,
            state=State(filters["state"]) if filters["state"] else None,
            mode=Mode(filters["mode"]) if filters["mode"] else None,
            verdict=filters["verdict"] or None,
            text=filters["text"],
            offset=offset,
            limit=PAGE,
        )
        query = {name: value for name, value in filters.items() if value}
        return render(
            "runs.html",
            runs=runs,
            total=total,
            offset=offset,
            filters=filters,
            filtered=bool(query),
            address=_address(query, offset),
            everybody=all_of_them,
            may_cancel=g.identity.may("user") and any(run.state not in ENDED for run in runs),
            newer=_address(query, max(0, offset - PAGE)) if offset else "",
            older=_address(query, offset + PAGE) if offset + PAGE < total else "",
            states=list(State),
            modes=list(Mode),
            verdicts=VERDICTS,
        )

    def cancel(self) -> AnyResponse:
        """Cancel the waiting and running runs that match the filters, then show the list again."""
        filters = _filters(request.form)
        state = State(filters["state"]) if filters["state"] else None
        if filters["verdict"] or state in ENDED:  # only runs that have ended match
            return back_to(_address(filters, 0), "none-cancelled")
        user = filters["user"] or None if g.identity.may("admin") else g.identity.name
        mode = Mode(filters["mode"]) if filters["mode"] else None
        count = self._ledger.cancel_matching(Choice(user, mode, state, filters["text"]), by=g.identity.name)
        return back_to(_address(filters, 0), "cancelled" if count.cancelled + count.cancelling else "none-cancelled")

    def compare(self) -> AnyResponse:
        """Show the differences between two finished runs."""
        given = [request.args.get(name, "") for name in ("a", "b")]
        if not all(given):
            detail = "Choose two runs: open one, then select Compare beside another run of the same test."
            return error_page(422, detail)
        runs = [find(self._ledger, run_id) for run_id in given]
        results = []
        for run in runs:
            if run.mode is Mode.BULK:
                return error_page(422, f"Run {run.id} is a bulk run: only runs with one question can be compared.")
            result = result_of(self._ledger, run)
            if result is None:
                return error_page(409, f"Run {run.id} has no result; its state is {run.state}.")
            results.append(result)
        return render("compare.html", a=runs[0], b=runs[1], found=compare(*results))

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/runs", "runs", self.listing),
            Page("POST", "/runs/cancel", "runs_cancel", self.cancel, "user"),
            Page("GET", "/compare", "compare", self.compare),
        ]


def _sees_all() -> bool:
    return bool(g.identity.sees_all)


def _filters(given: MultiDict[str, str]) -> dict[str, str]:
    """Return the filters in an address or a form, with "" for each that is missing or invalid."""
    return {
        "text": given.get("text", "").strip()[:100],
        "state": _one_of(State, given.get("state")),
        "mode": _one_of(Mode, given.get("mode")),
        "verdict": given.get("verdict", "") if given.get("verdict") in VERDICTS else "",
        "user": given.get("user", "").strip()[:64] if _sees_all() else "",
    }


def _one_of(kind: type[State] | type[Mode], given: str | None) -> str:
    return given if given in kind.__members__.values() else ""  # type: ignore[return-value]


def _address(filters: dict[str, str], offset: int) -> str:
    query = {name: value for name, value in filters.items() if value}
    return "/runs?" + urlencode({**query, **({"offset": offset} if offset else {})})
