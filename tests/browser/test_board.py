"""The operator's board: a full bench, a waiting run with its reason, a pause, and a restart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.people import passwords
from ledger.people.records import UserRole
from ledger.runs.requests import RunRequest
from ledger.runs.run import State
from ledger.settings import Settings
from ledger.store import Ledger
from tests.browser.conftest import Visitor
from tests.support.parts import Parts
from tests.support.patience import patience
from tests.support.runs import submitted
from tests.support.waiting import wait_until
from tests.support.web import Web

PASSWORD = "correct horse battery"
LONG, SHORT = "2/tcp", "22/tcp"
"""The stand-in holds a service on port 2 for a minute."""
Visit = Callable[..., Visitor]


@pytest.fixture
def web(settings: Settings, ledger: Ledger) -> Iterator[str]:
    """The address of a web server on the test's own Redis, with an account `ops`."""
    ledger.add_user("ops", UserRole.ADMIN, passwords.hashed(PASSWORD, "ops"), by="test")
    server = Web(settings.redis_url, Path(settings.data))
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def ask(ledger: Ledger, services: str, mode: str = "quick", user: str = "anna") -> str:
    return ledger.submit(RunRequest.parse("10.1.10.20", "10.3.20.8", services, mode), user=user)[0].id


def test_a_full_bench_live(visit: Visit, web: str, settings: Settings, ledger: Ledger) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    page = ops.page
    page.goto("/board")
    expect(page.get_by_text("No dispatcher leads").first).to_be_visible()
    expect(page.get_by_text("No worker is running")).to_be_visible()
    expect(page.get_by_text("A new run cannot start: no dispatcher leads")).to_be_visible()
    assert ops.accessible() == []
    with Parts(settings) as parts:
        parts.dispatcher()
        parts.dispatcher()
        parts.pool(32, 1)
        expect(page.get_by_text("No dispatcher leads")).to_have_count(0)
        expect(page.get_by_text("No worker is running")).to_have_count(0)
        runs = [ask(ledger, LONG) for _ in range(32)]
        expect(page.locator(".lane.leased")).to_have_count(32)
        detailed = ask(ledger, SHORT, "detailed", "berta")
        late = ask(ledger, SHORT)
        expect(page.locator(".barrier")).to_contain_text("A detailed run waits for 32 quick runs to end")
        waiting = page.locator(f"#waiting-{detailed}")
        expect(waiting).to_contain_text("32 quick runs have to end first")
        expect(waiting).to_contain_text("berta")
        expect(page.locator(f"#waiting-{late}")).to_contain_text("all 32 lanes are in use")
        expect(page.get_by_text(re.compile("Followers"))).to_be_visible()
        assert ops.accessible() == []

        watcher = visit(web)
        watcher.sign_in("ops", PASSWORD)
        watcher.page.goto(f"/runs/{detailed}")
        expect(watcher.page.locator("[data-wait]")).to_contain_text("32 quick runs have to end first")
        expect(watcher.page.locator("[data-position]")).to_contain_text("1 of 2")
        expect(watcher.page.locator("[data-eta]")).to_contain_text("in ")
        assert watcher.accessible() == []

        first = page.locator(f"#running-{runs[0]}").get_by_role("button", name=f"Cancel run {runs[0][:8]}")
        first.focus()
        first.press("Enter")
        expect(page.locator(f"#running-{runs[0]}")).to_have_count(0)
        expect(page.locator("#ticker")).to_contain_text("cancelled")
        wait_until(lambda: ledger.run(runs[0]).state is State.CANCELLED, 5, "the run is cancelled")
        for run in runs[1:]:
            ledger.cancel(run, by="test")
        expect(watcher.page.locator("#answer")).to_be_visible(timeout=patience(15_000))
        assert watcher.accessible() == []


def test_a_pause_is_told_to_who_waits(visit: Visit, web: str, settings: Settings, ledger: Ledger) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    page = ops.page
    with Parts(settings) as parts:
        parts.dispatcher()
        parts.pool(2, 1)
        page.goto("/board")
        page.get_by_label("Reason for the pause").fill("new firmware facts")
        page.get_by_role("button", name="Pause and drain").click()
        expect(page.get_by_text("Paused and drained.")).to_be_visible()
        run = ask(ledger, SHORT)
        page.goto(f"/runs/{run}")
        expect(page.locator("[data-wait]")).to_contain_text("The bench is paused by ops: new firmware facts")
        expect(page.locator("[data-eta]")).to_contain_text("when the bench resumes")
        assert ops.accessible() == []
        page.goto("/board")
        page.get_by_role("button", name="Resume").click()
        wait_until(lambda: ledger.run(run).state is State.DONE, 5, "it runs after all")
        page.goto("/audit")
        for kind in ("paused", "resumed"):
            expect(page.get_by_role("cell", name=kind, exact=True)).to_be_visible()


def test_a_run_is_cancelled_from_its_page(visit: Visit, web: str, ledger: Ledger) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    run = submitted(ledger)
    ops.page.goto(f"/runs/{run.id}")
    ops.page.get_by_role("button", name="Cancel this run").click()
    expect(ops.page.get_by_text("Cancelled before it finished")).to_be_visible()
    assert ops.accessible() == []


def test_restarting_the_bench_asks_first(visit: Visit, web: str, ledger: Ledger) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    page = ops.page
    page.goto("/board")
    page.get_by_role("link", name="Restart the bench").click()
    expect(page.get_by_text("Nothing is running, so no run is interrupted.")).to_be_visible()
    assert ops.accessible() == []
    page.get_by_role("button", name="Restart the bench").click()
    expect(page.get_by_text("Restart requested")).to_be_visible()
    events, _ = ledger.audit(kinds={"restart"})
    assert [event.fields["by"] for event in events] == ["ops"]


def test_the_line_may_be_cut(visit: Visit, web: str, ledger: Ledger) -> None:
    """A board that was offline for a while shows what happened in the meantime once it is back."""
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    ops.page.goto("/board")
    expect(ops.page.locator("[data-live-state]")).to_have_attribute("data-state", "on")
    ops.expected += ["ERR_INTERNET_DISCONNECTED", "ERR_NETWORK"]
    ops.context.set_offline(True)
    submitted(ledger)
    ops.context.set_offline(False)
    second = submitted(ledger)
    expect(ops.page.locator(f"#waiting-{second.id}")).to_be_visible(timeout=patience(15_000))


def test_another_board_follows_a_pause(visit: Visit, web: str, settings: Settings, ledger: Ledger) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    ops.page.goto("/board")
    asking = ops.context.new_page()
    asking.goto("/?blank=1")
    expect(ops.page.get_by_role("button", name="Resume")).to_be_hidden()
    expect(ops.page.locator("[data-live-state]")).to_have_attribute("data-state", "on")
    ledger.pause("somebody else", "new facts")
    expect(ops.page.get_by_role("button", name="Resume")).to_be_visible()
    expect(ops.page.get_by_role("button", name="Pause and drain")).to_be_hidden()
    expect(asking.locator("#ask-paused")).to_contain_text("paused by somebody else: new facts")
    ops.page.get_by_role("button", name="Resume").click()
    expect(ops.page.get_by_text("The bench has been resumed.")).to_be_visible()
    assert "said=" not in ops.page.url
    expect(asking.locator("#ask-paused")).to_be_empty()
