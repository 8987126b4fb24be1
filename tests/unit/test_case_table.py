"""The table of cases names every case and only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CASES = TESTS / "cases"


def test_the_table_has_every_case_and_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| ([\w-]+) \|(.*)", (CASES / "README.md").read_text(), re.MULTILINE)
    cases = [name for name, _ in rows if name != "case"]
    assert cases == sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())
    written = "".join((TESTS / "bench" / f"test_{file}.py").read_text() for file in ("cases", "similar_cases"))
    for name, row in rows:
        tests = re.findall(r"`(test_\w+)`", row)
        assert all(f"def {test}(" in written for test in tests), name
        similar = row.rsplit("|", 2)[-2]
        assert name == "case" or "`test_" in similar, f"{name} has no similar input"
