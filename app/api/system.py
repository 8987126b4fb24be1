"""Operations on the queue, the lanes, the bench, the live events, and the health of the system."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Response, request

from app.api.bench_documents import BenchDocument, Health, Readiness, bench_document
from app.api.documents import (
    LanesDocument,
    LimitsDocument,
    QueueDocument,
    StreamedEvent,
    lanes_document,
    queue_document,
)
from app.api.request_models import EVENT_ID, EventsQuery, LimitQuery, NoQuery
from app.api.routes import STORE_AWAY, Answer, Header, Route
from app.api.runs import json_reply, query_of
from app.http.problems import ApiProblem, FieldError
from app.http.server import ADOPT
from app.http.strict_json import BATCH_MAX, BODY_MAX, UPLOAD_MAX
from app.live.feed import Feed
from app.live.window import Audience
from app.people.identity import may_see, me
from app.rows import ROWS_MAX
from dscp.pool import lasting_problems
from ledger.bench.diagnosis import UNREACHABLE
from ledger.people.records import UserRole
from ledger.runs.bulk import QUESTIONS_MAX
from ledger.runs.requests import DETAILED_SERVICES_MAX
from ledger.runs.services import SERVICES_MAX
from ledger.store import AppLedger
from netlab.service.status import BenchReport

_EVENT_ID = {"type": "string", "pattern": EVENT_ID}
_OPENING = b"retry: 1000\n: reachq events\n\n"
log = logging.getLogger(__name__)


class SystemViews:
    """Operations on the system as a whole."""

    def __init__(self, ledger: AppLedger, feed: Feed, bench: str) -> None:
        self._ledger = ledger
        self._feed = feed
        self._bench = bench

    def queue(self) -> Response:
        """Return the running, waiting and ended runs."""
        query: LimitQuery = query_of(LimitQuery)
        return json_reply(queue_document(self._ledger.queue(limit=query.limit), partial(may_see, me())))

    def limits(self) -> Response:
        """Return what the caller may submit, and how much of it is used."""
        query_of(NoQuery)
        settings = self._ledger.settings
        return json_reply(
            LimitsDocument(
                services_quick=SERVICES_MAX,
                services_detailed=DETAILED_SERVICES_MAX,
                questions_batch=ROWS_MAX,
                questions_bulk_run=QUESTIONS_MAX,
                waiting_max=settings.waiting_max,
                waiting=self._ledger.waiting_of(me().name),
                fair_waiting=settings.fair_waiting,
                attempts_max=settings.attempts_max,
                body_max=BODY_MAX,
                batch_max=BATCH_MAX,
                upload_max=UPLOAD_MAX,
            )
        )

    def lanes(self) -> Response:
        """Return the 32 lanes of each host."""
        query_of(NoQuery)
        lanes = self._ledger.lanes()
        problems = lasting_problems(lanes, self._ledger.lanes)
        return json_reply(lanes_document(lanes, problems))

    def bench(self) -> Response:
        """Return the bench, its pause, the leader and the workers."""
        query_of(NoQuery)
        document = bench_document(
            self._bench,
            BenchReport.read(self._ledger.bench_status()),
            paused=self._ledger.paused(),
            leader=self._ledger.leader(),
            workers=self._ledger.workers(),
            health=self._ledger.health(),
        )
        if not me().may("overseer"):
            document.status.pop("hosts", None)  # source and destination of the detailed run under way
        return json_reply(document)

    def events(self) -> Response:
        """Start an event stream: the connection passes to the feed after the headers were sent."""
        query: EventsQuery = query_of(EventsQuery)
        who = me()
        if query.with_ and who.role == "user":
            raise ApiProblem(403, "forbidden", "The board is for viewers and admins; leave `with` out.")
        named = request.headers.get("Last-Event-ID", "") or query.after or ""
        position = self._feed.start_position(named)
        if position is None:
            message = (
                "is not a valid stream id such as 1763900000000-0: send back the id of the last event you received"
            )
            error = FieldError(field="Last-Event-ID", message=message)
            raise ApiProblem(422, "bad-input", f"Last-Event-ID: {message}", [error])
        adopt: Callable[[Any], None] | None = request.environ.get(ADOPT)
        if adopt is None or self._feed.full:
            raise ApiProblem(503, "no-room", "No more listeners can be served now; try again later.")
        if request.method == "GET":
            # Who sees all runs also gets their events, as a viewer does.
            role = UserRole.VIEWER if who.sees_all and who.role is UserRole.USER else who.role
            audience, board = Audience(who.name, role, self._bench), query.with_ == "board"
            adopt(partial(self._feed.adopt, position=position, audience=audience, board=board, still=who.still))
        return Response(iter((_OPENING,)), content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def healthz(self) -> Response:
        """Report that the process is up, without checking other parts of the system."""
        return json_reply(Health(status="ok"))

    def readyz(self) -> Response:
        """Report whether a run submitted now would be tested soon, or else everything that prevents it."""
        ready = self._ledger.readiness()
        warnings = [trouble.sentence for trouble in ready.warnings]
        if missing := ready.missing:
            if missing[0].code == UNREACHABLE:
                log.warning(
                    "readyz: %s", missing[0]
                )  # the response does not contain the address of Redis, because any client may read it
            errors = [FieldError(field=trouble.part, message=trouble.sentence) for trouble in missing]
            detail = "; ".join(trouble.sentence for trouble in missing)
            raise ApiProblem(503, "not-ready", f"Not ready: {detail}.", errors, warnings)
        return json_reply(Readiness(status="ok", warnings=warnings))

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        return [
            Route("GET", "/api/queue", "getQueue", self.queue,
                  "Running, waiting and ended runs; a user sees only the queue position of other users' runs",
                  {200: Answer("The queue.", QueueDocument)}, STORE_AWAY, query=LimitQuery),
            Route("GET", "/api/limits", "getLimits", self.limits, "What the caller may submit, and how much is used",
                  {200: Answer("The limits.", LimitsDocument)}, STORE_AWAY),
            Route("GET", "/api/lanes", "getLanes", self.lanes, "The 32 lanes of each host and the runs that use them",
                  {200: Answer("The lanes.", LanesDocument)}, STORE_AWAY),
            Route("GET", "/api/bench", "getBench", self.bench, "The bench, the leader and the workers",
                  {200: Answer("Their state.", BenchDocument)}, STORE_AWAY),
            Route("GET", "/api/events", "getEvents", self.events, "Every change of state, as it happens (SSE)",
                  {200: Answer("An endless stream of server-sent events.", StreamedEvent, media_type="text/event-stream")},
                  {503: "Redis cannot be reached, or there are too many listeners."},
                  headers={"Last-Event-ID": Header("continue after this event; empty: only new events", _EVENT_ID)},
                  query=EventsQuery),
            Route("GET", "/healthz", "healthz", self.healthz, "Whether the process is up",
                  {200: Answer("The process is up.", Health)}, public=True),
            Route("GET", "/readyz", "readyz", self.readyz, "Whether a run submitted now would be tested",
                  {200: Answer("Ready; `warnings` lists faults that should be corrected.", Readiness)},
                  {503: "Not ready; `errors` names what is missing."}, public=True),
        ]  # fmt: skip
