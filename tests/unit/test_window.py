"""The window of newest events compared with a plain list, and its stream ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.live.window import Audience, Position, Window, parse_position, render

ADMIN = Audience("ada", "admin")


@dataclass(frozen=True)
class Seen:
    """An event as the ledger has it."""

    id: str
    kind: str = "progress"
    run_id: str = ""
    bench: str = "main"
    ms: int = 0
    fields: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0", (0, 0)),
        ("0-0", (0, 0)),
        ("1763900000000-12", (1763900000000, 12)),
        ("18446744073709551615-18446744073709551615", (2**64 - 1, 2**64 - 1)),
        ("18446744073709551616-0", None),
        ("", None),
        ("$", None),
        ("-", None),
        ("1-", None),
        ("-1", None),
        ("1-2-3", None),
        (" 1-2", None),
        ("1-2\n", None),
        ("１-2", None),
        ("1" * 100, None),
    ],
)
def test_ids(text: str, position: tuple[int, int] | None) -> None:
    assert parse_position(text) == position


def test_positions_are_ordered_as_the_stream_is() -> None:
    assert Position(9, 10) < Position(10, 2) < Position(10, 10)
    assert str(Position(10, 2)) == "10-2"


def test_an_event_cannot_break_out_of_its_frame() -> None:
    text = (
        render(Seen("5-0", "failed", "r1", fields={"error": "one\n\ndata: {}\r\nid: 9\u2028é"}))
        .bytes_for(ADMIN)
        .decode()
    )
    lines = text.split("\n")
    assert lines[0] == "id: 5-0"
    assert lines[2:] == ["", ""]
    assert json.loads(lines[1].removeprefix("data: "))["error"] == "one\n\ndata: {}\r\nid: 9\u2028é"


@given(
    st.lists(st.integers(1, 5), max_size=60),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
    st.integers(1, 30),
    st.integers(-3, 200),
    st.integers(1, 40),
)
def test_it_is_the_end_of_the_list(gaps: list[int], cuts: list[int], size: int, after: int, count: int) -> None:
    ids, at = [], 0
    for gap in gaps:
        at += gap
        ids.append(at)
    window = Window(size)
    assert window.after(Position(0, 0), count, ADMIN) is None
    window.begin(Position(0, 0))
    rest, cut = [Seen(f"{number}-0") for number in ids], 0
    while rest:
        taken = cuts[cut % len(cuts)]
        window.extend(rest[:taken])
        rest, cut = rest[taken:], cut + 1
    assert window.end == Position(ids[-1] if ids else 0, 0)

    floor = ids[-size - 1] if len(ids) > size else 0
    batch = window.after(Position(max(after, 0), 0), count, ADMIN)
    if max(after, 0) < floor:
        assert batch is None
        return
    expected = [number for number in ids if number > max(after, 0)][:count]
    assert batch is not None
    assert batch.data == b"".join(render(Seen(f"{number}-0")).bytes_for(ADMIN) for number in expected)
    assert batch.last == Position(expected[-1] if expected else max(after, 0), 0)


@pytest.mark.parametrize(
    ("role", "event", "whole"),
    [
        ("admin", Seen("1-0", "finished", "r1", fields={"user": "bob"}), True),
        ("admin", Seen("1-0", "signed-in", bench="", fields={"user": "bob"}), True),
        ("viewer", Seen("1-0", "finished", "r1", fields={"user": "bob"}), True),
        ("viewer", Seen("1-0", "signed-in", bench="", fields={"user": "bob"}), False),
        ("user", Seen("1-0", "finished", "r1", fields={"user": "ada"}), True),
        ("user", Seen("1-0", "finished", "r1", fields={"user": "bob"}), False),
        ("user", Seen("1-0", "finished", "r1"), False),
        ("user", Seen("1-0", "paused", fields={"by": "bob"}), True),
        ("user", Seen("1-0", "token-made", bench="", fields={"user": "ada"}), False),
    ],
)
def test_what_is_not_yours_comes_as_no_more_than_that_something_moved(role: str, event: Seen, whole: bool) -> None:
    frame = render(event).bytes_for(Audience("ada", role)).decode()
    document = json.loads(frame.split("data: ")[1])
    assert frame.startswith("id: 1-0\n")
    assert (document["kind"] == event.kind) is whole
    assert whole or (document["run_id"] == "" and "bob" not in frame)
