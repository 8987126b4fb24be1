"""The page of all hosts, with forms to drain and resume one."""

from __future__ import annotations

from flask import g, request
from werkzeug.wrappers import Response

from app.web.shell import Page, back_to, render
from dscp.lanes import LANES
from ledger.bench.control import WHY_MAX
from ledger.errors import BadInput
from ledger.store import AppLedger


class HostsPages:
    """The page `/hosts` and its buttons."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Show all hosts."""
        return self._page()

    def _page(self, status: int = 200, *, error: str = "") -> Response:
        return render(
            "hosts.html",
            status,
            hosts=self._ledger.hosts(),
            lanes_each=len(LANES),
            why_max=WHY_MAX,
            error=error,
            may_act=g.identity.role == "admin",
        )

    def drain(self, host: str) -> Response:
        """Drain a host for maintenance, so that no run starts there. Running ones finish."""
        try:
            done = self._ledger.drain_host(host, g.identity.name, request.form.get("why", ""))
        except BadInput as bad:
            return self._page(422, error=f"The reason {bad.remedy}.")
        return back_to("/hosts", "host-drained" if done else "host-drained-already")

    def resume(self, host: str) -> Response:
        """Let runs start on a drained host again."""
        done = self._ledger.resume_host(host, g.identity.name)
        return back_to("/hosts", "host-resumed" if done else "host-not-drained")

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/hosts", "hosts", self.page, "overseer"),
            Page("POST", "/hosts/<host>/drain", "host_drain", self.drain, "admin"),
            Page("POST", "/hosts/<host>/resume", "host_resume", self.resume, "admin"),
        ]
