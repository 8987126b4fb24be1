"""The page of a bulk run: its progress while it runs, its answers with a filter; on a desk, on a phone and in the dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.people import passwords
from ledger.people.records import UserRole
from ledger.runs.records import Answer
from ledger.runs.run import Mode, Run
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.results.bulk import encode_bulk
from tests.browser.conftest import PHONE, Visitor
from tests.support import bulk_runs
from tests.support.runs import submitted
from tests.support.web import Web
from tests.system.running import System

PASSWORD = "correct horse battery"
Visit = Callable[..., Visitor]


@pytest.fixture
def web(settings: Settings, ledger: Ledger) -> Iterator[str]:
    """The address of a web server on the test's own Redis, with the account `ops`."""
    ledger.add_user("ops", UserRole.ADMIN, passwords.hashed(PASSWORD, "ops"), by="test")
    server = Web(settings.redis_url, Path(settings.data), REACHQ_LEASE_MS="60000")  # no worker has a heartbeat here
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def finish(ledger: Ledger, run: Run, count: int) -> None:
    result = bulk_runs.result_of(run, bulk_runs.questions(count))
    assert ledger.finish(run.id, run.token, Answer(result.verdict, encode_bulk(result), facts=result.facts))


def test_a_bulk_run_from_its_progress_to_its_answers(visit: Visit, web: str, ledger: Ledger) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    page = ops.page
    run = bulk_runs.begun(ledger, bulk_runs.questions(250))
    page.goto(f"/runs/{run.id}")
    expect(page.get_by_role("heading", name="250 questions")).to_be_visible()
    assert ops.accessible() == []
    ledger.progress(run.id, run.token, "ask", 40, "100 of 250 questions answered")
    expect(page.get_by_text("100 of 250 questions answered")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "40")
    finish(ledger, run, 250)
    expect(page.get_by_role("heading", name=re.compile("YES 166"))).to_be_visible()
    expect(page.get_by_text("1–100 of 250")).to_be_visible()
    assert ops.accessible() == []

    page.get_by_label("Answer", exact=True).select_option("NO")
    page.get_by_role("searchbox").fill("dc-fw 10.3.20.9")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"\?text=dc-fw\+10\.3\.20\.9&verdict=NO$"))
    rows = page.get_by_role("region", name="Answers").get_by_role("row")
    expect(rows).to_have_count(6)  # 9, 90, 93, 96 and 99, and the row of names
    assert ops.accessible() == []
    page.get_by_role("link", name="Ask the question of line 9 alone").click()
    expect(page.get_by_label("Destination")).to_have_value("10.3.20.9")
    expect(page.get_by_label("Services", exact=True)).to_have_value("443/tcp")


def test_lists_and_a_phone_in_the_dark(visit: Visit, web: str, ledger: Ledger) -> None:
    small = visit(web, color_scheme="dark", has_touch=True)
    small.page.set_viewport_size(PHONE)
    small.sign_in("ops", PASSWORD)
    page = small.page
    done, waiting = bulk_runs.answered(ledger, 30, user="ops"), submitted(ledger, Mode.BULK)
    started = bulk_runs.begun(ledger, bulk_runs.questions(7), user="ops", number=1)
    for path in (f"/runs/{done.id}", f"/runs/{waiting.id}", f"/runs/{started.id}", "/runs", "/", "/board"):
        page.goto(path)
        expect(page.get_by_role("main")).to_be_visible()
        assert not small.too_wide(), path
        assert small.accessible() == [], path
    for path in ("/runs", "/"):
        page.goto(path)
        expect(page.get_by_text("30 questions: 10.1.10.20 → 10.3.20.1 …").first).to_be_visible()


def test_rows_become_a_bulk_run_on_a_real_bench(admin: Visitor, system: System) -> None:
    page = admin.page
    page.goto("/many")
    page.get_by_label("Rows", exact=True).fill("\n".join(f"10.1.10.20, 10.3.20.8, {port}" for port in range(400, 700)))
    page.get_by_role("button", name="Check the rows").click()
    page.get_by_role("button", name="Run all 300 tests").click()
    expect(page.get_by_text("All finished")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("row", name=re.compile("^44 YES"))).to_contain_text("443/tcp")
    assert admin.accessible() == []
    page.get_by_role("row", name=re.compile("^44 YES")).get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="150 questions")).to_be_visible()
    assert admin.accessible() == []
    page.get_by_role("link", name="Edit and run again").click()
    expect(page.get_by_label("Rows", exact=True)).to_have_value(
        re.compile("^source;destination;services;source_port\n10.1.10.20;10.3.20.8;400/tcp;")
    )
