"""docs/architecture.md names the existing folders."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = ("app", "compat_dispatcher", "dscp", "ledger", "netlab", "workers")
NAMED = re.findall(r"^\| `([^`]+)/` \|", PAGE, re.M)


def test_every_package_is_on_the_page() -> None:
    there = {str(init.parent.relative_to(ROOT)) for name in PACKAGES for init in (ROOT / name).rglob("__init__.py")}
    assert len(there) > 25
    assert there - set(NAMED) == set()


def test_every_folder_on_the_page_is_there_and_is_named_once() -> None:
    assert [name for name in NAMED if not (ROOT / name).is_dir()] == []
    assert sorted(NAMED) == sorted(set(NAMED))


def test_the_drawing_has_every_top_level_package_that_is_a_process_or_a_record() -> None:
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.S)
    assert all(re.search(rf"\b{name}\b", drawing) for name in set(PACKAGES) - {"dscp"})
