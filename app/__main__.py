"""`python -m app`: the web server, until SIGTERM or SIGINT."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
from functools import partial

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an import can lose a KeyboardInterrupt

from app.http.redis_watch import RedisWatch
from app.http.server import Server
from app.network_apps import NetworkApps
from app.people.first_start import FirstStart
from app.people.origin import inside
from app.people.token import load_or_create_token
from ledger.errors import ReachqError
from ledger.settings import load_settings
from netlab import log_output, terminal
from netlab.service.private_folder import UMASK

DESCRIPTORS = 4096
ENDS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status.

    It is 0 after a signal, 2 for an invalid setting or an unsuitable Redis, and 1 if the address is not available.
    """
    # sigwait instead of a handler: a handler that sets an Event deadlocks when a second signal interrupts it.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    os.umask(UMASK)
    try:
        settings = load_settings()
        log_output.configure("web", settings.log_level, settings.log_format, text="%(levelname)s %(name)s: %(message)s")
        token = load_or_create_token(settings)
        watch = RedisWatch(settings)
        watch.look()
        apps = NetworkApps(settings, token, watch.unsuitable)
    except ReachqError as error:
        print(f"web: {error}", file=sys.stderr)
        return 2
    _allow_many_connections()
    server = Server(settings.host, settings.port, apps, partial(inside, networks=settings.trusted))
    try:
        server.prepare()
    except OSError as error:
        print(f"web: cannot listen on {settings.host}:{settings.port}: {error}; set REACHQ_PORT", file=sys.stderr)
        return 1
    gc.collect()
    gc.freeze()  # exclude the objects loaded so far from garbage collection, which would cost a request 30 ms each time
    first = FirstStart(settings)
    first.look()
    apps.start()
    watch.start()
    serving = threading.Thread(target=server.serve, name="selector")
    serving.start()
    print(f"web ready: {server.url}", flush=True)
    first.announce(server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"))
    signal.sigwait(ENDS)
    first.close()
    watch.close()
    apps.close()
    server.stop()
    serving.join()
    return 0


def _allow_many_connections() -> None:
    """Raise the limit of open files so that it covers all connections and event streams.

    The usual soft limit is 1024 (getrlimit(2)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    terminal.guard()
    sys.exit(main())
