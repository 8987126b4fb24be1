"""The sample network `campus`, which is installed with the package. In a checkout it is networks/campus."""

from __future__ import annotations

from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1].joinpath("data", "networks", "campus").resolve()


def network_folder(named: Path | None) -> Path:
    """Return the given folder of facts, or that of the sample network if none is given."""
    return SAMPLE if named is None else named
