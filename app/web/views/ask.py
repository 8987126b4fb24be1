"""The page for a new test: a form with a live preview."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from urllib.parse import urlencode

from flask import g, request
from werkzeug.wrappers import Response

from app.api.runs import find
from app.snapshots.network import CurrentNetwork, NetworkFactsView
from app.web.forms.estimate import cannot_say, capacities, cost_words, pace, starts_in_ms
from app.web.forms.placement import Placement, place
from app.web.shell import Page, back_to, later, now_ms, render
from ledger.errors import BadInput, IdempotencyConflict, TooManyWaiting
from ledger.runs.records import Pause
from ledger.runs.requests import RunRequest, examine, parse_address
from ledger.runs.run import SINGLE, Mode, Run, Service
from ledger.runs.services import parse_services
from ledger.settings import Settings
from ledger.store import AppLedger
from netlab.results.services import fold

FIELDS = ("source", "destination", "services", "mode", "source_port", "default_protocol")
BLANK = {"source": "", "destination": "", "services": "", "mode": "quick", "source_port": "", "default_protocol": "tcp"}
LATEST = 8
PACE_WINDOW = 100


@dataclass(frozen=True)
class Preview:
    """What the form means: where the addresses are, the services, and the expected time of each mode."""

    ends: Mapping[str, Placement]
    """Field, `source` or `destination` -> its location. A field that is empty is missing."""
    services: Sequence[Service]
    services_error: str
    """Why the services are not valid; "" if they are, or if the field is empty."""
    network: NetworkFactsView
    paused: Pause | None
    costs: Mapping[str, str]
    """Mode -> expected time, in words."""


class AskPages:
    """The page `/` and its preview."""

    def __init__(self, ledger: AppLedger, settings: Settings, network: CurrentNetwork) -> None:
        self._ledger = ledger
        self._settings = settings
        self._network = network

    def form(self) -> Response:
        """Show the form, filled from the address, from the run that the address names, or from the user's last test.

        A user who may not submit gets the list of runs instead, because every sign-in ends on this page.
        """
        if not g.identity.may("user"):
            return back_to("/runs")
        if "from" in request.args and find(self._ledger, request.args["from"]).mode is Mode.BULK:
            return back_to(f"/many?{urlencode({'from': request.args['from']})}")
        latest, _ = self._ledger.search(user=g.identity.name, limit=LATEST, counted=False)
        named = self._given()
        last = next((run for run in latest if run.mode is not Mode.BULK), None)
        remembered = not named and "blank" not in request.args and last is not None
        values = BLANK | (_values_of(last) if last and remembered else named)
        return self._page(values, latest=latest, remembered=remembered)

    def _given(self) -> dict[str, str]:
        named = {name: request.args[name][:2000] for name in FIELDS if name in request.args}
        if "from" in request.args:
            return _values_of(find(self._ledger, request.args["from"])) | named
        return named

    def _page(
        self,
        values: Mapping[str, str],
        errors: Mapping[str, str] | None = None,
        status: int = 200,
        latest: list[Run] | None = None,
        *,
        remembered: bool = False,
        refused: str = "",
    ) -> Response:
        if latest is None:
            latest, _ = self._ledger.search(user=g.identity.name, limit=LATEST, counted=False)
        return render(
            "ask.html",
            status,
            values=values,
            errors=errors or {},
            presets=self._settings.presets,
            latest=latest,
            remembered=remembered,
            refused=refused,
            key=str(uuid.uuid4()),
            preview=self._preview(values),
        )

    def submit(self) -> Response:
        """Submit the test, and redirect (303) to its run.

        Responds with 422, the form and its errors if a field is invalid, and with 429 if too many runs wait.
        """
        values = BLANK | {name: request.form.get(name, "").strip() for name in FIELDS if name in request.form}
        asked, wrong = judge(values)
        if asked is None:
            errors = {bad.field: str(bad).removeprefix(f"{bad.field}: ") for bad in reversed(wrong)}
            return self._page(values, errors, 422)
        key = request.form.get("key", "")[:64]
        try:
            run, _ = self._ledger.submit(asked, user=g.identity.name, idempotency_key=key and f"form {key}")
        except IdempotencyConflict:  # the form was changed and sent again from the browser's history: a new test
            run, _ = self._ledger.submit(asked, user=g.identity.name)
        except TooManyWaiting as refused:
            return later(self._page(values, status=429, refused=str(refused)), refused)
        return back_to(f"/runs/{run.id}")

    def latest(self) -> Response:
        """Show only the recent tests. The page fetches them again when one of them has changed."""
        latest, _ = self._ledger.search(user=g.identity.name, limit=LATEST, counted=False)
        return render("_latest.html", latest=latest)

    def preview(self) -> Response:
        """Show the preview of the form: where the addresses are, the services, and the expected time of each mode."""
        values = BLANK | {name: request.args[name][:4000] for name in FIELDS if name in request.args}
        return render("_preview.html", preview=self._preview(values), by_itself=True)

    def _preview(self, values: Mapping[str, str]) -> Preview:
        services: Sequence[Service] = ()
        services_error = ""
        if values["services"].strip():
            try:
                services = parse_services(values["services"], protocol(values))
            except BadInput as bad:
                services_error = str(bad).removeprefix("services: ")
        return Preview(
            ends=self._ends(values),
            services=services,
            services_error=services_error,
            network=self._network.view(),
            paused=self._ledger.paused(),
            costs=self._costs(),
        )

    def _ends(self, values: Mapping[str, str]) -> dict[str, Placement]:
        given = {field: values[field] for field in ("source", "destination") if values[field].strip()}
        ends = {field: self._end(field, text) for field, text in given.items()}
        if len(given) == 2 and given["source"].strip() == given["destination"].strip():
            ends["destination"] = Placement("wrong", "the source itself: give another address")
        return ends

    def _end(self, field: str, text: str) -> Placement:
        try:
            address = IPv4Address(parse_address(field, text))
        except BadInput as bad:
            return Placement("wrong", f"{bad.value} {bad.remedy}")
        topology = self._network.view().topology
        if topology is None:
            return Placement("host", "the network’s facts are not on this machine: locations cannot be shown")
        return place(topology, address)

    def _costs(self) -> dict[str, str]:
        """Return the expected time of each mode, or why a run of that mode cannot start."""
        health = self._ledger.health()
        view = self._ledger.queue(limit=1, ended=PACE_WINDOW)
        ahead, speed = self._ledger.ahead_of_next(g.identity.name), pace(view.finished)
        hosts = capacities(self._ledger.hosts())

        def words(mode: Mode) -> str:
            if trouble := health.stop(mode):
                return cannot_say(trouble.sentence)
            if health.paused:
                return "It waits until the bench is resumed."
            return cost_words(mode, starts_in_ms(view.running, ahead[mode], speed, now_ms(), mode, hosts), speed)

        return {mode.value: words(mode) for mode in SINGLE}

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [
            Page("GET", "/", "ask", self.form),
            Page("POST", "/", "submit", self.submit, "user"),
            Page("GET", "/latest", "latest", self.latest, "user"),
            Page("GET", "/preview", "preview", self.preview, "user"),
        ]


def judge(values: Mapping[str, str]) -> tuple[RunRequest | None, list[BadInput]]:
    """Validate the form with the common parser of requests. Converts a port from text to a number if possible."""
    port: object = values["source_port"].strip() or None
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port) if len(port) < 10 else port
    return examine(
        values["source"],
        values["destination"],
        values["services"],
        values["mode"],
        port,
        default_protocol=protocol(values),
    )


def protocol(values: Mapping[str, str]) -> str:
    return "udp" if values.get("default_protocol") == "udp" else "tcp"


def _values_of(run: Run) -> dict[str, str]:
    return {
        "source": run.source,
        "destination": run.destination,
        "services": fold_services(run),
        "mode": run.mode.value,
        "source_port": str(run.source_port or ""),
    }


def fold_services(run: Run) -> str:
    """Return the services in the form's syntax, such as `22/tcp, 8000-8003/tcp, icmp`."""
    return fold(run.services)
