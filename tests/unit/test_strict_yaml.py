"""The YAML files of users are read strictly: a mistake is an error with its place, and nothing is interpreted."""

from __future__ import annotations

import pytest

from app.strict_yaml import DEPTH_MAX, SIZE_MAX, Value, read_yaml
from ledger.errors import BadInput


def test_scalars_are_the_text_that_is_written() -> None:
    fields = read_yaml("a: 22:30\nb: no\nc: '0x10'\nd: [1, ~]\n", "f.yaml").fields(tuple("abcd"))
    assert [fields[name].text("") for name in "abc"] == ["22:30", "no", "0x10"]
    assert [item.text("") for item in fields["d"].items("")] == ["1", "~"]
    assert [(value.field, value.line) for value in fields.values()] == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: '' is empty"),
        ("# only a comment\n", "f.yaml: '' is empty"),
        ("a: 1\na: 2\n", "f.yaml:2: a: 'a' is given twice"),
        ("b: 1\n", "f.yaml:1: b: 'b' is not a known field: use a"),
        ("? [x]\n: 1\n", "f.yaml:1: ['x'] is not a known field: use a"),
        ("{}\n", "f.yaml:1: {} has no field `a`: add it"),
        ("- 1\n", "f.yaml:1: ['1'] must be a mapping with the fields a"),
        ("x\n", "f.yaml:1: 'x' must be a mapping with the fields a"),
        ("a: &x 1\n", "f.yaml:1: 'x' is an anchor or an alias"),
        ("\na: *x\n", "f.yaml:2: 'x' is an anchor or an alias"),
        ("a: !!python/object:os.system x\n", "is a tag, which is not supported"),
        ("a: !mine [1]\n", "f.yaml:1: '!mine' is a tag"),
        ("a: 1\n---\na: 2\n", "f.yaml:2: 'but found another document' is a mistake in the YAML syntax"),
        ("a: [1\n", "is a mistake in the YAML syntax"),
        ("a: 1\n\tb: 2\n", "is a mistake in the YAML syntax"),
        ("a: \x00\n", "is a mistake in the YAML syntax"),
        ("a: " + "[" * 5000, f"is nested too deeply: at most {DEPTH_MAX} levels"),
        ("#" * (SIZE_MAX + 1), "is too large"),
    ],
)
def test_a_mistake_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadInput) as bad:
        read_yaml(text, "f.yaml").fields(("a",), ("a",))
    assert message in str(bad.value)


def a(text: str) -> Value:
    return read_yaml(text, "f.yaml").fields(("a",))["a"]


def test_a_value_of_another_kind_is_an_error() -> None:
    with pytest.raises(BadInput, match=r"f.yaml:1: a: 'x' must be a list: give one"):
        a("a: x").items("give one")
    with pytest.raises(BadInput, match=r"f.yaml:2: a: \['x'\] must be one value: give one"):
        a("a:\n- x").text("give one")
    with pytest.raises(BadInput, match=r"f.yaml:1: a: '' is empty: give one"):
        a("a:").text("give one")
