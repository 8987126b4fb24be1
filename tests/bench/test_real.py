"""The bench against labs of real-world configurations; `python -m tests.bench.real 1-500` compares many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.real import examine

SEEDS = (1, 5, 8, 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_real_world_configurations_do_as_the_bench_says(seed: int, tmp_path: Path) -> None:
    _, tally = examine(seed, tmp_path)
    assert not tally.wrong, f"see {tmp_path}:\n" + "\n".join(tally.wrong)
    assert tally.cells["quick"] >= 10
    assert 0 < tally.cells["quick YES"] < tally.cells["quick"]
