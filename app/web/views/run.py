"""The page of a run: its state, its expected start, its result, and what to do next."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
from flask import Response, g, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from app import formatting
from app.answers import story
from app.answers.bulk import bulk_csv
from app.answers.matrix import Matrix, matrix
from app.answers.paths import Group, ServicePath, path_groups, service_paths
from app.answers.result_csv import result_csv
from app.answers.sentences import Sentence, blocked_services, published, sentences, summary
from app.api.runs import find, require_own
from app.people.identity import may_cancel
from app.people.origin import base_address
from app.stored_result import bulk_result_of, result_of
from app.web.forms.estimate import about, capacities, pace, starts_in_ms
from app.web.links import NETWORKS
from app.web.pictures.path_nodes import RouterAction, router_actions
from app.web.pictures.path_picture import DESK, MIDDLE, PHONE, path_picture
from app.web.shell import Page, back_to, now_ms, render
from app.web.views.bulk_run import ShownAnswers, shown_answers
from ledger.errors import RunEnded, RunNotFound
from ledger.runs.records import ProgressEntry
from ledger.runs.requests import DETAILED_SERVICES_MAX, RunRequest
from ledger.runs.run import ENDED, Mode, Run, State
from ledger.runs.waiting import AHEAD_MAX
from ledger.settings import Settings
from ledger.store import AppLedger
from netlab.results.bulk import BulkResult, encode_bulk
from netlab.results.codec import encode
from netlab.results.document import NO, DetailedResult, Result, ServiceResult
from netlab.results.services import ServiceLike, fold
from netlab.service.status import BenchReport

PACE_WINDOW = 100
BEFORE_MAX, ALIKE_MAX = 5, 50
FACTS = 12
"""Number of characters of the facts' hash that are compared."""
GROUPS_MAX = 12
"""Maximum number of pictures on one page. Further kinds of paths appear only in the matrix."""
_START_OF_ID = re.compile(r"[0-9a-f][0-9a-f-]{7,34}")


@dataclass(frozen=True)
class RunContext:
    """The values of the templates `run.html` and `_run_live.html`."""

    run: Run
    ended: bool
    title: str
    steps: Sequence[story.Step]
    log: Sequence[ProgressEntry]
    percent: int | None
    may_act: bool
    may_cancel: bool
    commands: Sequence[tuple[str, str]]
    """(purpose, command) pairs for a terminal."""
    key: str
    """Idempotency key of the forms on this page."""
    ended_in_words: str
    turn: Turn | None
    """When the run is expected to start; None if it no longer waits."""
    shown: ShownResult | ShownAnswers | None
    """None if there is no result, or no longer."""
    ticket: str = ""
    """The result as text for a ticket."""
    facts_changed: bool = False
    """Whether the bench now has other facts than the result."""


@dataclass(frozen=True)
class Turn:
    """The position and the expected start of a waiting run, if no more runs are submitted."""

    waits: str
    """The reason why it waits; "" if the dispatcher has not checked it yet."""
    position: int | None
    """None behind more than AHEAD_MAX runs."""
    waiting_total: int
    eta: str
    window: int = AHEAD_MAX


class DrawnGroup(NamedTuple):
    """Services with the same picture, as pictures for three window widths and as text: what each router did."""

    group: Group
    service: str
    """The first of these services. The rules shown are those for this service."""
    wide: Markup
    middle: Markup
    narrow: Markup
    actions: list[RouterAction]


@dataclass(frozen=True)
class ShownResult:
    """Everything that the templates show of a result: sentences, pictures, matrix, and the next steps."""

    result: Result
    raw: str
    """The document as published by the API, indented."""
    detailed: bool
    matrix: Matrix
    groups: Sequence[DrawnGroup]
    groups_more: int
    """Number of groups that are not drawn."""
    sentences: Sequence[Sentence]
    summary: str
    blocked_services: str
    """In the syntax of the form."""
    ambiguous: Sequence[str]
    """The caveats that could change the answer."""
    caveats: Sequence[str]
    """All other caveats."""
    too_many: bool
    """Whether a detailed run cannot test all services that it would have to."""
    services_max: int = DETAILED_SERVICES_MAX


class RunPages:
    """The page `/runs/<id>` and its parts."""

    def __init__(self, ledger: AppLedger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings

    def page(self, run_id: str) -> AnyResponse:
        """Show the whole page, or redirect from the start of an id that matches one run."""
        if _START_OF_ID.fullmatch(run_id):
            run = self._ledger.run_starting_with(run_id, user=self._only_mine())
            return redirect(f"/runs/{run.id}")
        run = self._find(run_id)
        if run.bench != self._ledger.bench and run.bench in self._ledger.network_names():
            return redirect(f"{NETWORKS}{run.bench}/runs/{run.id}")
        if run.mode is Mode.BULK:
            return render("bulk_run.html", **vars(self._bulk_context(run)))
        return render("run.html", **vars(self._context(run)), before=self._asked_before(run))

    def live(self, run_id: str) -> AnyResponse:
        """Show the part that changes. The page fetches it after every event of the run."""
        run = self._find(run_id)
        if run.mode is Mode.BULK:
            return render("_bulk_live.html", **vars(self._bulk_context(run)))
        return render("_run_live.html", **vars(self._context(run)))

    def _base(self) -> str:
        return base_address(request, self._settings) + request.script_root

    def _bulk_context(self, run: Run) -> RunContext:
        log = [entry for entry in self._ledger.log(run.id) if entry.ms >= run.started_ms]
        result = bulk_result_of(self._ledger, run)
        shown = shown_answers(result, request.args) if result else None
        return replace(self._state(run, log, steps=()), shown=shown)

    def _context(self, run: Run) -> RunContext:
        log = self._ledger.log(run.id) if run.mode is Mode.DETAILED else []
        return self._with_result(self._state(run, log, steps=log))

    def _state(self, run: Run, log: Sequence[ProgressEntry], *, steps: Sequence[ProgressEntry]) -> RunContext:
        """Return the context without a result. `steps` are the entries of the log that the timeline shows."""
        base = self._base()
        return RunContext(
            run=run,
            ended=run.state in ENDED,
            title=question(run),
            steps=story.timeline(run, steps, several_hosts=len(self._ledger.used_hosts()) > 1),
            log=log,
            percent=log[-1].percent if log else None,
            may_act=g.identity.role != "viewer",
            may_cancel=may_cancel(g.identity, run),
            commands=story.commands(run, base, admin=g.identity.role == "admin"),
            key=str(uuid.uuid4()),
            ended_in_words=story.ended_in_words(run),
            turn=self._turn(run) if run.state is State.PENDING else None,
            shown=None,
        )

    def _with_result(self, context: RunContext) -> RunContext:
        run, base = context.run, self._base()
        result = result_of(self._ledger, run)
        if result is None:
            return context
        shown = shown_result(result)
        now = BenchReport.read(self._ledger.bench_status()).facts or result.facts
        return replace(
            context,
            shown=shown,
            ticket=story.ticket(shown.sentences, run, result.facts, f"{base}/runs/{run.id}"),
            facts_changed=now[:FACTS] != result.facts[:FACTS],
        )

    def _turn(self, run: Run) -> Turn:
        """Return when a waiting run is expected to start. Behind more than AHEAD_MAX runs that is unknown."""
        view, ahead = self._ledger.queue(limit=1, ended=PACE_WINDOW), self._ledger.ahead_of(run)
        hosts = capacities(self._ledger.hosts())
        starts = starts_in_ms(view.running, ahead, pace(view.finished), now_ms(), run.mode, hosts)
        eta = f"in {about(starts)}" if starts is not None else "unknown"
        health = self._ledger.health()
        if health.stop(run.mode):
            eta = "unknown: runs of this mode cannot start now"
        elif health.paused:
            eta = "when the bench resumes"
        return Turn(
            waits=health.why_not(run.mode) or run.wait_reason,
            position=None if ahead is None else len(ahead) + 1,
            waiting_total=view.waiting_total,
            eta=eta,
        )

    def _asked_before(self, run: Run) -> list[Run]:
        """Return the last runs of the same test that the user may see, for a comparison."""
        runs, _ = self._ledger.search(
            user=self._only_mine(),
            state=State.DONE,
            source=run.source,
            destination=run.destination,
            limit=ALIKE_MAX,
            counted=False,
        )
        same = [other for other in runs if other.id != run.id and set(other.services) & set(run.services)]
        return same[:BEFORE_MAX]

    def _only_mine(self) -> str | None:
        """Return the user for a search that covers only the user's own runs, or None for all users."""
        return g.identity.name if g.identity.role == "user" else None

    def cancel(self, run_id: str) -> AnyResponse:
        """Cancel the run, then show it."""
        run = self._find(run_id)
        require_own(run)
        try:
            self._ledger.cancel(run.id, by=g.identity.name)
        except RunEnded:
            return back_to(f"/runs/{run.id}", "ended")
        return back_to(f"/runs/{run.id}", "cancelled")

    def find_rule(self, run_id: str) -> AnyResponse:
        """Submit a detailed run of the services named in the form, or else of the blocked services, or else of all.

        Raises BadInput for a bulk run.
        """
        run = self._find(run_id)
        result = result_of(self._ledger, run)
        tested: Sequence[ServiceLike] = detailed_services(result) if result else run.services
        named = request.form.get("services", "") or fold(tested[:DETAILED_SERVICES_MAX])
        asked = RunRequest.parse(run.source, run.destination, named, Mode.DETAILED, run.source_port)
        key = request.form.get("key", "")[:64]
        new, _ = self._ledger.submit(asked, user=g.identity.name, idempotency_key=key and f"rule {key} {named}")
        return back_to(f"/runs/{new.id}")

    def raw(self, run_id: str) -> AnyResponse:
        """Return the stored result document as the API publishes it."""
        run = self._find(run_id)
        if run.mode is Mode.BULK:
            text = msgspec.json.format(encode_bulk(self._many_answers(run)), indent=2).decode()
        else:
            text = pretty(self._answered(run))
        return _download(text, "application/json", f"reachq-{formatting.short(run.id)}.json", inline=True)

    def as_csv(self, run_id: str) -> AnyResponse:
        """Return CSV for spreadsheets, with a row for each service and router, or for each service of a bulk run."""
        run = self._find(run_id)
        table = bulk_csv(self._many_answers(run)) if run.mode is Mode.BULK else result_csv(self._answered(run))
        return _download(table, "text/csv", f"reachq-{formatting.short(run.id)}.csv")

    def _answered(self, run: Run) -> Result:
        result = result_of(self._ledger, run)
        if result is None:
            raise _no_result(run)
        return result

    def _many_answers(self, run: Run) -> BulkResult:
        result = bulk_result_of(self._ledger, run)
        if result is None:
            raise _no_result(run)
        return result

    def _find(self, run_id: str) -> Run:
        return find(self._ledger, run_id)

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/runs/<run_id>", "run", self.page),
            Page("GET", "/runs/<run_id>/live", "run_live", self.live),
            Page("GET", "/runs/<run_id>/result.json", "run_json", self.raw),
            Page("GET", "/runs/<run_id>/result.csv", "run_csv", self.as_csv),
            Page("POST", "/runs/<run_id>/cancel", "run_cancel", self.cancel, "user"),
            Page("POST", "/runs/<run_id>/find-rule", "run_find_rule", self.find_rule, "user"),
        ]


def _no_result(run: Run) -> RunNotFound:
    return RunNotFound(f"Run {run.id} has no result; its state is {run.state}.")


def shown_result(result: Result) -> ShownResult:
    """Return everything that the templates show of a result."""
    paths = service_paths(result)
    groups = path_groups(result, paths)
    return ShownResult(
        result=result,
        raw=pretty(result, paths),
        detailed=isinstance(result, DetailedResult),
        matrix=matrix(result, paths),
        groups=[_draw(paths, group) for group in groups[:GROUPS_MAX]],
        groups_more=max(0, len(groups) - GROUPS_MAX),
        sentences=sentences(result, paths),
        summary=summary(result),
        blocked_services=blocked_services(result),
        ambiguous=result.depends_on,
        caveats=[caveat for caveat in result.caveats if caveat not in result.depends_on],
        too_many=len(detailed_services(result)) > DETAILED_SERVICES_MAX,
    )


def pretty(result: Result, paths: Sequence[ServicePath] | None = None) -> str:
    """Return the document as published by the API, indented."""
    return msgspec.json.format(encode(published(result, paths)), indent=2).decode()


def _draw(paths: Sequence[ServicePath], group: Group) -> DrawnGroup:
    path = paths[group.indices[0]]
    wide, middle, narrow = (path_picture(path, per_row=boxes) for boxes in (DESK, MIDDLE, PHONE))
    return DrawnGroup(group, path.service, wide, middle, narrow, router_actions(path))


def detailed_services(result: Result) -> Sequence[ServiceResult]:
    """Return the services for a detailed run after this one: the blocked ones, or else all of them."""
    return [service for service in result.services if service.result == NO] or result.services


def question(run: Run) -> str:
    """Return source and destination, such as `10.1.10.20 → 10.3.20.8`."""
    return f"{run.source} → {run.destination}"


def _download(text: str, kind: str, name: str, *, inline: bool = False) -> Response:
    how = "inline" if inline else "attachment"
    return Response(
        text, content_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": f'{how}; filename="{name}"'}
    )
