"""The page of all networks, with a form to add one."""

from __future__ import annotations

from flask import g, request
from werkzeug.wrappers import Response

from app.web.links import NETWORKS
from app.web.shell import Page, back_to, render
from ledger.errors import NetworkNotFound, ReachqError
from ledger.store import AppLedger


class NetworksPages:
    """The page `/networks`."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Show all networks."""
        return self._page()

    def _page(self, status: int = 200, *, error: str = "", name: str = "") -> Response:
        return render(
            "networks.html",
            status,
            networks_found=self._ledger.networks(),
            own=self._ledger.settings.own_network,
            error=error,
            typed=name,
            me_is_admin=g.identity.role == "admin",
        )

    def add(self) -> Response:
        """Add a network, and show its page for snapshots."""
        name = request.form.get("name", "").strip()[:64]
        try:
            self._ledger.add_network(name, by=g.identity.name)
        except ReachqError as bad:
            return self._page(422, error=str(bad), name=name)
        return back_to(f"{NETWORKS}{name}/snapshots", "network-added")

    def remove(self, name: str) -> Response:
        """Remove a network and its snapshots."""
        try:
            self._ledger.remove_network(name, by=g.identity.name)
        except ReachqError as bad:
            return self._page(422, error=str(bad))
        return back_to("/networks", "network-removed")

    def back(self, name: str) -> Response:
        """Redirect to all networks from an address that only accepts forms."""
        self._ledger.of_network(name)
        return back_to("/networks")

    def unknown(self, name: str, rest: str = "") -> Response:
        """Report an address below a network that does not exist."""
        self._ledger.of_network(name)
        if not rest:
            return back_to(f"{NETWORKS}{name}/")
        raise NetworkNotFound(f"There is nothing at this address of network {name}.")

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/networks", "networks", self.page),
            Page("POST", "/networks", "networks_add", self.add, "admin"),
            Page("GET", "/remove-network/<name>", "network_remove_page", self.back, "admin"),
            Page("POST", "/remove-network/<name>", "network_remove", self.remove, "admin"),
            Page("GET", "/networks/<name>", "network_home", self.unknown),
            Page("GET", "/networks/<name>/<path:rest>", "network_unknown", self.unknown),
        ]
