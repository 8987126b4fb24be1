"""Makes Ctrl-C (SIGINT) end a command reliably, no matter what code is running when the signal arrives.

Python raises KeyboardInterrupt in whatever code is running. In a finalizer, in the callback of a weak reference, or
inside `except BaseException` of a library, that exception is lost and the command keeps waiting. Therefore the
exception is raised again every REPEAT_S until the command handles it, and a second Ctrl-C ends the process at once. So
every command may simply block: in Redis, at a prompt, on a lock or on a child process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import click

from app.cli.console import style

INTERRUPTED = 130
"""Exit code of an interrupted command: 128 + SIGINT, as shells report it."""
REPEAT_S = 0.1


class _Interrupt:
    """The interrupt state of this process.

    Signal handlers belong to the whole process, and only the main thread runs them.
    """

    def __init__(self) -> None:
        self._asked = self._over = False

    def guard(self, command: Callable[[], None]) -> None:
        """Call `command`. A KeyboardInterrupt that leaves it becomes one line on stderr and exit code 130.

        A process that was started with SIGINT ignored, in the background of a script, continues to ignore it.
        """
        before = signal.getsignal(signal.SIGINT)
        ours = before is not signal.SIG_IGN and threading.current_thread() is threading.main_thread()
        self._asked = self._over = False
        try:
            if ours:
                signal.signal(signal.SIGINT, self._on_signal)
                sys.unraisablehook = _quiet
            command()
        except KeyboardInterrupt:
            click.echo(f"{style('reachq:', fg='red')} interrupted", err=True)
            sys.exit(INTERRUPTED)
        finally:
            self.handled()
            if ours:
                signal.signal(signal.SIGINT, before)
                sys.unraisablehook = sys.__unraisablehook__

    def handled(self) -> None:
        """Stop raising KeyboardInterrupt, because the command has stopped waiting.

        Another Ctrl-C still ends the process.
        """
        self._over = True
        if self._asked:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._asked:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGINT)
            self._asked = True
            if self._over:
                return
            signal.signal(signal.SIGALRM, self._on_signal)
            signal.setitimer(signal.ITIMER_REAL, REPEAT_S, REPEAT_S)
        # While a KeyboardInterrupt propagates, or after the command has ended, another one would only hit the clean-up
        # code.
        if not self._over and not isinstance(sys.exception(), KeyboardInterrupt | click.Abort | SystemExit):
            raise KeyboardInterrupt


def _quiet(lost: sys.UnraisableHookArgs) -> None:
    """Print the exception of a finalizer, except a KeyboardInterrupt, which will be raised again anyway."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)


_interrupt = _Interrupt()
guard = _interrupt.guard
handled = _interrupt.handled
