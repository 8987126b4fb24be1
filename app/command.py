"""The `reachq` script: loads the command line, which takes a moment, and runs it.

Until all is loaded, Ctrl-C ends the process as it ends any other program. Python's own handler would raise
KeyboardInterrupt in the midst of an import, where it can be lost.
"""

import signal


def main() -> None:
    """Entry point of the `reachq` script; see app.cli."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.cli import main as command_line

    command_line()
