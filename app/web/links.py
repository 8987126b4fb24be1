"""The addresses in responses for a network that is not the default one.

All pages are written as if the network were the only one, so their links begin with `/`. For another network, the prefix
of its pages (`/networks/NAME`) is put before each such link when a response leaves.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flask import Response

from ledger.errors import ReachqError
from ledger.settings import Settings
from ledger.store import AppLedger

NETWORKS = "/networks/"
ROOT = ("/static/", "/sign-in", "/sign-out", "/networks", "/remove-network/", "/rq")
"""Addresses that do not belong to one network."""
_LINK = re.compile(
    r"""(\s(?:href|action|formaction|hx-get|hx-post|data-refresh|data-live)=["'])/(?!/)(?!"""
    + "|".join(re.escape(path[1:]) for path in ROOT)
    + r""")"""
)
"""The start of a link in a page. In text and in the values of other attributes, quotes are escaped."""
_HEADERS = ("Location", "HX-Redirect", "HX-Push-Url")


SAME_PAGE = ("/", "/runs", "/network", "/snapshots", "/board", "/hosts")
"""Pages that a change of the network keeps."""


class Choice(NamedTuple):
    """One entry of the list from which users choose a network."""

    name: str
    href: str
    chosen: bool


class Selector:
    """Called for a page's address: returns the networks to choose from, and nothing if there is only one."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def __call__(self, page: str) -> list[Choice]:
        try:
            names = self._ledger.network_names()
        except ReachqError:
            return []
        at = page if page in SAME_PAGE else "/"
        choices = [Choice(name, f"{NETWORKS}{name}{at}", name == self._ledger.bench) for name in names]
        return choices if len(names) > 1 else []


def prefix_of(settings: Settings) -> str:
    """Return the prefix of the addresses of a network, or "" for that of the settings."""
    return "" if settings.bench == settings.own_network else f"{NETWORKS}{settings.bench}"


def below(prefix: str, page: str) -> str:
    """Return a page or a part of one with the prefix before each of its links."""
    return _LINK.sub(rf"\g<1>{prefix}/", page)


def move_below(prefix: str, response: Response) -> Response:
    """Put the prefix before the links and the redirection of a response."""
    for header in _HEADERS:
        path = response.headers.get(header, "")
        if path.startswith("/") and not path.startswith(("//", *ROOT)):
            response.headers[header] = prefix + path
    if response.mimetype == "text/html" and not response.direct_passthrough and not response.is_streamed:
        response.set_data(below(prefix, response.get_data(as_text=True)))
    return response
