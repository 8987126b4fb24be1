"""Code style: small modules named after a role, keys defined once, nothing specific to one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "compat_dispatcher", "dscp", "ledger", "netlab", "workers")
LONG_MODULE = 250
"""Number of lines from which a module should be reviewed; a role may need more."""
LONGEST_FUNCTION = 60
"""Lines with docstring and signature; the aim is 40 of code."""
VAGUE = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SCRIPTS = sorted((ROOT / "ledger" / "lua").glob("*/*.lua"))

KEY = re.compile(r"(?<![\w:])reachq:[a-z<{%]")
ELSEWHERE = [
    (re.compile("/(?:wo" + "rk|ro" + r"ot|home)/[a-z]"), "a path of one machine"),
    (re.compile(r"https?://(?!127\.0\.0\.1|localhost|\{|\$|HOST|\[)[a-z0-9.-]*py" + r"pi"), "a package index"),
]


def tracked() -> list[Path]:
    """Every text file of the project that git tracks; all files without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        skip = {".venv", "var", ".git", "__pycache__"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not skip & set(p.relative_to(ROOT).parts)]
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_named_after_a_role_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    if len(text.splitlines()) > LONG_MODULE:
        warnings.warn(f"{path.relative_to(ROOT)} has more than {LONG_MODULE} lines", stacklevel=1)
    assert path.stem not in VAGUE
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree), "the module says what it is for"
    long = [
        f"{node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def strings(path: Path) -> list[tuple[int, str]]:
    """String constants of a module with their lines, without docstrings."""
    tree = ast.parse(path.read_text())
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


def test_keys_are_spelled_in_one_place() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in SOURCES
        if path != ROOT / "ledger" / "redis" / "keys.py"
        for line, text in strings(path)
        if KEY.search(text)
    ]
    found += [
        f"{path.relative_to(ROOT)}: {line}"
        for path in SCRIPTS
        for line in path.read_text().splitlines()
        if KEY.search(line.split("--")[0])
    ]
    assert found == []


def test_nothing_speaks_of_one_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for pattern, what in ELSEWHERE:
            found += [f"{path.relative_to(ROOT)}: {what}: {hit.group()}" for hit in pattern.finditer(text)]
    assert found == []


def test_no_unknown_error_is_swallowed() -> None:
    """`except Exception: pass` hides errors from operators; a named error may be expected."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and len(node.body) == 1
        and isinstance(node.body[0], ast.Pass)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert found == []
