"""One application for each network: that of the settings at `/`, and each other one at `/networks/NAME/`.

So each page and each operation of the API is there for every network, and an address names its network.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from functools import partial
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask

from app.factory import create_app
from app.integrations.metrics import Metrics
from app.live.feed import Feed
from app.web import links
from ledger.errors import ReachqError
from ledger.redis.keys import is_bench
from ledger.settings import Settings
from ledger.store import AppLedger

_PATH = re.compile(rf"{links.NETWORKS}([^/]+)(/.*)?")


def build(settings: Settings, token: str, unsuitable: Callable[[], str]) -> tuple[Flask, Feed]:
    """Create the application of one network and its feed, which is not started."""
    ledger = AppLedger.connect(settings)
    metrics = Metrics(ledger)
    sides = (AppLedger.connect(settings), AppLedger.connect(settings))
    feed = Feed(*sides, heartbeat_s=settings.heartbeat_s, observe=metrics.observe)
    return create_app(settings, ledger=ledger, feed=feed, metrics=metrics, token=token, unsuitable=unsuitable), feed


class NetworkApps:
    """The WSGI application of a web process. The application of another network is created at its first request."""

    def __init__(self, settings: Settings, token: str, unsuitable: Callable[[], str]) -> None:
        """`unsuitable` returns why the Redis server cannot be used, or ""."""
        self._settings = settings
        self._build = partial(build, token=token, unsuitable=unsuitable)
        self._own, self._feed = self._build(settings)
        self._ledger = AppLedger.connect(settings)
        self._creating = threading.Lock()
        self._others: dict[str, tuple[Flask, Feed]] = {}

    def start(self) -> None:
        """Start the live feed."""
        self._feed.start()

    def close(self) -> None:
        """End all streams."""
        for feed in [self._feed, *(feed for _, feed in self._others.values())]:
            feed.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request to the application of its network; a request for an unknown network, to that of the settings."""
        app, found = self._own, _PATH.fullmatch(environ["PATH_INFO"])
        if found and found[2] and (named := self._app(found[1])):
            app = named
            environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}{links.NETWORKS}{found[1]}"
            environ["PATH_INFO"] = found[2]
        return app(environ, start_response)

    def _app(self, name: str) -> Flask | None:
        """Return the application of a network, or None if there is no such network."""
        if name == self._settings.own_network:
            return self._own
        if not is_bench(name):
            return None
        try:
            known = name in self._ledger.network_names()
        except ReachqError:  # the application reports that Redis does not answer
            known = name in self._others
        with self._creating:
            if not known:
                if gone := self._others.pop(name, None):
                    gone[1].close()
                return None
            if name not in self._others:
                self._others[name] = self._build(self._settings.for_network(name))
                self._others[name][1].start()
            return self._others[name][0]
