"""The operations under `/api/networks`: list, add and remove the networks of the installation."""

from __future__ import annotations

from flask import Response

from app.api.network_documents import NetworkDocument, NetworkList
from app.api.request_models import NoQuery
from app.api.routes import STORE_AWAY, Answer, Route
from app.api.runs import json_reply, query_of
from app.people.identity import me
from ledger.store import AppLedger


class NetworkViews:
    """The operations on networks. Those on one network are below `/networks/NAME/api`."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Return all networks."""
        query_of(NoQuery)
        own = self._ledger.settings.own_network
        return json_reply(NetworkList(networks=[NetworkDocument.of(one, own=own) for one in self._ledger.networks()]))

    def add(self, name: str) -> Response:
        """Add a network. An existing one is not changed."""
        query_of(NoQuery)
        added = self._ledger.add_network(name, by=me().name)
        return self._document(name, 201 if added else 200)

    def remove(self, name: str) -> Response:
        """Remove a network and its snapshots, and return it as it was."""
        query_of(NoQuery)
        self._ledger.of_network(name)
        document = self._document(name, 200)
        self._ledger.remove_network(name, by=me().name)
        return document

    def _document(self, name: str, status: int) -> Response:
        found = next(one for one in self._ledger.networks() if one.name == name)
        return json_reply(NetworkDocument.of(found, own=self._ledger.settings.own_network), status)

    def routes(self) -> list[Route]:
        """Return the routes of these operations."""
        return [
            Route("GET", "/api/networks", "listNetworks", self.page, "All networks, by name",
                  {200: Answer("The networks.", NetworkList)}, STORE_AWAY),
            Route("PUT", "/api/networks/<name>", "addNetwork", self.add, "Add a network, without a snapshot",
                  {201: Answer("Added.", NetworkDocument), 200: Answer("It already existed.", NetworkDocument)},
                  {404: "The name has a slash.", 409: "There are as many networks as allowed.",
                   422: "The name is not valid."} | STORE_AWAY,
                  role="admin"),
            Route("DELETE", "/api/networks/<name>", "removeNetwork", self.remove, "Remove a network and its snapshots",
                  {200: Answer("The network that was removed.", NetworkDocument)},
                  {404: "There is no such network.",
                   409: "Runs of it wait or are being tested, or it is the default network."} | STORE_AWAY,
                  role="admin"),
        ]  # fmt: skip
