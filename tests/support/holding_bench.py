"""The real bench, which stops dead in a named phase of a detailed run when it is asked to.

    python -m tests.support.holding_bench --hold FILE --network DIR --socket ADDRESS

While FILE exists, the next detailed run that enters the phase named in it removes FILE, tells its progress and stops the
whole process (SIGSTOP), until somebody continues or kills it. So a test can do what it likes at a known moment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from netlab.__main__ import main
from netlab.detailed.run import DetailedRun
from netlab.service import executor

_hold = Path()


class HeldRun(DetailedRun):
    """A detailed run that stops in the phase named in FILE."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        tell = self._progress

        def progress(phase: str, percent: int, message: str) -> None:
            tell(phase, percent, message)
            if _hold.is_file() and _hold.read_text() == phase:
                _hold.unlink()
                os.kill(os.getpid(), signal.SIGSTOP)

        self._progress = progress


if __name__ == "__main__":
    _hold = Path(sys.argv[sys.argv.index("--hold") + 1])
    del sys.argv[sys.argv.index("--hold") : sys.argv.index("--hold") + 2]
    executor.DetailedRun = HeldRun  # type: ignore[attr-defined]
    sys.exit(main())
