"""A network with so many segments that their bridges are created with their first host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netlab.live.build import FEW_SEGMENTS
from netlab.results.document import NO, YES
from tests.bench.conftest import Bench
from tests.bench.small import write_router


def test_quick_and_detailed_tests_between_many_segments(tmp_path: Path, bench_of: Callable[[Path], Bench]) -> None:
    lans = {f"v{n}": f"10.0.{n}.1/24" for n in range(FEW_SEGMENTS + 1)}
    drop = "-A FORWARD -p tcp -m tcp --dport 23 -j DROP"
    write_router(tmp_path, "gw", {**lans, "up": "10.9.0.1/30"}, "10.8.0.0/24 via 10.9.0.2 dev up", filter_=drop)
    write_router(tmp_path, "far", {"up": "10.9.0.2/30", "lan": "10.8.0.1/24"}, "default via 10.9.0.1 dev up")
    bench = bench_of(tmp_path)
    for destination in ("10.0.7.10", "10.0.8.10", "10.8.0.10", "10.0.7.10"):
        for ask in (bench.quick, bench.detailed):
            document = ask("10.0.5.10", destination, "443/tcp,23/tcp")
            results = {service["port"]: service["result"] for service in document["services"]}
            assert results == {443: YES, 23: NO}, (ask, destination)
