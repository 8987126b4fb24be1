"""Pages without content, and those for 401, 429 and 500: each says what to do next, light and dark, also on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from app.people import passwords
from ledger.people.records import UserRole
from ledger.settings import Settings
from ledger.store import Ledger
from tests.browser.conftest import DESK, PHONE, Visitor
from tests.support.people import Served
from tests.support.runs import a_request
from tests.support.web import application

PASSWORD = "correct horse battery"
Visit = Callable[..., Visitor]
Enter = Callable[[], Visitor]


def broken() -> str:
    """A view that fails."""
    raise RuntimeError("a detail that no page shows")


@pytest.fixture
def url(settings: Settings, ledger: Ledger) -> Iterator[str]:
    """A web server with an account `ops`, who may have one waiting run, and with a failing page `/runs`."""
    ledger.add_user("ops", UserRole.ADMIN, passwords.hashed(PASSWORD, "ops"), by="test")
    with Ledger.connect(settings.model_copy(update={"waiting_max": 1})) as limited:
        app = application(limited.settings, limited)
        app.view_functions["web.runs"] = broken
        web = Served(app)
        yield f"http://127.0.0.1:{web.port}"
        web.stop()


@pytest.fixture(params=[("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)])
def enter(visit: Visit, url: str, request: pytest.FixtureRequest) -> Enter:
    """Creates a visitor for whom 401, 429 and 500 are expected."""
    scheme, size = request.param

    def new() -> Visitor:
        visitor = visit(url, color_scheme=scheme)
        visitor.expected += ["status of 401", "status of 403", "status of 429", "status of 500"]
        visitor.page.set_viewport_size(size)
        return visitor

    return new


def fits(visitor: Visitor) -> None:
    """The page does not scroll sideways and has no serious finding of axe."""
    wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    assert visitor.accessible() == []
    assert "`" not in visitor.page.locator("main").inner_text()


def test_a_failing_page_offers_to_try_again(enter: Enter) -> None:
    visitor = enter()
    visitor.sign_in("ops", PASSWORD)
    visitor.page.goto("/runs?state=done")
    expect(visitor.page.get_by_role("heading", name="Internal error")).to_be_visible()
    expect(visitor.page.get_by_text("the log of the web server has the details")).to_be_visible()
    expect(visitor.page.get_by_role("link", name="Try again")).to_have_attribute("href", "/runs?state=done")
    expect(visitor.page.get_by_role("link", name="Back to the home page")).to_be_visible()
    assert "no page shows" not in visitor.page.content()
    fits(visitor)


def test_a_wrong_token_leads_to_the_sign_in_page(enter: Enter) -> None:
    visitor = enter()
    visitor.page.set_extra_http_headers({"Authorization": "Bearer wrong"})
    visitor.page.goto("/network")
    expect(visitor.page.get_by_role("heading", name="Sign-in required")).to_be_visible()
    expect(visitor.page.locator("code", has_text="reachq token make")).to_be_visible()
    expect(visitor.page.get_by_role("link", name="Sign in")).to_be_visible()
    fits(visitor)


def test_too_many_failed_sign_ins_say_when_to_try_again(enter: Enter, ledger: Ledger) -> None:
    visitor = enter()
    refused = visitor.page.get_by_text("Too many failed attempts to sign in; try again in")
    for _ in range(12):
        visitor.page.goto("/sign-in")
        visitor.page.get_by_label("Name").fill("ops")
        visitor.page.get_by_label("Password").fill("wrong")
        visitor.page.get_by_role("button", name="Sign in").click()
        expect(visitor.page.get_by_role("alert")).to_be_visible()
        if refused.count():
            break
    expect(refused).to_be_visible()
    fits(visitor)


def test_too_many_waiting_runs_keep_what_was_typed(enter: Enter, ledger: Ledger) -> None:
    visitor = enter()
    visitor.sign_in("ops", PASSWORD)
    ledger.submit(a_request(), user="ops")
    visitor.page.goto("/?blank=1")
    for label, text in (("Source", "10.1.10.20"), ("Destination", "10.3.20.8"), ("Services", "22")):
        visitor.page.get_by_label(label, exact=True).fill(text)
    visitor.page.get_by_role("button", name="Run test", exact=True).click()
    expect(visitor.page.get_by_text("Not submitted: ops has 1 waiting")).to_be_visible()
    expect(visitor.page.get_by_label("Services", exact=True)).to_have_value("22")
    fits(visitor)


def test_a_network_without_snapshots_says_how_to_push_one(enter: Enter) -> None:
    visitor = enter()
    visitor.expected.append("status of 404")
    visitor.sign_in("ops", PASSWORD)
    visitor.page.goto("/snapshots")
    expect(visitor.page.get_by_text("No snapshots yet")).to_be_visible()
    expect(visitor.page.locator("code", has_text="reachq facts push FOLDER")).to_be_visible()
    expect(visitor.page.get_by_role("button", name="Push")).to_be_visible()
    fits(visitor)
    visitor.page.goto("/snapshots/current/diff")
    expect(visitor.page.get_by_role("heading", name="Not found")).to_be_visible()
    fits(visitor)
