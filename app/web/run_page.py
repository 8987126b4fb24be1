"""One run: where it stands, when its turn is, what came out, and what to do with it."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from app import spelling
from app.api.runs import find
from app.people.origin import base_address
from app.web import story, words
from app.web.estimate import about, pace, starts_in_ms
from app.web.matrix import matrix
from app.web.path_picture import PHONE, path_picture
from app.web.shell import Page, back_to, now_ms, render
from app.web.spreadsheet import row
from app.web.ways import path_groups
from ledger.errors import RunEnded, RunNotFound
from ledger.requests import RunRequest
from ledger.runs import ENDED, Mode, Run, State
from ledger.settings import Settings
from ledger.store import Ledger

QUEUE_WINDOW, PACE_WINDOW = 500, 100
BEFORE_MAX, ALIKE_MAX = 5, 50
GROUPS_MAX = 12
"""Pictures on one page; a run with more kinds of paths names the rest in the matrix only."""


class RunPages:
    """`/runs/<id>` and what hangs on it."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings

    def page(self, run_id: str) -> AnyResponse:
        """The whole page."""
        run = self._find(run_id)
        return render("run.html", **self._told(run), before=self._asked_before(run))

    def live(self, run_id: str) -> AnyResponse:
        """The part that changes, fetched whenever something happened to the run."""
        return render("_run_live.html", **self._told(self._find(run_id)))

    def _told(self, run: Run) -> dict[str, Any]:
        told: dict[str, Any] = {"run": run, "ended": run.state in ENDED, "document": None, "title": question(run)}
        log = self._ledger.log(run.id) if run.mode is Mode.DETAILED else []
        told |= {"steps": story.way(run, log), "log": log, "percent": log[-1]["percent"] if log else None}
        told["may_act"] = g.identity.role != "viewer"
        told["commands"] = story.commands(run, base_address(request, self._settings))
        if run.state is State.PENDING:
            told |= self._turn(run)
        if run.state is State.DONE and (document := self._ledger.result(run.id)):
            told |= shown(document)
        return told

    def _turn(self, run: Run) -> dict[str, Any]:
        """Position and time of a waiting run; both None where the line is longer than one looks."""
        view = self._ledger.queue(limit=QUEUE_WINDOW, ended=PACE_WINDOW)
        position = next((at for at, waiting in enumerate(view.waiting, 1) if waiting.id == run.id), None)
        starts = starts_in_ms(view, pace(view.finished), now_ms(), run.id)
        if self._ledger.paused():
            starts = None
        return {
            "position": position,
            "waiting_total": view.waiting_total,
            "eta": about(starts) if starts is not None else "",
            "window": QUEUE_WINDOW,
        }

    def _asked_before(self, run: Run) -> list[Run]:
        """The last runs of the same question by whoever may be seen, to compare with."""
        mine = g.identity.name if g.identity.role == "user" else None
        found, _ = self._ledger.search(
            user=mine, state=State.DONE, source=run.source, destination=run.destination, limit=ALIKE_MAX, counted=False
        )
        same = [other for other in found if other.id != run.id and set(other.services) & set(run.services)]
        return same[:BEFORE_MAX]

    def cancel(self, run_id: str) -> AnyResponse:
        """Call it off, then show it."""
        run = self._find(run_id)
        try:
            self._ledger.cancel(run.id, by=g.identity.name)
        except RunEnded:
            return back_to(f"/runs/{run.id}", "ended")
        return back_to(f"/runs/{run.id}", "cancelled")

    def find_rule(self, run_id: str) -> AnyResponse:
        """A detailed run of what this one says NO to (or of the services named in the form)."""
        run = self._find(run_id)
        document = self._ledger.result(run.id)
        named = request.form.get("services", "") or (story.no_services(document) if document else "")
        asked = RunRequest.parse(run.source, run.destination, named, Mode.DETAILED, run.source_port)
        new, _ = self._ledger.submit(asked, user=g.identity.name)
        return back_to(f"/runs/{new.id}")

    def raw(self, run_id: str) -> AnyResponse:
        """The result document as it stands."""
        run, document = self._answered(run_id)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        return _download(text, "application/json", f"reachq-{words.short(run.id)}.json", inline=True)

    def as_csv(self, run_id: str) -> AnyResponse:
        """A row for each service and router: what spreadsheets take."""
        run, document = self._answered(run_id)
        return _download(csv_of(document), "text/csv", f"reachq-{words.short(run.id)}.csv")

    def _answered(self, run_id: str) -> tuple[Run, dict[str, Any]]:
        run = self._find(run_id)
        document = self._ledger.result(run.id)
        if document is None:
            raise RunNotFound(f"Run {run.id} has no result: it is {run.state}.")
        return run, document

    def _find(self, run_id: str) -> Run:
        return find(self._ledger, run_id)

    def pages(self) -> list[Page]:
        """What this offers."""
        return [
            Page("GET", "/runs/<run_id>", "run", self.page),
            Page("GET", "/runs/<run_id>/live", "run_live", self.live),
            Page("GET", "/runs/<run_id>/result.json", "run_json", self.raw),
            Page("GET", "/runs/<run_id>/result.csv", "run_csv", self.as_csv),
            Page("POST", "/runs/<run_id>/cancel", "run_cancel", self.cancel, "user"),
            Page("POST", "/runs/<run_id>/find-rule", "run_find_rule", self.find_rule, "user"),
        ]


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """What the template shows of a result: matrix, pictures in two widths, sentences."""
    groups = path_groups(document)
    return {
        "document": document,
        "matrix": matrix(document),
        "groups": [
            (group, path_picture(document, group.indices[0]), path_picture(document, group.indices[0], per_row=PHONE))
            for group in groups[:GROUPS_MAX]
        ],
        "groups_more": max(0, len(groups) - GROUPS_MAX),
        "sentences": story.sentences(document),
        "no_services": story.no_services(document),
    }


def question(run: Run) -> str:
    """`10.1.10.20 → 10.3.20.8`."""
    return f"{run.source} → {run.destination}"


def csv_of(document: dict[str, Any]) -> str:
    """Columns: source, destination, service, answer, hop, router, in, out, result, rule, file, line."""
    lines = [row("source destination service answer hop router in out result rule file line".split())]
    answers = {spelling.service_name(service): service["result"] for service in document["services"]}
    for router in document["routers"]:
        for cell in router["services"]:
            name, rule = spelling.service_name(cell), cell.get("rule") or {}
            asked = [document["source"], document["destination"], name, answers.get(name, "")]
            passed = [router["hop"], router["name"], router.get("in"), router.get("out"), cell["result"]]
            lines.append(row([*asked, *passed, rule.get("text"), rule.get("file"), rule.get("line")]))
    if not document["routers"]:
        for name, answer in answers.items():
            lines.append(row([document["source"], document["destination"], name, answer, *[""] * 8]))
    return "".join(lines)


def _download(text: str, kind: str, name: str, *, inline: bool = False) -> Response:
    how = "inline" if inline else "attachment"
    return Response(
        text, content_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": f'{how}; filename="{name}"'}
    )
