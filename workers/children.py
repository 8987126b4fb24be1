"""Child processes forked from one preloaded parent: 33 interpreters for the price of one start.

The parent holds no socket and no thread, so a child inherits neither; each opens its own.
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
    """Call once before the first fork: what is loaded by now stays shared between all children."""
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
    """Tie this child's life to its parent's and give it the signals of a fresh process."""
    prctl.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before it could be asked to take us along
    prctl.set_thread_name(name)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    random.seed()
