"""Rows of text become requests, each validated separately; nothing is guessed silently."""

from __future__ import annotations

import pytest

from app.rows import ROWS_MAX, read_rows
from ledger.errors import BadInput
from ledger.runs.run import Mode


def services(text: str, mode: str = "quick", default_protocol: str = "tcp") -> list[str]:
    (row,) = read_rows(text, mode=mode, default_protocol=default_protocol)
    assert row.request, row.errors
    return [str(service) for service in row.request.services]


def test_services_need_no_quotes() -> None:
    assert services("10.1.10.20, 10.3.20.8, 22, 443/tcp, icmp") == ["22/tcp", "443/tcp", "icmp"]


@pytest.mark.parametrize("row", ["10.1.10.20;10.3.20.8;22,53/udp", "10.1.10.20\t10.3.20.8\t22,53/udp"])
def test_other_separators(row: str) -> None:
    assert services(row) == ["22/tcp", "53/udp"]


def test_each_row_may_have_another_separator() -> None:
    rows = read_rows("10.1.10.20, 10.3.20.8, 22, icmp\n10.1.10.21; 10.3.40.5; 5432; detailed\t\n")
    assert [row.errors for row in rows] == [(), ()]
    assert [row.request and row.request.mode for row in rows] == [Mode.QUICK, Mode.DETAILED]


def test_quoted_services_are_one_cell() -> None:
    assert services('10.1.10.20,10.3.20.8,"22,80"') == ["22/tcp", "80/tcp"]


def test_a_mode_in_the_row_wins_over_the_default() -> None:
    rows = read_rows("10.1.10.20,10.3.20.8,22,detailed\n10.1.10.20,10.3.20.8,22", mode="quick")
    assert [row.request and row.request.mode for row in rows] == [Mode.DETAILED, Mode.QUICK]


def test_names_may_change_the_order() -> None:
    (row,) = read_rows("services;destination;source;source_port\n22;10.3.20.8;10.1.10.20;4000\n")
    assert row.request
    assert (row.request.source, row.request.destination, row.request.source_port) == ("10.1.10.20", "10.3.20.8", 4000)


def test_default_protocol() -> None:
    assert services("10.1.10.20,10.3.20.8,53", default_protocol="udp") == ["53/udp"]


def test_every_wrong_row_says_what_and_where() -> None:
    text = "# a remark\n10.1.10.20,10.3.20.8,22\n\n300.1.1.1,10.3.20.8,0\n10.1.10.20"
    good, bad, short = read_rows(text)
    assert good.request
    assert good.line == 2
    assert bad.line == 4
    assert bad.request is None
    assert [error.partition(":")[0] for error in bad.errors] == ["source", "services"]
    assert [error.partition(":")[0] for error in short.errors] == ["destination", "services"]


def test_an_unknown_column_is_an_error() -> None:
    (row,) = read_rows("source,destination,services,colour\n10.1.10.20,10.3.20.8,22,red")
    assert row.errors == ("colour: is not a valid column: use source, destination, services, mode, source_port",)


def test_a_byte_order_mark_and_windows_line_ends_are_taken() -> None:
    assert services("\ufeffsource,destination,services\r\n10.1.10.20,10.3.20.8,22\r\n") == ["22/tcp"]


def test_more_rows_than_allowed() -> None:
    with pytest.raises(BadInput, match=f"at most {ROWS_MAX:,} rows"):
        read_rows("10.1.10.20,10.3.20.8,22\n" * (ROWS_MAX + 1))
