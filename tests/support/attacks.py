"""Attack payloads, every address to send them to, and checks that a page is not affected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

from app.http.problems import TYPE_PREFIX
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.people import Person
from tests.support.web import ROOT, Reply, Web, application

PAYLOAD = "\"'><pwn>"
"""Breaks out of an attribute in either quotes, or of a text, and opens an element; short enough for an interface name.
"""
NONE = "00000000-0000-0000-0000-000000000000"
"""An id that no run has."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PAGE = {"Accept": "text/html,application/xhtml+xml"}


@dataclass(frozen=True)
class Address:
    """One method of one route, and who it is for: a role of app.people.identity or `public`."""

    method: str
    path: str
    endpoint: str
    role: str

    @property
    def safe(self) -> bool:
        """Whether it may only read."""
        return self.method == "GET"

    @property
    def of_pages(self) -> bool:
        """Whether a browser's forms go there."""
        return self.endpoint.startswith("web.")

    def filled(self, values: Mapping[str, str]) -> str:
        """The path with these parts, quoted."""
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: quote(values[part[1]], safe=""), self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def addresses() -> tuple[Address, ...]:
    """Every address of ours, from the application's map: new ones are attacked without being listed here."""
    settings = Settings(redis_url="unix:///nowhere", network=ROOT / "networks" / "campus")
    with Ledger.connect(settings) as ledger:
        app = application(settings, ledger)
    guard = app.extensions["guard"]
    return tuple(
        Address(method, str(rule), rule.endpoint, guard.required(rule.endpoint))
        for rule in app.url_map.iter_rules()
        if not rule.build_only
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    )


def ours(*, safe: bool | None = None) -> list[Address]:
    """The addresses that do not belong to rq-dashboard."""
    return [
        address
        for address in addresses()
        if not address.endpoint.startswith("rq_dashboard.") and safe in (None, address.safe)
    ]


def values(run_id: str = NONE, *, name: str = "nobody", other: str = "0" * 16) -> dict[str, str]:
    """Values for the placeholders of an address."""
    return {
        "run_id": run_id,
        "key": run_id,
        "change_id": run_id,
        "name": name,
        "host": name,
        "token_id": other[:8],
        "session_id": other,
        "rest": "board",
    } | {
        "snapshot": other[:12],
        "facts": other[:12],
    }


def send(
    web: Web,
    address: Address,
    person: Person | None,
    filling: Mapping[str, str],
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    csrf: bool = True,
) -> Reply:
    """Send the request from this user's browser, with the session's token unless `csrf` is False."""
    sent = dict(PAGE)
    if person:
        sent |= person.browser(csrf=csrf)
    body = None
    if not address.safe and address.of_pages:
        sent |= FORM
        body = urlencode(form or {}).encode()
    elif address.method == "POST":
        body = b"{}"
    return web.call(address.method, address.filled(filling), body, {**sent, **(headers or {})}, token=None)


def problem_of(answer: Reply) -> str:
    """The code of a problem document, "" of anything else."""
    kind = answer.headers.get("content-type", "")
    return str(answer.json["type"]).removeprefix(TYPE_PREFIX) if kind == "application/problem+json" else ""


class Markup(HTMLParser):
    """A page as a browser parses it: its elements with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._said: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self._said.append(data)

    @property
    def text(self) -> str:
        """All text, and all values of attributes: where a payload may appear as plain text."""
        values = (value for _, attributes in self.elements for value in attributes.values())
        return "\n".join([*self._said, *values])


ATTRIBUTE = re.compile(r"[a-z][a-z-]*(?::[a-z]+)?|[a-z]+[0-9]?|viewbox")
LEADS = ("href", "src", "action", "formaction", "hx-get", "hx-post", "xlink:href")


def wrong_with(page: str | bytes) -> list[str]:
    """The parts of a page that a payload could have made: empty when there are none.

    Pages have no inline script, style or handler and contain no external links, so any of these did not come from a
    template.
    """
    page = page.decode() if isinstance(page, bytes) else page
    found = ["the payload as it was sent"] if "<pwn" in page.lower() else []
    for tag, attributes in Markup(page).elements:
        if tag == "pwn" or (tag in ("script", "style") and not attributes.get("src", "").startswith("/static/")):
            found.append(f"<{tag}>")
        for name, value in attributes.items():
            if not ATTRIBUTE.fullmatch(name) or name.startswith("on") or name == "style" or "pwn" in name:
                found.append(f"<{tag} {name}=…>")
            if name in LEADS and value and (not value.startswith(("/", "#")) or value.startswith("//")):
                found.append(f"<{tag} {name}={value!r}>")
    return found


def shows(pages: Iterable[bytes], text: str) -> bool:
    """Whether one of the pages shows this text."""
    return any(text in Markup(page.decode()).text for page in pages)
