"""The `reachq` script: loads the command line and runs it.

While it loads, Ctrl-C ends the process with the default action. Python's own handler would raise KeyboardInterrupt in
the middle of an import, where it can be lost.
"""

import signal


def main() -> None:
    """Entry point of the `reachq` script; see app.cli."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.cli import main as command_line

    command_line()
