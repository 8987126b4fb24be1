"""The real worker pool with the real test, which keeps its lane for a while longer: `--hold-ms`."""

from __future__ import annotations

import argparse
import logging

from ledger.runs.run import Run
from ledger.settings import load_settings
from netlab.results.document import Result
from workers.attempt import AttemptContext
from workers.bench_tests import BenchTest
from workers.bulk import BulkOutcome
from workers.host import main


def hold(seconds: float) -> None:
    """Let each test of this process last for so long beyond its answer."""
    test = BenchTest.__call__

    def held(self: BenchTest, run: Run, attempt: AttemptContext) -> Result | BulkOutcome:
        answer = test(self, run, attempt)
        attempt.wait(seconds)
        return answer

    BenchTest.__call__ = held  # type: ignore[method-assign]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    options = argparse.ArgumentParser()
    options.add_argument("--hold-ms", type=float, default=50)
    hold(options.parse_args().hold_ms / 1000)
    main(load_settings())
