"""The operations under `/api/hosts`: list the hosts, drain one for maintenance, and resume it."""

from __future__ import annotations

from dataclasses import replace

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from app.api.host_documents import HostDocument, HostList
from app.api.request_models import NoQuery, read
from app.api.routes import STORE_AWAY, Answer, Route
from app.api.runs import json_reply, query_of
from app.http.strict_json import read_object
from app.people.identity import me
from ledger.store import AppLedger

_NONE = {404: "No host has this name."}


class DrainBody(BaseModel):
    """The body of a drain."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field("", description="the reason, at most 200 printable characters; shown with the host")


class HostViews:
    """The operations on hosts. A drain applies to all networks; the numbers are those of one network."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Return all hosts."""
        query_of(NoQuery)
        return json_reply(HostList(hosts=[HostDocument.of(host) for host in self._ledger.hosts()]))

    def drain(self, host: str) -> Response:
        """Drain a host. One that is drained stays as it is."""
        query_of(NoQuery)
        body = read(DrainBody, read_object(request))
        self._ledger.drain_host(host, me().name, body.why)
        return json_reply(HostDocument.of(self._ledger.host(host)))

    def resume(self, host: str) -> Response:
        """End the drain of a host. One that is not drained stays as it is."""
        query_of(NoQuery)
        state = self._ledger.host(host)  # afterwards it may be unknown, if it has had no worker for an hour
        self._ledger.resume_host(host, me().name)
        return json_reply(HostDocument.of(replace(state, drain=None)))

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        found = {200: Answer("The host.", HostDocument)}
        return [
            Route("GET", "/api/hosts", "listHosts", self.page, "All hosts, with the state of their benches",
                  {200: Answer("The hosts.", HostList)}, STORE_AWAY),
            Route("PUT", "/api/hosts/<host>/drain", "drainHost", self.drain,
                  "Start no more runs on a host, of any network; running ones finish", found, _NONE | STORE_AWAY,
                  body=DrainBody, role="admin"),
            Route("DELETE", "/api/hosts/<host>/drain", "resumeHost", self.resume,
                  "Start runs on a drained host again", found, _NONE | STORE_AWAY, role="admin"),
        ]  # fmt: skip
