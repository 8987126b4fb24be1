"""Child processes forked from one preloaded parent, so that 33 interpreters cost as much as one start.

The parent has no open socket and no second thread, so a child inherits neither. Each child opens its own.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
from collections.abc import Callable

from netlab.kernel import prctl

log = logging.getLogger("reachq.workers")


def freeze() -> None:
    """Share everything loaded so far between all children. Call it once before the first fork."""
    gc.collect()
    gc.freeze()


def fork(name: str, main: Callable[[], None]) -> int:
    """Run `main` in a child process that dies with its parent, and return its pid.

    The child exits with 0, or with 1 if `main` raises an error.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become(name, parent)
        main()
        code = 0
    except (KeyboardInterrupt, SystemExit):
        code = 0
    except BaseException:
        log.exception("%s broke", name)
    finally:
        logging.shutdown()
        os._exit(code)


def _become(name: str, parent: int) -> None:
    """Set up a child so that it dies with its parent and has the signal handling of a new process."""
    prctl.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before prctl was called
    prctl.set_thread_name(name)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    random.seed()
