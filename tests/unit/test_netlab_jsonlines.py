"""The line of every entry, in any layout of the JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlab.facts.json_lines import parse_entries

words = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner) | st.dictionaries(words, inner),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(words, values, max_size=4), max_size=6)
space = st.text(" \t\r\n", max_size=4)


@given(objects, st.data())
def test_lines_are_where_the_objects_begin(entries: list[dict[str, object]], data: st.DataObject) -> None:
    text = data.draw(space) + "[" + data.draw(space)
    expected = []
    for number, entry in enumerate(entries):
        if number:
            text += data.draw(space) + "," + data.draw(space)
        expected.append((1 + text.count("\n"), entry))
        text += json.dumps(
            entry, indent=data.draw(st.sampled_from([None, 0, 2])), ensure_ascii=data.draw(st.booleans())
        )
    text += data.draw(space) + "]" + data.draw(space)
    found, fault = parse_entries(text)
    assert fault is None
    assert [(entry.line, entry.data) for entry in found] == expected


@given(st.text(max_size=60) | st.text('[]{}:,"0 \n', max_size=60))
def test_nothing_makes_it_fail(text: str) -> None:
    entries, fault = parse_entries(text)
    if fault:
        assert 1 <= fault.line <= 1 + text.count("\n")
        assert fault.message
    else:
        assert [entry.data for entry in entries] == json.loads(text)


@given(objects, st.integers(0, 400))
def test_what_is_cut_off_is_a_fault(entries: list[dict[str, object]], at: int) -> None:
    text = json.dumps(entries, indent=1)
    cut = text[: min(at, len(text) - 1)]
    _, fault = parse_entries(cut)
    assert fault is not None
    assert 1 <= fault.line <= 1 + cut.count("\n")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "is not a JSON array"),
        ("\n\n{}", 3, "is not a JSON array"),
        ("[\n{},\n{} {}]", 3, "expected ',' or ']'"),
        ("[{},\n5]", 2, "holds 5 where an object was expected"),
        ('[\n{"a":\n}]', 3, "is not valid JSON: Expecting value"),
        ("[{}]\n\nx", 3, "has text after the closing ']'"),
        ("[" * 200_000, 1, "nested too deeply"),
        ("[{},]", 1, "is not valid JSON"),
    ],
)
def test_faults(text: str, line: int, message: str) -> None:
    _, fault = parse_entries(text)
    assert fault is not None
    assert fault.line == line
    assert message in fault.message
