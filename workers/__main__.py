"""`python -m workers [--quick N] [--detailed N]`: the worker pool of one bench."""

from __future__ import annotations

import argparse
import os
import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an import can lose a KeyboardInterrupt

from ledger.errors import SettingsError, UnsuitableStore
from ledger.settings import load_settings
from netlab import log_output, terminal
from netlab.service.private_folder import UMASK
from workers.host import main


def run(arguments: list[str] | None = None) -> int:
    """Read the settings and options and run the pool.

    Returns the exit status: 2 if a setting is invalid or the Redis server is unsuitable.
    """
    parser = argparse.ArgumentParser(prog="python -m workers", description="The worker pool of one bench.")
    parser.add_argument("--quick", type=int, metavar="N", help="workers for quick runs (REACHQ_QUICK)")
    parser.add_argument("--detailed", type=int, metavar="N", help="workers for detailed runs (REACHQ_DETAILED)")
    parser.add_argument("--bulk", type=int, metavar="N", help="workers for bulk runs (REACHQ_BULK)")
    given = vars(parser.parse_args(arguments))
    os.umask(UMASK)
    try:
        settings = load_settings(**given)
    except SettingsError as bad:
        print(bad, file=sys.stderr)
        return 2
    log_output.configure("workers", settings.log_level, settings.log_format)
    try:
        main(settings)
    except UnsuitableStore as unsuitable:
        print(f"workers: {unsuitable}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    terminal.guard()
    sys.exit(run())
