"""docs/architecture.md names the existing folders, and describes each package in the words of its docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = ("app", "compat_dispatcher", "dscp", "ledger", "netlab", "workers")
LINES = re.findall(r"^\| `([^`]+)/` \| (.*) \|$", PAGE, re.M)
NAMED = [name for name, _ in LINES]


def test_every_package_is_on_the_page() -> None:
    there = {str(init.parent.relative_to(ROOT)) for name in PACKAGES for init in (ROOT / name).rglob("__init__.py")}
    assert len(there) > 25
    assert there - set(NAMED) == set()


def test_every_folder_on_the_page_is_there_and_is_named_once() -> None:
    assert [name for name in NAMED if not (ROOT / name).is_dir()] == []
    assert sorted(NAMED) == sorted(set(NAMED))


@pytest.mark.parametrize(("name", "text"), [line for line in LINES if line[0].partition("/")[0] in PACKAGES])
def test_a_package_is_described_by_the_first_sentence_of_its_docstring(name: str, text: str) -> None:
    init = ROOT / name / "__init__.py"
    if init.exists():
        docstring = ast.get_docstring(ast.parse(init.read_text())) or ""
        assert text == " ".join(docstring.partition("\n\n")[0].split()).removesuffix(".")


def test_the_drawing_has_every_top_level_package_that_is_a_process_or_a_record() -> None:
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.S)
    assert all(re.search(rf"\b{name}\b", drawing) for name in set(PACKAGES) - {"dscp"})
