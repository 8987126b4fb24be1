"""The real tests: send a run to the bench over its socket, as one attempt, and return the result."""

from __future__ import annotations

import time

from ledger.runs.run import Mode, Run
from ledger.settings import Settings
from netlab.results.document import Result
from netlab.service.client import BenchClient, BenchError, Service, default_address
from workers.attempt import AttemptContext
from workers.bulk import BulkOutcome, ask_all, snapshot_address, wait_for_bench

PATIENCE_S = 2.0
"""How long an attempt waits for a bench that is down. After that the run waits in the queue, which shows the reason."""
PAUSE_S = 0.1
WORTH_WAITING = frozenset({"unavailable", "impostor", "busy", "restarting", "forbidden"})


def bench_address(settings: Settings) -> str:
    """Return the address of this process's bench socket."""
    return settings.bench_socket or default_address(settings.data, settings.bench)


class BenchTest:
    """A `workers.jobs.Test` that uses the bench. It keeps no state between two runs."""

    def __init__(self, settings: Settings) -> None:
        # The heartbeat thread ends a test that takes too long; the client's own timeout must be longer, or the request
        # would be repeated with a fence that the bench has seen.
        limit_s = settings.run_timeout_s + settings.renew_ms / 1000 + 1
        self._address, self._limit_s = bench_address(settings), limit_s
        self._client = BenchClient(self._address, timeout_s=limit_s)
        self._rules = settings.quick_rules

    def __call__(self, run: Run, attempt: AttemptContext) -> Result | BulkOutcome:
        """Test `run` and return its result. Raises BenchError if the bench returns none."""
        asks = {Mode.QUICK: self._quick, Mode.DETAILED: self._detailed, Mode.BULK: self._bulk}
        ask = asks[run.mode]
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask(run, attempt)
            except BenchError as error:
                if error.code not in WORTH_WAITING or time.monotonic() > give_up or attempt.wait(PAUSE_S):
                    raise

    def _quick(self, run: Run, attempt: AttemptContext) -> Result:
        assert run.dscp is not None, "a promoted quick run has a lane"
        with (
            self._client.attempt(run_id=run.id, mode=str(run.mode), lane=run.dscp, fence=run.fence) as on_bench,
            attempt.closing(on_bench.close),
        ):
            return on_bench.quick(*_question(run), source_port=run.source_port, rules=self._rules)

    def _bulk(self, run: Run, attempt: AttemptContext) -> BulkOutcome:
        if not run.snapshot:
            return ask_all(run, attempt, self._client, rules=self._rules)
        address = snapshot_address(self._address, run.snapshot)
        wait_for_bench(run, attempt, address)
        return ask_all(run, attempt, BenchClient(address, timeout_s=self._limit_s), rules=self._rules)

    def _detailed(self, run: Run, attempt: AttemptContext) -> Result:
        with (
            self._client.attempt(run_id=run.id, mode=str(run.mode), lane=None, fence=run.fence) as on_bench,
            attempt.closing(on_bench.close),
        ):
            return on_bench.detailed(*_question(run), source_port=run.source_port, progress=attempt.note)


def _question(run: Run) -> tuple[str, str, list[Service]]:
    """Return the source, the destination and the services in the format of the bench."""
    return run.source, run.destination, [(service.port, service.protocol) for service in run.services]
