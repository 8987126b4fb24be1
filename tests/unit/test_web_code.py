"""Texts with backticks on the pages: what is between them is shown as code, and everything is escaped."""

from __future__ import annotations

import pytest

from app.web.shell import code


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("start `python -m netlab`", "start <code>python -m netlab</code>"),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
        ("a lone ` stays, <i> is escaped", "a lone ` stays, &lt;i&gt; is escaped"),
        ("`a` and a lone `", "<code>a</code> and a lone `"),
        ("", ""),
    ],
)
def test_code_between_backticks(text: str, markup: str) -> None:
    assert code(text) == markup
