"""A real browser (Debian's Chromium) on a real system; it may contact no other host and log no error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.conftest import missing
from tests.support import leaks
from tests.support.patience import patience
from tests.support.waiting import wait_until
from tests.system.running import System

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
]
SERIOUS = {"serious", "critical"}
DESK, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: while it is open this thread has an event loop, and other tests start their own."""
    if not CHROMIUM.exists():
        missing("no /usr/bin/chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="session")
def first_password() -> dict[str, str]:
    """The passwords that the system printed, by name."""
    return {}


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, first_password: dict[str, str]) -> Iterator[System]:
    """`reachq up` on the sample network, as a new user starts it."""
    running = System(tmp_path_factory.mktemp("up"), quick=8)
    try:
        running.ready()
        found = re.search(r"as admin with the password (\S+);", running.output)
        assert found, running.output
        first_password["admin"] = found[1]
        yield running
        running.end()
        running.assert_gone()
    finally:
        running.close()


@pytest.fixture(autouse=True)
def _leaves_nothing(browser: Browser, request: pytest.FixtureRequest) -> Iterator[None]:
    """As for all tests, except for processes that come and go until the session ends: the browser's, and idle benches.

    The fixture `system` checks at its end that no bench is left.
    """
    for name in ("_server", "system"):
        if {name, name.strip("_")} & set(request.fixturenames):
            request.getfixturevalue(name)
    before = leaks.child_processes()
    yield
    wrong = leaks.left_processes(before, but=("chromium", "-m netlab --network="))
    assert not wrong, "left behind:\n" + "\n".join(wrong)


TOO_WIDE = """() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > room + 0.5);
    return wide.slice(-5).map(e => e.outerHTML.slice(0, 160)).concat(`${document.documentElement.scrollWidth} px`);
}"""


class Visitor:
    """A user with a browser: a separate context, with a check of its console messages and requests."""

    def __init__(self, browser: Browser, url: str, **context: object) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(base_url=url, viewport=DESK, **context)  # type: ignore[arg-type]
        self.context.set_default_timeout(patience(10_000))
        expect.set_options(timeout=patience(5_000))
        self.complaints: list[str] = []
        self.expected: list[str] = []
        self.context.on("request", self._asked)
        self.context.on("console", lambda said: self._said(said.type, f"{said.text} ({said.location.get('url', '')})"))
        self.context.on("weberror", lambda error: self.complaints.append(f"page error: {error.error}"))
        self.page: Page = self.context.new_page()

    def _asked(self, request: object) -> None:
        url = urlsplit(request.url)  # type: ignore[attr-defined]
        if url.scheme in ("http", "https") and url.netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"asked another host: {request.url}")  # type: ignore[attr-defined]

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(word in text for word in self.expected):
            self.complaints.append(f"console {kind}: {text}")

    def sign_in(self, name: str, password: str) -> None:
        """Sign in with the form."""
        self.page.goto("/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/sign-in" not in url)

    def ask(self, source: str, destination: str, services: str, mode: str = "Quick") -> str:
        """Submit a test with the form; returns the run's id."""
        self.page.goto("/")
        self.page.get_by_label("Source", exact=True).fill(source)
        self.page.get_by_label("Destination").fill(destination)
        self.page.get_by_label("Services", exact=True).fill(services)
        self.page.get_by_role("radio", name=mode).check()
        self.page.get_by_role("button", name="Run test", exact=True).click()
        self.page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
        return urlsplit(self.page.url).path.rpartition("/")[2]

    def too_wide(self) -> list[str]:
        """The elements that make the page scroll sideways, once its layout has settled; empty if it fits."""
        found: list[str] = []

        def fits() -> bool:
            found[:] = self.page.evaluate(TOO_WIDE)
            return not found

        with contextlib.suppress(AssertionError):
            wait_until(fits, 5, "the page fits")
        return found

    def accessible(self) -> list[str]:
        """The serious findings of axe on the current page."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{self.page.url}: {broken['id']}: {broken['help']}: "
            + "; ".join(node["html"][:160] for node in broken["nodes"][:3])
            for broken in found
            if broken["impact"] in SERIOUS
        ]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Creates visitors; at the end none of them may have recorded an error."""
    visitors: list[Visitor] = []

    def new(url: str, **context: object) -> Visitor:
        visitors.append(Visitor(browser, url, **context))
        return visitors[-1]

    yield new
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def admin(visit: Callable[..., Visitor], system: System, first_password: dict[str, str]) -> Visitor:
    """The first administrator, signed in."""
    visitor = visit(system.url)
    visitor.sign_in("admin", first_password["admin"])
    return visitor
