"""The pages as users use them: sign in, test, understand, compare, manage users. Every screen passes axe."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Visitor
from tests.system.running import System

SOURCE, DESTINATION = "10.1.10.20", "10.3.20.8"
Visit = Callable[..., Visitor]


def test_first_sign_in_to_a_named_rule(visit: Visit, system: System, first_password: dict[str, str]) -> None:
    anna = visit(system.url)
    page = anna.page
    page.goto("/runs")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=/runs"))
    assert anna.accessible() == []
    anna.expected.append("status of 403")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    anna.expected.clear()
    page.get_by_label("Password").fill(first_password["admin"])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/runs$"))

    page.get_by_role("link", name="New test", exact=True).click()
    page.get_by_label("Source", exact=True).fill(SOURCE)
    page.get_by_label("Destination").fill(DESTINATION)
    page.get_by_label("Services", exact=True).fill("8000-8003")
    page.get_by_role("button", name="+ web").click()
    expect(page.get_by_label("Services", exact=True)).to_have_value("8000-8003, 80,443")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("6: 8000/tcp, 8001/tcp, 8002/tcp, 8003/tcp, 80/tcp, 443/tcp")
    expect(preview).to_contain_text("segment 10.3.20.0/24, behind dc-core")
    expect(page.locator("#cost-quick")).to_contain_text("starts now")
    assert anna.accessible() == []

    page.get_by_label("Services", exact=True).fill("22,80,53/udp,icmp")
    page.get_by_role("radio", name="Quick").check()  # the last test is remembered
    page.get_by_role("button", name="Run test", exact=True).click()
    expect(page.get_by_role("heading", name="NO", exact=True)).to_be_visible()
    expect(page.locator(".ticket").first).to_contain_text("dc-fw")
    expect(page.get_by_text("2 of 4 blocked")).to_be_visible()
    expect(page.get_by_role("link", name="dc-fw, 22/tcp: NO", exact=False).first).to_be_visible()
    expect(page.locator("svg.pp").first).to_be_visible()
    assert anna.accessible() == []

    expect(page.get_by_role("button", name="Detailed test of 53/udp")).to_be_visible()
    page.get_by_role("button", name="Run detailed test").click()
    expect(page.get_by_role("heading", name="NO", exact=True)).to_be_visible()
    expect(page.locator("#said-1")).to_contain_text("is blocked by dc-")
    expect(page.locator("#said-1")).to_contain_text("FORWARD")
    expect(page.locator("#said-1")).to_contain_text("dc-core, further along the path, would also block it")
    expect(page.get_by_text("detailed run").first).to_be_visible()
    page.get_by_text("Every rule", exact=True).first.click()
    assert anna.accessible() == []


def test_from_a_quick_yes_to_the_reply_that_is_stopped(admin: Visitor) -> None:
    page = admin.page
    quick = admin.ask(SOURCE, "8.8.8.8", "80")
    expect(page.get_by_role("heading", name="YES", exact=True)).to_be_visible()
    expect(page.locator("#said-1")).to_contain_text("return path not tested")
    assert admin.accessible() == []
    page.get_by_role("button", name="Test the return path too").click()
    expect(page.get_by_role("heading", name="NO", exact=True)).to_be_visible()
    expect(page.locator("#said-1")).to_contain_text(
        "the request arrives, but the reply is dropped by edge, PREROUTING rule 3"
    )
    expect(page.get_by_role("row", name=re.compile("edge, reply"))).to_contain_text("NO")
    row = page.get_by_role("row", name=re.compile(quick[:8]))
    expect(row).to_contain_text("80/tcp")
    table = admin.context.request.get(page.get_by_role("link", name="CSV").get_attribute("href") or "").text()
    assert "80/tcp,NO,reply,1,edge,eth1,,NO,PREROUTING rule 3: " in table

    page.locator("svg.pp:visible a[href$='#iptables.rules-7']").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/network/edge#iptables\.rules-7$"))
    expect(page.locator("tr:target")).to_contain_text("--sport 0:1023 -j DROP")
    page.go_back()

    row.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Nothing that both runs tested has changed")).to_be_visible()
    expect(page.get_by_role("row", name="80/tcp")).to_contain_text("not tested by the quick run")
    assert admin.accessible() == []


def test_the_matrix_is_one_stop_with_arrows_inside(admin: Visitor) -> None:
    page = admin.page
    admin.ask(SOURCE, DESTINATION, "22,80,53/udp")
    grid = page.get_by_role("grid")
    expect(grid).to_be_visible()
    stops = (
        "[...document.querySelectorAll('[role=grid] :is(a, button, span)')].filter((one) => one.tabIndex === 0).length"
    )
    assert page.evaluate(stops) == 1
    here = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    page.locator("[role=grid] [tabindex='0']").focus()
    assert page.evaluate(here) == "hq-core"
    for key, expected in (
        ("ArrowRight", "hq-core, 22/tcp: YES"),
        ("ArrowDown", "hq-gw, 22/tcp: YES"),
        ("End", "hq-gw, 53/udp: YES"),
        ("Home", "hq-gw"),
        ("ArrowLeft", "hq-gw"),
        ("ArrowUp", "hq-core"),
        ("Control+End", "Detailed test of 53/udp"),
        ("ArrowLeft", "Detailed test of 22/tcp"),
        ("ArrowUp", "overall, 22/tcp: NO, stopped by dc-fw, dc-core"),
        ("ArrowUp", "dc-core, 22/tcp: NO, forward rule 10"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(here) == expected, key
        assert page.evaluate(stops) == 1
    page.keyboard.press("Tab")
    assert page.evaluate("!document.activeElement.closest('[role=grid]')")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(here) == "dc-core, 22/tcp: NO, forward rule 10"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/network/dc-core#nft\.rules-44$"))


def test_a_field_that_cannot_be_used_is_named_beside_it(admin: Visitor) -> None:
    page = admin.page
    page.goto("/")
    admin.expected.append("status of 422")
    page.get_by_label("Source", exact=True).fill("10.1.10.300")
    page.get_by_label("Destination").fill(DESTINATION)
    page.get_by_label("Services", exact=True).fill("22,80/sctp")
    expect(page.locator("#preview")).to_contain_text("each of the four numbers is at most 255")
    for name in ("Source", "Destination", "Services"):
        page.get_by_label(name, exact=True).fill("")
    expect(page.locator("#preview")).to_contain_text("an IPv4 address")
    expect(page.locator("#preview")).not_to_contain_text("255")
    page.get_by_label("Source", exact=True).fill(DESTINATION)
    page.get_by_label("Destination").fill(DESTINATION)
    expect(page.locator("#preview")).to_contain_text("the source itself")
    page.get_by_label("Source", exact=True).fill("10.1.10.300")
    page.get_by_label("Services", exact=True).fill("22,80/sctp")
    page.get_by_role("button", name="Run test", exact=True).click()
    expect(page.locator("#source-error")).to_contain_text("each of the four numbers is at most 255")
    expect(page.locator("#services-error")).to_contain_text("end it in /tcp or /udp")
    expect(page.get_by_label("Source", exact=True)).to_have_attribute("aria-describedby", "source-error")
    expect(page.get_by_label("Services", exact=True)).to_have_value("22,80/sctp")
    assert admin.accessible() == []


def test_runs_and_what_has_changed(admin: Visitor) -> None:
    page = admin.page
    first = admin.ask(SOURCE, DESTINATION, "22,443")
    expect(page.locator("#answer")).to_be_visible()
    second = admin.ask(SOURCE, DESTINATION, "22,443,8080")
    expect(page.locator("#answer")).to_be_visible()
    page.reload()
    page.get_by_role("link", name="Compare").first.click()
    expect(page.get_by_role("heading", name="Compare two runs")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("8080"))).to_contain_text("not tested")
    assert admin.accessible() == []

    page.goto("/runs")
    page.get_by_label("Search").fill("8080")
    page.get_by_label("Answer").select_option("NO")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"text=8080&verdict=NO"))
    expect(page.locator(f'a[href="/runs/{second}"]')).to_be_visible()
    expect(page.locator(f'a[href="/runs/{first}"]')).to_have_count(0)
    assert admin.accessible() == []
    page.goto("/runs?text=203.0.113.77")
    expect(page.get_by_text("No run in the history matches")).to_be_visible()


def test_many_at_once_after_a_dry_run(admin: Visitor) -> None:
    page = admin.page
    page.goto("/")
    page.get_by_role("link", name="Bulk test").click()
    assert admin.accessible() == []
    admin.expected.append("status of 422")
    page.get_by_label("Rows", exact=True).fill(f"{SOURCE}, {DESTINATION}, 22, 443\n{SOURCE}, 10.3.20.999, 22")
    page.get_by_role("button", name="Check the rows").click()
    expect(page.get_by_text("1 invalid")).to_be_visible()
    expect(page.get_by_role("button", name="Run the 1 valid test")).to_be_visible()
    page.get_by_label("Default mode").select_option("detailed")
    page.get_by_role("button", name="Run the 1 valid test").click()
    expect(page.get_by_role("alert")).to_contain_text("have changed since you checked them")
    page.get_by_label("Default mode").select_option("quick")
    page.get_by_label("Rows", exact=True).fill(f"{SOURCE}, {DESTINATION}, 22, 443\n{SOURCE}, 10.3.40.5, 5432, detailed")
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_text("all valid")).to_be_visible()
    admin.expected.clear()
    assert admin.accessible() == []
    page.get_by_role("button", name="Run all 2 tests").click()
    expect(page).to_have_url(re.compile(r"/many/[0-9a-f-]{36}\?lines=1-2$"))
    expect(page.get_by_text("All finished")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^1 NO"))).to_contain_text("dc-fw iptables.rules:4")
    expect(page.get_by_role("row", name=re.compile("^2"))).to_contain_text("10.3.40.5")
    assert admin.accessible() == []
    download = admin.context.request.get(page.get_by_role("link", name="CSV").get_attribute("href") or "")
    assert (
        download.text().splitlines()[0] == "line,source,destination,services,mode,state,answer,stopped_by,run,one_way"
    )


def test_the_network_and_a_router(admin: Visitor) -> None:
    page = admin.page
    admin.ask(SOURCE, DESTINATION, "22")
    expect(page.locator("#answer")).to_be_visible()
    page.goto("/network")
    expect(page.get_by_text("The bench is running this configuration")).to_be_visible()
    assert admin.accessible() == []
    page.locator(".np-frame a", has_text="dc-fw").click()
    expect(page.get_by_role("heading", name="dc-fw", exact=True)).to_be_visible()
    page.get_by_text(re.compile(r"^\d+ routes")).click()
    expect(page.get_by_role("cell", name="default", exact=True)).to_be_visible()
    expect(page.locator("tr.hit").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d+ hits?\. Quick tests count only blocks")).first).to_be_visible()
    assert admin.accessible() == []


def test_people_tokens_and_what_a_user_may(admin: Visitor, visit: Visit, system: System) -> None:
    page = admin.page
    page.get_by_role("link", name="People").click()
    page.get_by_label("Name", exact=True).fill("berta")
    page.get_by_role("button", name="Add", exact=True).click()
    password = page.locator("#secret").inner_text()
    assert admin.accessible() == []
    hidden = admin.ask(SOURCE, DESTINATION, "22")

    berta = visit(system.url)
    berta.sign_in("berta", password)
    expect(berta.page.get_by_role("link", name="Board")).to_have_count(0)
    berta.page.goto("/runs")
    expect(berta.page.get_by_role("heading", name="Your runs")).to_be_visible()
    expect(berta.page.get_by_text("No runs yet")).to_be_visible()
    berta.expected += ["status of 404", "status of 403"]
    assert berta.page.goto(f"/runs/{hidden}").status == 404  # type: ignore[union-attr]
    assert berta.accessible() == []
    assert berta.page.goto("/board").status == 403  # type: ignore[union-attr]
    berta.expected.clear()

    berta.page.goto("/account")
    berta.page.get_by_label("Label").fill("nightly checks")
    berta.page.get_by_role("button", name="Create token").click()
    token = berta.page.locator("#secret").inner_text()
    assert token.startswith("rq_")
    assert berta.accessible() == []
    answer = berta.context.request.get("/api/runs", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["total"] == 0
    berta.page.goto("/account")
    expect(berta.page.locator("#secret")).to_have_count(0)
    berta.page.once("dialog", lambda dialog: dialog.accept())
    berta.page.get_by_role("button", name="Revoke the token for nightly checks").click()
    expect(berta.page.get_by_text("Revoked.")).to_be_visible()
    assert berta.context.request.get("/api/runs", headers={"Authorization": f"Bearer {token}"}).status == 401

    berta.expected.append("status of 401")  # her sessions end, and with them a stream that connects at that moment
    new = "a much better password"
    berta.page.get_by_label("Current password").fill(password)
    berta.page.get_by_label("New password", exact=True).fill(new)
    berta.page.get_by_label("New password again").fill(new)
    berta.page.get_by_role("button", name="Change password").click()
    expect(berta.page.get_by_text("Password changed.")).to_be_visible()

    page.goto("/people")
    page.get_by_label("Role of berta", exact=True).select_option("viewer")
    page.get_by_role("button", name="Set the role of berta").click()
    expect(page.get_by_text("The role has been changed")).to_be_visible()
    berta.sign_in("berta", new)
    expect(berta.page.get_by_role("heading", name="All users’ runs")).to_be_visible()
    expect(berta.page.get_by_role("link", name="New test", exact=True)).to_have_count(0)
    berta.page.goto("/board")
    expect(berta.page.get_by_role("button", name="Pause and drain")).to_have_count(0)

    admin.expected.append("status of 422")
    page.get_by_label("Role of admin", exact=True).select_option("user")
    page.get_by_role("button", name="Set the role of admin").click()
    expect(page.get_by_role("alert")).to_contain_text("last admin")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#person-berta").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The account and its sessions and tokens have been removed")).to_be_visible()
    page.goto("/audit?user=berta")
    expect(page.get_by_role("row", name=re.compile("user-removed admin berta"))).to_be_visible()
    assert admin.accessible() == []


def test_the_api_is_explained_and_the_neighbours_are_there(admin: Visitor) -> None:
    page = admin.page
    page.goto("/docs/api")
    expect(page.get_by_role("link", name="/api/runs", exact=True).first).to_be_visible()
    assert admin.accessible() == []
    assert "reachq_lanes_in_use" in admin.context.request.get("/metrics").text()
    page.goto("/rq/")
    expect(page.get_by_text("main-quick", exact=False).first).to_be_visible()


def test_light_and_dark_and_a_phone(visit: Visit, system: System, first_password: dict[str, str]) -> None:
    small = visit(system.url, color_scheme="dark", has_touch=True)
    small.page.set_viewport_size(PHONE)
    small.sign_in("admin", first_password["admin"])
    page = small.page
    for path in (
        "/", "/runs", "/network", "/network/dc-core", "/snapshots", "/snapshots/current", "/snapshots/current/diff",
        "/board", "/people", "/account", "/audit", "/many", "/docs/api", "/docs/glossary",
    ):  # fmt: skip
        page.goto(path)
        assert not small.too_wide(), path
        assert small.accessible() == [], path
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark, "the choice is kept"
    small.ask(SOURCE, DESTINATION, "22,80,443", "Detailed")
    expect(page.locator("#answer")).to_be_visible()
    assert not small.too_wide()
    assert small.accessible() == []


def test_the_keyboard_alone_is_enough(admin: Visitor) -> None:
    page = admin.page
    page.goto("/?blank=1")
    page.get_by_label("Source", exact=True).focus()
    page.keyboard.type(SOURCE)
    page.keyboard.press("Tab")
    page.keyboard.type(DESTINATION)
    page.keyboard.press("Tab")
    page.keyboard.type("22")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_be_visible()
    cell = page.locator(".matrix .cell.no").first
    cell.focus()
    expect(cell).to_be_focused()
    expect(cell).to_have_attribute("tabindex", "0")
    page.goto("/runs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_what_was_typed_outlives_the_session(admin: Visitor, first_password: dict[str, str], system: System) -> None:
    page = admin.page
    page.goto("/many")
    page.get_by_label("Rows", exact=True).fill(f"{SOURCE}, {DESTINATION}, 22")
    admin.context.clear_cookies()
    page.get_by_role("button", name="Check the rows").click()
    expect(page).to_have_url(re.compile(r"/sign-in\?next=/many"))
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(first_password["admin"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Rows", exact=True)).to_have_value(f"{SOURCE}, {DESTINATION}, 22")
    page.goto("/runs")
    page.goto("/many")
    expect(page.get_by_label("Rows", exact=True)).to_have_value("")


def test_an_address_without_a_page_knows_who_is_there(admin: Visitor) -> None:
    admin.expected.append("status of 404")
    admin.page.goto("/nope")
    expect(admin.page.get_by_role("link", name="Back to the home page")).to_be_visible()
    assert admin.accessible() == []
