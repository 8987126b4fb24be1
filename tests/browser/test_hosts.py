"""The page of the hosts, with two of them: drained with a reason, resumed; on the board; on a phone and in the dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.people import passwords
from ledger.people.records import UserRole
from ledger.runs.records import Choice
from ledger.settings import Settings
from ledger.store import Ledger
from tests.browser.conftest import DESK, PHONE, Visitor
from tests.support.runs import DETAILED, QUICK, leading, queue_of, submitted, worker_of
from tests.support.web import Web

PASSWORD = "correct horse battery"
Visit = Callable[..., Visitor]


@pytest.fixture
def web(settings: Settings, ledger: Ledger) -> Iterator[str]:
    """The address of a web server on the test's own Redis, with accounts `ops` and `vera`."""
    for name, role in (("ops", UserRole.ADMIN), ("vera", UserRole.VIEWER)):
        ledger.add_user(name, role, passwords.hashed(PASSWORD, name), by="test")
    server = Web(settings.redis_url, Path(settings.data), REACHQ_LEASE_MS="60000")  # no worker has a heartbeat here
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def hosts(settings: Settings, ledger: Ledger) -> Iterator[dict[str, Ledger]]:
    """Hosts east, with a run, and west, whose bench is down: each with two quick workers and a detailed one."""
    found = {
        name: Ledger.connect(settings.model_copy(update={"host_name": name, "lease_ms": 60_000}))
        for name in ("east", "west")
    }
    for at, host in enumerate(found.values()):
        for number, mode in enumerate((QUICK, QUICK, DETAILED)):
            queue = queue_of(mode, 10 * at + number)
            host.announce(worker_of(queue), queue, mode, 1)
    found["east"].report_bench({"state": "up", "facts": "b17e42431a16"})
    found["west"].report_bench({"state": "away", "error": "no bench answers at /run/reachq/bench.sock"})
    run, queue = submitted(ledger), queue_of(QUICK)
    ledger.promote(leading(ledger), [Choice(run.id, QUICK, queue)])
    assert found["east"].begin(run.id, worker_of(queue), queue) is not None
    yield found
    for host in found.values():
        host.connection.client.close()


def test_a_host_is_drained_with_a_reason_and_resumed(visit: Visit, web: str, hosts: dict[str, Ledger]) -> None:
    ops = visit(web)
    ops.sign_in("ops", PASSWORD)
    page = ops.page
    page.goto("/board")
    expect(page.get_by_role("heading", name="Host east")).to_be_visible()
    expect(page.get_by_role("heading", name="Host west")).to_be_visible()
    expect(page.locator("ul.lanes")).to_have_count(2)
    expect(page.locator(".lane.leased")).to_have_count(1)
    assert ops.accessible() == []
    page.get_by_role("link", name="Hosts", exact=True).click()
    east = page.get_by_role("row", name=re.compile("^east"))
    expect(east).to_contain_text("2 quick, 1 detailed")
    expect(east).to_contain_text("1 of 32")
    expect(page.get_by_role("row", name=re.compile("^west"))).to_contain_text("no bench answers")
    assert ops.accessible() == []
    east.get_by_label("Reason to drain east").fill("new memory")
    east.get_by_role("button", name="Drain east").click()
    expect(page.get_by_role("status").filter(has_text="The host is drained")).to_be_visible()
    expect(east).to_contain_text(re.compile("draining: 1 still running.*by ops.*new memory", re.S))
    assert ops.accessible() == []
    east.get_by_role("button", name="Resume east").click()
    expect(page.get_by_role("status").filter(has_text="The host has been resumed")).to_be_visible()
    expect(east.get_by_role("button", name="Drain east")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_is_accessible(
    visit: Visit, web: str, ledger: Ledger, hosts: dict[str, Ledger], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "second-machine")
    hosts["west"].announce("another", queue_of(QUICK, 30), QUICK, 1)
    ledger.drain_host("east", "ops", "The memory is replaced in the morning, and then the kernel is updated")
    ops = visit(web, color_scheme=scheme)
    ops.sign_in("ops", PASSWORD)
    for path in ("/hosts", "/board"):
        ops.page.goto(path)
        for window in (DESK, PHONE):
            ops.page.set_viewport_size(window)
            assert ops.too_wide() == []
            assert ops.accessible() == []
    ops.page.goto("/hosts")
    expect(ops.page.get_by_text("2 machines have the host name west:")).to_be_visible()


def test_a_viewer_sees_the_hosts_without_the_buttons(visit: Visit, web: str, hosts: dict[str, Ledger]) -> None:
    vera = visit(web)
    vera.sign_in("vera", PASSWORD)
    page = vera.page
    page.goto("/board")
    page.get_by_role("link", name="Hosts", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("^east"))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Drain|Resume"))).to_have_count(0)
    assert vera.accessible() == []
