"""Child processes forked from one preloaded parent: 33 interpreters at the cost of one start.

The parent holds no socket and no thread, so a child inherits neither; each child opens its own.
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
    """Share everything loaded so far between all children; call once before the first fork."""
    gc.collect()
    gc.freeze()


def fork(name: str, main: Callable[[], None]) -> int:
    """Run `main` in a child that dies with its parent; returns the pid. The child exits 0, or 1 if `main` raises."""
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
    """Set up a child: it dies with its parent and has the signal handling of a new process."""
    prctl.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before prctl was called
    prctl.set_thread_name(name)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    random.seed()
