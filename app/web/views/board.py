"""The operator's board: the whole bench on one live page, rendered once for all viewers (see live.board_renderer)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import Flask, g, request
from werkzeug.wrappers import Response

from app.api.runs import checked_id
from app.formatting import runs_of
from app.web.shell import Page, back_to, render
from dscp.lanes import Lane
from ledger.bench.health import Health
from ledger.bench.processes import Leader
from ledger.errors import RunEnded
from ledger.runs.records import Pause, ProgressEntry, QueueView
from ledger.runs.run import Mode, Run
from ledger.store import AppLedger
from netlab.service.status import BenchReport

WAITING, FINISHED = 60, 15


@dataclass(frozen=True)
class Board:
    """The values of the template `_board_live.html`."""

    view: QueueView
    lanes: Mapping[str, Sequence[Lane]]
    """Host -> its lanes, in order."""
    users: Mapping[str, str]
    """Id of a running run -> its user."""
    phases: Mapping[str, ProgressEntry]
    """Id of each detailed or bulk run under way -> its last progress."""
    barrier: str
    """What keeps detailed runs apart from the others now, in words, or ""."""
    status: BenchReport
    leader: Leader | None
    health: Health
    alive: Mapping[str, int]
    """Mode -> number of live workers."""
    paused: Pause | None


def gather(ledger: AppLedger) -> Board:
    """Read everything that the board shows."""
    view = ledger.queue(limit=WAITING, ended=FINISHED)
    health = ledger.health()
    reporting = [run for run in view.running if run.mode is not Mode.QUICK]
    waiting_detailed = next((run for run in view.waiting if run.mode is Mode.DETAILED), None)
    return Board(
        view=view,
        lanes={host: list(lanes) for host, lanes in groupby(ledger.lanes(), lambda lane: lane.host)},
        users={run.id: run.user for run in view.running},
        phases={run.id: log[-1] for run in reporting if (log := ledger.log(run.id))},
        barrier=_barrier(view.running, waiting_detailed),
        status=BenchReport.read(ledger.bench_status()),
        leader=ledger.leader(),
        health=health,
        alive={mode.value: health.count(mode) for mode in Mode},
        paused=ledger.paused(),
    )


def _barrier(running: list[Run], waiting: Run | None) -> str:
    """Return what currently keeps detailed runs apart from the others, in words, or "" if nothing does."""
    counts = Counter(run.mode for run in running)
    if counts[Mode.DETAILED]:
        return "A detailed run has the bench to itself: no lane is leased until it ends."
    if waiting and running:
        others = [runs_of(counts[mode], f"{mode} run") for mode in (Mode.QUICK, Mode.BULK) if counts[mode]]
        return f"A detailed run waits for {' and '.join(others)} to end."
    return ""


def rendering(app: Flask, ledger: AppLedger) -> Callable[[], str]:
    """Return a function that renders the live part of the board as markup, outside of any request, for the stream."""
    template = app.jinja_env.get_template("_board_live.html")

    def render_live() -> str:
        return template.render(**vars(gather(ledger)))

    return render_live


class BoardPages:
    """The page `/board` and its buttons."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Show the whole page. Updates come over the event stream."""
        return render("board.html", **vars(gather(self._ledger)), may_act=g.identity.role == "admin")

    def cancel(self, run_id: str) -> Response:
        """Cancel a run of any user."""
        try:
            self._ledger.cancel(checked_id(run_id), by=g.identity.name)
        except RunEnded:
            return Response(status=204) if "HX-Request" in request.headers else back_to("/board", "ended")
        return Response(status=204) if "HX-Request" in request.headers else back_to("/board", "cancelled")

    def pause(self) -> Response:
        """Pause the bench, so that no new run starts. Running ones finish."""
        done = self._ledger.pause(g.identity.name, request.form.get("why", ""))
        return back_to("/board", "paused" if done else "paused-already")

    def resume(self) -> Response:
        """Resume the bench."""
        done = self._ledger.resume(g.identity.name)
        return back_to("/board", "resumed" if done else "not-paused")

    def confirm_restart(self) -> Response:
        """Explain a restart and ask for confirmation."""
        view = self._ledger.queue(limit=1)
        return render("restart.html", running=len(view.running), status=BenchReport.read(self._ledger.bench_status()))

    def restart(self) -> Response:
        """Ask the bench to end. Its supervisor starts it again with the current facts."""
        self._ledger.restart_bench(g.identity.name)
        return back_to("/board", "restart")

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/board", "board", self.page, "overseer"),
            Page("POST", "/board/cancel/<run_id>", "board_cancel", self.cancel, "admin"),
            Page("POST", "/board/pause", "board_pause", self.pause, "admin"),
            Page("POST", "/board/resume", "board_resume", self.resume, "admin"),
            Page("GET", "/board/restart", "board_restart_ask", self.confirm_restart, "admin"),
            Page("POST", "/board/restart", "board_restart", self.restart, "admin"),
        ]
