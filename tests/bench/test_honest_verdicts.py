"""Verdicts that were wrong in the past: a late probe, a router collected with all six commands, impossible addresses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.conftest import CAMPUS, Bench
from tests.bench.small import write_router
from tests.support.patience import patience

Start = Callable[[Path], Bench]


@pytest.mark.parametrize("when", ["reading", "between", "never"])
def test_a_late_probe_is_not_called_stopped(when: str) -> None:
    """`between` fails when Walker.walk does not call `_recheck`: a NO without a rule is walked a second time.

    `never` fails when Prober._round does not send a probe that showed nowhere once more.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.late_probe", str(CAMPUS), when],
        cwd=CAMPUS.parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(30),
    ).stdout
    assert done == "YES hq-core=YES hq-gw=YES wan-2=YES dc-gw=YES dc-fw=YES dc-core=YES\n"


def test_rules_are_named_where_nft_shows_iptables_tables_again(tmp_path: Path, bench_of: Start) -> None:
    write_router(
        tmp_path,
        "r1",
        {"lan": "10.0.1.1/24", "far": "10.0.2.1/24"},
        filter_=":FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 23 -j DROP",
        nft="""# Warning: table ip filter is managed by iptables-nft, do not touch!
        table ip filter {
        chain FORWARD {
        type filter hook forward priority filter; policy accept;
        tcp dport 23 counter packets 0 bytes 0 drop
        }
        }
        table inet own {
        chain forward {
        type filter hook forward priority 10; policy accept;
        tcp dport 24 drop
        }
        }""",
    )
    result = bench_of(tmp_path).quick("10.0.1.9", "10.0.2.9", "22/tcp,23/tcp,24/tcp")
    cells = {cell["port"]: cell for cell in result["routers"][0]["services"]}
    assert cells[22]["result"] == "YES"
    assert (cells[23]["rule"]["file"], cells[23]["rule"]["line"]) == ("r1/iptables.rules", 3)
    assert (cells[24]["rule"]["file"], cells[24]["rule"]["line"]) == ("r1/nft.rules", 11)


@pytest.mark.parametrize("service", ["443/tcp", "icmp"])
@pytest.mark.parametrize("mode", ["quick", "detailed"])
def test_nobody_has_a_broadcast_address(campus: Bench, service: str, mode: str) -> None:
    for source, destination in (
        ("10.1.10.20", "10.3.20.255"),
        ("10.1.10.20", "10.1.10.255"),
        ("10.1.10.0", "10.3.20.8"),
    ):
        ask = campus.quick if mode == "quick" else campus.detailed
        result = ask(source, destination, service)
        assert result["verdict"] == "NO"
        assert "is not a host address" in result["reason"]
        assert result["path"] == []
