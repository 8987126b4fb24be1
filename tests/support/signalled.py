"""Run as a program: `reachq` with a SIGINT at a chosen point of its code; one line of JSON for each point.

    python -m tests.support.signalled lines FIRST LAST STEP -- submit …    every STEP-th line from `Ledger.submit` on
    python -m tests.support.signalled dispatcher FIRST LAST STEP --        a dispatcher, once another leads
    python -m tests.support.signalled POINT -- submit …                    `import`, or a key of SWALLOWED

Each point is a forked process, so the command line is loaded once. `code` is the exit code, negative for a signal, null
when the process did not end by its own within its time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from functools import partial
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import Any

from tests.support.patience import patience

ENDS_WITHIN_S = 8.0
ENOUGH = 3
"""Maximum number of points at which it did not end; the others are skipped then, since each costs ENDS_WITHIN_S."""


def send() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Sender:
    """Sends the signal when it is garbage collected."""

    def __del__(self) -> None:
        send()


def in_a_finalizer() -> None:
    """In a finalizer, whose exceptions Python prints and ignores."""
    Sender()


def in_a_callback() -> None:
    """As in a finalizer."""
    thing = set[int]()
    _kept = weakref.ref(thing, lambda _: send())
    del thing


def in_a_library() -> None:
    """In a library that handles any exception as its own failure."""
    try:
        send()
    except BaseException:  # noqa: BLE001
        return


def twice() -> None:
    """A second signal while the first is being handled for a long time; it must still end the process."""
    try:
        send()
    except KeyboardInterrupt:
        send()
        signal.pause()


SWALLOWED = {"finalizer": in_a_finalizer, "callback": in_a_callback, "library": in_a_library, "twice": twice}


def while_waiting(what: Callable[[], None]) -> None:
    """Do `what` once, where the command waits for events or for a confirmation."""
    import click

    from ledger.store import AppLedger

    done = list[object]()

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def first(*args: Any, **more: Any) -> Any:
            if not done:
                done.append(real)
                what()
            return real(*args, **more)

        return first

    AppLedger.events = before(AppLedger.events)  # type: ignore[method-assign]
    click.confirm = before(click.confirm)


class OnImport(MetaPathFinder):
    """Sends the signal when a module is looked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name == self._name:
            send()


def at_line(number: int, owner: type, name: str) -> None:
    """Send the signal at this line, counted from the beginning of that method."""
    real, seen = getattr(owner, name), 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == number:
                sys.settrace(None)
                os.write(2, f"at {frame.f_code.co_filename}:{frame.f_lineno}\n".encode())
                send()
        return trace

    def traced(*args: Any, **more: Any) -> Any:
        frame: FrameType | None = sys._getframe()
        sys.settrace(trace)
        while frame := frame.f_back if frame else None:
            frame.f_trace = trace
        return real(*args, **more)

    setattr(owner, name, traced)


def command_line() -> None:
    """The `reachq` script."""
    from app.command import main

    main()


def dispatcher() -> None:
    """`python -m compat_dispatcher`."""
    from compat_dispatcher.__main__ import run

    sys.exit(run([]))


def outcome(
    prepare: Callable[[], None], words: list[str], program: Callable[[], None] = command_line
) -> dict[str, Any]:
    """Run the program with `words` after `prepare` in a separate process; returns how it ended and its output."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if not pid:
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                sys.argv = ["reachq", *words]
                prepare()
                program()
            except SystemExit as end:
                os._exit(int(end.code or 0))
            except BaseException as other:  # noqa: BLE001
                os.write(2, f"Traceback: {other!r}\n".encode())
            os._exit(70)
        until, status = time.monotonic() + patience(ENDS_WITHIN_S), None
        while status is None and time.monotonic() < until:
            ended, found = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(found) if ended else None
            time.sleep(0.002)
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        output.seek(0)
        return {"code": status, "said": output.read().decode()}


def sweep(numbers: list[str], owner: type, name: str, words: list[str], program: Callable[[], None]) -> None:
    """One outcome for each line of `numbers`: first, last, step."""
    hung = 0
    for number in range(*map(int, numbers)):
        found = outcome(partial(at_line, number, owner, name), words, program)
        print(json.dumps(found | {"line": number}), flush=True)
        hung += found["code"] is None
        if hung == ENOUGH:
            return


def main() -> None:
    """See the module's docstring."""
    end = sys.argv.index("--")
    (point, *numbers), words = sys.argv[1:end], sys.argv[end + 1 :]
    if point == "lines":
        import app.cli  # noqa: F401  # once, for all that are forked
        from ledger.store import AppLedger

        sweep(numbers, AppLedger, "submit", words, command_line)
    elif point == "dispatcher":
        from compat_dispatcher.leader import Leadership

        sweep(numbers, Leadership, "_follow", words, dispatcher)
    elif point == "import":
        print(json.dumps(outcome(lambda: sys.meta_path.insert(0, OnImport("app.cli.submit")), words)))
    else:
        print(json.dumps(outcome(lambda: while_waiting(SWALLOWED[point]), words)))


if __name__ == "__main__":
    main()
