"""`python -m compat_dispatcher`: a dispatcher of every network. Several may run; one of them leads each network."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an import can lose a KeyboardInterrupt

from compat_dispatcher.networks import Dispatchers
from compat_dispatcher.stop import StopSignals
from ledger.errors import SettingsError, UnsuitableStore
from ledger.settings import load_settings
from netlab import log_output, terminal
from netlab.service.private_folder import UMASK


def run(arguments: list[str] | None = None) -> int:
    """Dispatch until SIGTERM or SIGINT.

    Returns the exit status: 2 if a setting is invalid or the Redis server unsuitable.
    """
    argparse.ArgumentParser(
        prog="python -m compat_dispatcher",
        description="Decides which waiting runs start. All settings come from REACHQ_* in the environment.",
    ).parse_args(arguments)
    os.umask(UMASK)
    try:
        settings = load_settings()
    except SettingsError as bad:
        print(bad, file=sys.stderr)
        return 2
    log_output.configure("dispatcher", settings.log_level, settings.log_format)
    stop = StopSignals()
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    try:
        Dispatchers(settings, name).run(stop)
    except UnsuitableStore as unsuitable:
        print(f"dispatcher: {unsuitable}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    terminal.guard()
    sys.exit(run())
