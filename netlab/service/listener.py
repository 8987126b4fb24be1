"""The bench's listening socket.

Each address has one bench, and no other process can take the address over at any moment.

For a path, the bench holds a lock file (`PATH.lock`, flock(2)) as long as it runs. The socket is bound to `PATH.new`,
starts to listen, and is then renamed to PATH. The rename replaces the socket of a bench that was killed, so the path
always has a socket once a bench has run. The files are accessed through a descriptor of the folder. A long path
therefore works, and moving or replacing the folder does no harm.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from pathlib import Path

from netlab.errors import NetlabError
from netlab.service.address import in_folder, is_abstract, socket_address
from netlab.service.peer import peer_of

BACKLOG = 128
NAME_MAX = 80
"""Maximum length of a socket's file name in bytes.

With the folder's descriptor before it and `.new` after it, the name fits into `sun_path`.
"""


class Listener:
    """A listening socket and its file."""

    def __init__(self, sock: socket.socket, folder: int = -1, name: str = "") -> None:
        self.socket = sock
        self._folder, self._name = folder, name
        self._inode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino if name else 0

    def close(self) -> None:
        """Stop listening. Remove the socket's file, unless it has been replaced."""
        if self._name:
            with contextlib.suppress(OSError):
                if os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_ino == self._inode:
                    os.unlink(self._name, dir_fd=self._folder)
        self.socket.close()


def listen(address: str) -> Listener:
    """Listen at `address`; only this process's user and root can connect to a path. Raises NetlabError."""
    try:
        return _listen_abstract(address) if is_abstract(address) else _listen_at(Path(address).absolute())
    except OSError as bad:
        raise NetlabError(f"cannot listen on {address}: {bad.strerror or bad}{_who_listens(address)}") from None


def _listen_abstract(address: str) -> Listener:
    sock = _socket()
    try:
        with socket_address(address) as name:
            sock.bind(name)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return Listener(sock)


def _listen_at(path: Path) -> Listener:
    if len(os.fsencode(path.name)) > NAME_MAX:
        raise OSError(f"its file name has more than {NAME_MAX} bytes; use a shorter one")
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if os.fstat(folder).st_mode & stat.S_IWOTH:
        raise OSError(
            f"every user may write to the folder {path.parent}; run chmod o-w on it, "
            "or set REACHQ_BENCH_SOCKET to a path in a folder of your own"
        )
    _lock(folder, path)
    _check_replaceable(folder, path)
    draft = f"{path.name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    sock = _socket()
    before = os.umask(0o177)
    try:
        sock.bind(in_folder(folder, draft))
    finally:
        os.umask(before)
    sock.listen(BACKLOG)
    os.rename(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    return Listener(sock, folder, path.name)


def _lock(folder: int, path: Path) -> None:
    """Lock the address until this process ends. Raises OSError if another bench has locked it.

    The descriptor is never closed, and nothing is written to the lock file.
    """
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lock = os.open(f"{path.name}.lock", flags, 0o600, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OSError("another bench uses this address") from None


def _check_replaceable(folder: int, path: Path) -> None:
    """Check that the path is free, or is a socket on which no process listens. Raises OSError otherwise."""
    try:
        status = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise OSError("there is a file that is not a socket; remove it, or use another path")
    if _who_listens(str(path)):
        raise OSError("the address is in use")


def _who_listens(address: str) -> str:
    """Return an addition to an error message: the process that listens there, and the remedy. "" if no process listens."""
    with _socket() as probe:
        probe.setblocking(False)
        try:
            with socket_address(address) as name:
                probe.connect(name)
            who = str(peer_of(probe))
        except BlockingIOError:  # the listener's queue is full
            who = "a busy process"
        except OSError:
            return ""
    return (
        f". {who[0].upper()}{who[1:]} listens there. If it is another bench, stop it, or give this one another name "
        "(REACHQ_BENCH) or address (REACHQ_BENCH_SOCKET)"
    )


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
