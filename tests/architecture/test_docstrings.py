"""The docstrings of production code are in plain English: none has a word that shows a translated sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("app", "benchmarks", "compat_dispatcher", "dscp", "ledger", "netlab", "workers")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
INDICATORS = re.compile(
    r"""\b(?:
    anew | asked\ (?:about|for|of) | but\ for | by\ itself | call(?:ed)?\ off | everybody | goes\ on
    | heard\ of | how\ it\ stands | (?<![Tt]here\ )is\ no\b(?!\ (?:longer|larger)) | lent | meanwhile | nobody
    | of\ late | of\ one's\ own | said\ (?:by|of|to) | sees\ to | somebody | stands | there\ and\ back
    | to\ whom | told | way\ (?:back|there) | what\ is\ (?:lent|said|there) | whoever
    )\b""",
    re.VERBOSE,
)
"""Words that show a translated sentence. A value such as `nobody` is in backquotes."""


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every docstring: of modules, classes and functions, and of the names above them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_in_plain_english(path: Path) -> None:
    marked = []
    for line, text in docstrings(ast.parse(path.read_text())):
        words = INDICATORS.findall(re.sub(r"`[^`\n]*`", "", text))
        marked += [f"{path.relative_to(ROOT)}:{line}: {word!r}" for word in words]
    assert not marked, "\n".join(marked)


def test_every_docstring_is_seen() -> None:
    source = '"""told"""\nX = 1\n"""somebody"""\nclass A:\n    """anew"""\n    def f(self):\n        """lent"""\n'
    assert [text for _, text in docstrings(ast.parse(source))] == ["told", "somebody", "anew", "lent"]
    assert all(INDICATORS.search(text) for _, text in docstrings(ast.parse(source)))
