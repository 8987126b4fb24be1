"""A process of another local user takes over the bench's address: no run may get its result from there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.runs.run import Mode, State
from ledger.settings import Settings
from ledger.store import Ledger
from netlab.facts import reader
from tests.support.bench_report import reported
from tests.support.parts import ROOT, Parts
from tests.support.runs import submit_any
from tests.support.strangers import impostor, needs_root
from tests.support.waiting import wait_until

pytestmark = needs_root
CAMPUS = ROOT / "networks" / "campus"


@pytest.fixture(params=["an abstract name", "a path in a folder that all may write to"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="reachq-open-") as folder:
        Path(folder).chmod(0o777)
        yield f"@{Path(folder).name}" if request.param == "an abstract name" else f"{folder}/bench.sock"


@pytest.mark.parametrize("mode", list(Mode))
def test_a_run_waits_for_the_real_bench(settings: Settings, ledger: Ledger, address: str, mode: Mode) -> None:
    with Parts(settings) as parts:
        with impostor(address) as other:
            parts.dispatcher()
            parts.start("workers", quick=1, detailed=1, bulk=1, bench_socket=address)
            wait_until(lambda: parts.alive() == 3, 15, "the workers are there")
            run = submit_any(ledger, mode, services="22/tcp")
            wait_until(lambda: ledger.run(run.id).wait_code == "bench-down", 20, "the run waits for the real bench")
            wait_until(lambda: other.said.count("connected") >= 5, 20, "the reporter tries it repeatedly")
            waiting = ledger.run(run.id)
            assert (waiting.state, waiting.attempt) == (State.PENDING, 0), "another user's process is not the bench"
            message = f"of user 65534 listens at {address} in the bench's place"
            assert message in reported(ledger).error
            assert message in waiting.wait_reason
            assert not [line for line in other.said if line.startswith("asked")], "it was asked nothing"
        if not address.startswith("@"):
            Path(address).parent.chmod(0o700)
        parts.start("netlab", "--network", str(CAMPUS), "--socket", address)
        verdict = parts.in_state(run, State.DONE, 30).verdict
        assert verdict in ("NO", "UNKNOWN"), "the impostor says YES; on a busy machine the real test may be undecided"
        stored = ledger.result(run.id)
        assert stored is not None
        assert json.loads(stored)["facts"] == reader.load(CAMPUS).digest, "the answer is of the real bench"
