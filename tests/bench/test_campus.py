"""Every hand-written cell of campus against the kernel's answer."""

from __future__ import annotations

import pytest

from tests.bench.campus_cells import CELLS, INTERNET, USER, Cell
from tests.bench.conftest import Bench


def _name(cell: Cell) -> str:
    return f"{cell.source}-{cell.destination}-{cell.service}-{cell.source_port or ''}".replace("/", "_")


def test_there_are_enough_cells() -> None:
    assert len(CELLS) >= 60
    assert {cell.verdict for cell in CELLS} == {"YES", "NO"}


@pytest.mark.parametrize("cell", CELLS, ids=_name)
def test_cell(campus: Bench, cell: Cell) -> None:
    result = campus.quick(cell.source, cell.destination, cell.service, source_port=cell.source_port)
    (service,) = result["services"]
    seen = (service["result"], tuple(service["path"]), tuple(service["blocked_by"]))
    assert seen == (cell.verdict, cell.path, cell.blocked_by), f"{cell.why}\n{result}"
    assert (result["verdict"], tuple(result["path"])) == (cell.verdict, cell.path)
    if cell.reason_has:
        assert cell.reason_has in (result["reason"] or "")
    if cell.caveat_has:
        assert any(caveat.startswith(cell.caveat_has) for caveat in result["caveats"]), result["caveats"]


def test_the_internet_may_enter_at_the_branch(campus: Bench) -> None:
    """The branch accepts every ping, and hq-gw accepts it from the branch."""
    result = campus.quick(INTERNET, USER, "icmp")
    assert result["verdict"] == "UNKNOWN"
    assert "NO for edge:eth1: blocked by edge" in result["reason"]
    assert "YES for br-gw:eth1" in result["reason"]
