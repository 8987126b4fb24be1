"""The pictures of the README and docs, light and dark, taken from a real system: `make pictures`.

A detailed and some quick questions are asked through the pages first, so that every screen has something to show.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, DESK, PHONE, QUIET, Visitor
from tests.support.changed_campus import changed_campus
from tests.support.waiting import wait_until
from tests.system.running import ROOT, System

PICTURES = ROOT / "docs" / "pictures"
SOURCE, DESTINATION = "10.1.10.20", "10.3.20.8"
NOTE = "Give 10.1.10.0/24 access to the database"
QUESTIONS = (
    ("10.2.10.15", "10.3.40.5", "5432,3306", "Quick"),
    ("10.1.30.40", "8.8.8.8", "53/udp,443", "Quick"),
    (SOURCE, "10.2.20.9", "22,9100", "Quick"),
    (SOURCE, DESTINATION, "22,80,443,53/udp,icmp", "Quick"),
)


def main() -> None:
    """Start a system, ask, and save one picture a screen and scheme."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        system = System(Path(data), quick=8)
        try:
            system.ready()
            found = re.search(r"as admin with the password (\S+);", system.output)
            assert found, system.output
            pushed = system.run("facts", "push", str(changed_campus(Path(data))), "--note", NOTE).stdout
            take(system, found[1], re.findall(r"snapshot (\w{12})", pushed)[0])
            system.end()
        finally:
            system.close()


def take(system: System, password: str, pushed: str) -> None:
    """All pictures. `pushed` is a snapshot that is not current."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        runs: list[str] = []
        for scheme in ("light", "dark"):
            visitor = Visitor(browser, system.url, color_scheme=scheme)
            visitor.sign_in("admin", password)
            if not runs:
                runs += [ask(visitor, *question) for question in QUESTIONS]
                runs.append(ask(visitor, SOURCE, DESTINATION, "22,443,53/udp", "Detailed"))
            quick, detailed = runs[-2:]
            screens = {
                "ask": f"/?from={quick}", "run": f"/runs/{quick}", "detailed": f"/runs/{detailed}", "runs": "/runs",
                "compare": f"/compare?a={quick}&b={detailed}", "network": "/network", "router": "/network/dc-fw",
                "snapshots": "/snapshots", "changes": f"/snapshots/current/diff?to={pushed}",
                "board": "/board", "people": "/people", "audit": "/audit", "account": "/account",
            }  # fmt: skip
            for name, path in screens.items():
                shoot(visitor, path, f"{name}-{scheme}.png")
            visitor.page.set_viewport_size(PHONE)
            shoot(visitor, f"/runs/{quick}", f"phone-{scheme}.png")
            visitor.context.close()
        browser.close()


def ask(visitor: Visitor, source: str, destination: str, services: str, mode: str) -> str:
    """Submit a test and wait for the result."""
    run = visitor.ask(source, destination, services, mode)
    wait_until(lambda: visitor.page.locator("#answer").count() > 0, 20, f"{run} is answered")
    return run


def shoot(visitor: Visitor, path: str, name: str) -> None:
    """Save one screen, up to two and a half windows of it."""
    visitor.page.goto(path)
    visitor.page.wait_for_timeout(700)  # until the stream is connected and the preview is shown
    size = visitor.page.viewport_size or DESK
    high = min(visitor.page.evaluate("document.documentElement.scrollHeight"), round(size["height"] * 2.5))
    box = {"x": 0, "y": 0, "width": size["width"], "height": high}
    visitor.page.screenshot(path=PICTURES / name, full_page=True, clip=box)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
