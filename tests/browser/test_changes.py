"""Comparisons in a browser: two snapshots compared, an edit tried out and discarded; on a phone; without JavaScript."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ledger.settings import load_settings
from ledger.snapshots.records import SnapshotState
from ledger.store import Ledger
from tests.browser.conftest import DESK, PHONE, Visitor
from tests.support.changed_campus import changed_campus
from tests.support.patience import patience
from tests.support.waiting import wait_until
from tests.system.running import CAMPUS, System

RULES = "dc-fw/iptables.rules"
DATABASE = "-A to-db -s 10.1.10.32/27 -p tcp -m tcp --dport 5432 -j ACCEPT\n"
ROWS = "10.1.10.40, 10.3.40.10, 5432\n10.1.10.20, 10.3.20.8, 22,443\n"
REPORT_MS = 60_000
"""How long two bulk runs and the bench of a snapshot may take on an idle machine. They take about two seconds."""


@pytest.fixture
def ledger(system: System) -> Iterator[Ledger]:
    with Ledger.connect(load_settings(data=system.data)) as ledger:
        yield ledger
        for change in ledger.changes():
            ledger.remove_change(change.id, by="test")
        ledger.set_management_flows("", by="test")


@pytest.fixture
def changed(admin: Visitor, ledger: Ledger, tmp_path: Path) -> Iterator[str]:
    """A stored snapshot in which the clients may not use the database."""
    with tarfile.open(tmp_path / "changed.tar", "w") as tar:
        tar.add(changed_campus(tmp_path, {RULES: (DATABASE, "")}), ".")
    page = admin.page
    page.goto("/snapshots")
    page.get_by_label("Archive of the routers").set_input_files(tmp_path / "changed.tar")
    page.get_by_role("button", name="Push").click()
    expect(page).to_have_url(re.compile(r"/snapshots/[0-9a-f]{12}$"))
    facts = page.url.rpartition("/")[2]
    wait_until(lambda: ledger.snapshot(facts).state is SnapshotState.READY, 60, "the snapshot is checked")
    yield facts
    ledger.remove_snapshot(facts, by="test")


def fits_everywhere(visitor: Visitor) -> None:
    """The page has no serious finding of axe and does not scroll sideways, on a desk and on a phone."""
    for size in (DESK, PHONE):
        visitor.page.set_viewport_size(size)
        assert not visitor.too_wide()
        assert visitor.accessible() == []
    visitor.page.set_viewport_size(DESK)


def edit(page: Page, text: str, *, rows: str = ROWS) -> None:
    """Try out another text of RULES in the current snapshot."""
    page.get_by_label("File").select_option(RULES)
    page.get_by_role("button", name="Edit this file").click()
    page.get_by_label("Content").fill(text)
    page.get_by_label("Questions").fill(rows)
    page.get_by_role("button", name="Show the effect").click()


def test_two_snapshots_are_compared(admin: Visitor, changed: str) -> None:
    page = admin.page
    page.goto("/")
    page.get_by_role("link", name="Changes", exact=True).click()
    expect(page.get_by_text("No comparisons yet")).to_be_visible()
    fits_everywhere(admin)
    page.get_by_label("Questions that every comparison asks").fill("10.1.99.11, 10.3.40.10, 22")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The management flows are saved")).to_be_visible()
    page.get_by_label("After").select_option(changed)
    page.get_by_label("Questions", exact=True).fill(ROWS)
    page.get_by_text("What may change").click()
    page.get_by_label("Expectation").fill("version: 1\nlost:\n  - {from: 10.1.10.32/27, to: 10.3.40.0/24}\n")
    page.get_by_label("Note").fill("ticket 7")
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(re.compile(r"/changes/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", name="ticket 7")).to_be_visible()
    summary = page.get_by_role("heading", name=re.compile("1 cell lost"))
    expect(summary).to_be_visible(timeout=patience(REPORT_MS))
    expect(page.get_by_text("As expected.")).to_be_visible()
    expect(page.get_by_text("10.1.10.40 no longer reaches 10.3.40.10 on 5432/tcp: dc-fw rejects it")).to_be_visible()
    expect(page.get_by_text("3 questions, 1 of them a management flow")).to_be_visible()
    expect(page.get_by_role("heading", name="Changes of the facts")).to_be_visible()
    fits_everywhere(admin)

    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Class").select_option("gained")
    page.get_by_role("button", name="Show these cells").click()
    expect(page.get_by_text("Only these cells are listed: gained.")).to_be_visible()
    expect(summary).to_be_visible()
    fits_everywhere(admin)
    page.get_by_role("link", name="Show all").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert "lost,1,10.1.10.40" in Path(download.value.path()).read_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    assert download.value.suggested_filename.endswith(".md")

    page.goto("/changes")
    expect(page.get_by_role("link", name="ticket 7")).to_be_visible()
    fits_everywhere(admin)
    page.get_by_role("link", name="ticket 7").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The comparison is removed.")).to_be_visible()
    expect(page.get_by_role("link", name="ticket 7")).to_have_count(0)


def test_wrong_rows_are_named_and_kept(admin: Visitor, changed: str) -> None:
    admin.expected.append("status of 422")
    page = admin.page
    page.goto("/changes")
    page.get_by_label("After").select_option(changed)
    page.get_by_label("Questions", exact=True).fill("10.1.10.40, 10.3.40.10, 5432\nx, 10.3.40.10, http3\n")
    page.get_by_role("button", name="Compare").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("line 2")
    expect(alert).to_contain_text("http3")
    expect(page.get_by_label("Questions", exact=True)).to_have_value(re.compile("http3"))
    expect(page.get_by_label("After")).to_have_value(changed)
    fits_everywhere(admin)


def test_an_edit_is_tried_out_and_discarded(admin: Visitor, ledger: Ledger) -> None:
    text = (CAMPUS / RULES).read_text()
    page = admin.page
    page.goto("/changes")
    page.get_by_role("link", name="What if …").click()
    fits_everywhere(admin)
    before = [one.facts for one in ledger.snapshots()]
    edit(page, text.replace(DATABASE, ""))
    expect(page.get_by_role("heading", name=re.compile("1 cell lost"))).to_be_visible(timeout=patience(REPORT_MS))
    expect(page.get_by_role("heading", name=f"what-if: {RULES}")).to_be_visible()
    assert len(ledger.snapshots()) == len(before) + 1
    fits_everywhere(admin)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("The comparison is removed.")).to_be_visible()
    assert [one.facts for one in ledger.snapshots()] == before, "the snapshot of the what-if is gone"


def test_an_edit_that_does_not_load_keeps_the_text(admin: Visitor, ledger: Ledger) -> None:
    """Refused by the reader, and by the kernel when a host builds the bench: with file and line. Nothing is left."""
    admin.expected.append("status of 422")
    text = (CAMPUS / RULES).read_text()
    page, before = admin.page, [one.facts for one in ledger.snapshots()]
    page.goto("/what-if")
    for wrong, line in (("*fliter\n", 2), (f"{DATABASE}-A to-db -m set --match-set missing src -j DROP\n", 0)):
        bad = text.replace("*filter\n", wrong) if line else text.replace(DATABASE, wrong)
        line = line or bad[: bad.index("--match-set missing")].count("\n") + 1
        edit(page, bad)
        expect(page.get_by_role("alert")).to_contain_text(f"{RULES}:{line}", timeout=patience(REPORT_MS))
        expect(page.get_by_label("Content")).to_have_value(bad)
        expect(page.get_by_label("Questions")).to_have_value(ROWS)
        assert [one.facts for one in ledger.snapshots()] == before
    fits_everywhere(admin)


def test_an_edit_without_meaning_says_so(admin: Visitor, ledger: Ledger) -> None:
    admin.expected.append("status of 422")
    page, before = admin.page, len(ledger.snapshots())
    page.goto("/what-if")
    edit(page, (CAMPUS / RULES).read_text().replace(":FORWARD DROP [0:0]", ":FORWARD DROP [5:60]"))
    expect(page.get_by_role("alert")).to_contain_text("describes the same network as before")
    expect(page.get_by_label("Content")).to_have_value(re.compile(r"\[5:60\]"))
    assert len(ledger.snapshots()) == before


def test_without_javascript(
    visit: Callable[..., Visitor], system: System, first_password: dict[str, str], ledger: Ledger
) -> None:
    visitor = visit(system.url, java_script_enabled=False)
    visitor.sign_in("admin", first_password["admin"])
    page = visitor.page
    page.goto("/what-if")
    edit(page, (CAMPUS / RULES).read_text().replace(DATABASE, ""))
    expect(page.get_by_role("heading", name=re.compile("1 cell lost"))).to_be_visible(timeout=patience(REPORT_MS))
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("The comparison is removed.")).to_be_visible()
    assert ledger.changes() == []
