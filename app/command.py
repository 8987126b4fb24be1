"""The `reachq` script: loads the command line and runs it.

While the command line loads, Ctrl-C ends the process with the default action of the signal. Python's own handler would
raise KeyboardInterrupt in the middle of an import, where it can be lost.
"""

import signal


def main() -> None:
    """Run the `reachq` script, which app.cli defines."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.cli import main as command_line

    command_line()
