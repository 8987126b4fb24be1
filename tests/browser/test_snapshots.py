"""Snapshots on the pages: pushed, checked, compared, made current, pinned and removed; on a phone; with the keyboard."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, PHONE, Visitor
from tests.support.changed_campus import CHANGES, changed_campus
from tests.support.patience import patience

Archive = Callable[..., Path]
CHECK_MS = 60_000
"""How long the check of a snapshot may take on an idle machine. It takes about a second."""


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Makes an archive of the sample network with changes."""

    def make(changes: Mapping[str, tuple[str, str]] = CHANGES) -> Path:
        with tarfile.open(tmp_path / "campus-new.tar.gz", "w:gz") as tar:
            tar.add(changed_campus(tmp_path, changes), ".")
        return tmp_path / "campus-new.tar.gz"

    return make


def test_a_snapshot_is_pushed_checked_compared_made_current_and_pinned(admin: Visitor, archive: Archive) -> None:
    page = admin.page
    page.goto("/")
    page.get_by_role("link", name="Snapshots", exact=True).click()
    first = page.get_by_role("row", name=re.compile("current")).get_by_role("link").inner_text()
    assert admin.accessible() == []
    page.get_by_label("Archive of the routers").set_input_files(archive())
    page.get_by_label("Note").fill("without Wi-Fi")
    page.get_by_role("button", name="Push").click()
    expect(page).to_have_url(re.compile(r"/snapshots/[0-9a-f]{12}$"))
    facts = urlsplit(page.url).path.rpartition("/")[2]
    expect(page.locator(".head .pill").first).to_have_text("ready", timeout=patience(CHECK_MS))
    expect(page.get_by_text("without Wi-Fi")).to_be_visible()
    assert admin.accessible() == []

    page.get_by_role("link", name="Compare with the current snapshot").click()
    expect(page.get_by_role("heading", name=f"Changes from {first} to {facts}")).to_be_visible()
    rule = page.get_by_role("row", name=re.compile("--dport 5432"))
    expect(rule).to_contain_text("changed")
    expect(rule.get_by_role("cell").nth(1)).to_contain_text("10.1.10.32/27")
    expect(rule.get_by_role("cell").nth(2)).to_contain_text("iptables.rules:33")
    expect(page.get_by_role("row", name=re.compile("10.1.99.13"))).to_contain_text("added")
    expect(page.get_by_text("This router was removed.")).to_be_visible()
    assert admin.accessible() == []
    page.set_viewport_size(PHONE)
    assert not admin.too_wide()
    assert admin.accessible() == []
    page.goto(f"/snapshots/{facts}")
    assert not admin.too_wide()
    page.set_viewport_size(DESK)

    page.get_by_role("button", name="Make current").click()
    expect(page.get_by_text("The snapshot is current now")).to_be_visible()
    expect(page.locator(".head .pill").first).to_have_text("current")
    page.get_by_label("Reason").fill("the state before the migration")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.locator(".head .pill").nth(1)).to_have_text("pinned")
    expect(page.get_by_text("by admin: the state before the migration")).to_be_visible()
    assert admin.accessible() == []
    page.goto("/network")
    expect(page.locator(".head")).to_contain_text(f"10 routers, 23 segments, facts {facts}")

    page.goto(f"/snapshots/{first}")
    page.get_by_role("button", name="Make current").click()
    expect(page.locator(".head .pill").first).to_have_text("current")
    page.goto(f"/snapshots/{facts}")
    page.get_by_role("button", name="Remove the pin").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("The snapshot is removed.")).to_be_visible()
    expect(page.get_by_role("link", name=facts)).to_have_count(0)


def test_an_archive_that_cannot_be_used_is_refused_with_file_and_line(admin: Visitor, archive: Archive) -> None:
    page = admin.page
    admin.expected.append("status of 422")
    wrong = {"dc-fw/iptables.rules": ("*filter\n", "*fliter\n"), "dc-gw/routes.json": ("[{", "[[")}
    page.goto("/snapshots")
    page.get_by_label("Archive of the routers").set_input_files(archive(wrong))
    page.get_by_label("Archive of the routers").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("to be tested")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(has_text="dc-")
    expect(alert).to_contain_text("dc-fw/iptables.rules:2")
    expect(alert).to_contain_text("dc-gw/routes.json:1")
    expect(page.get_by_label("Note")).to_have_value("to be tested")
    assert admin.accessible() == []
    page.set_viewport_size(PHONE)
    assert not admin.too_wide()
    assert admin.accessible() == []
