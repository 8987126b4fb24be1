"""A shell or one command in the namespace of a router of the running bench: `python -m netlab --shell ROUTER`.

The namespaces are anonymous: only descriptors of the bench process refer to them. The bench sends the number of the
descriptor over its socket. This process opens it as /proc/PID/fd/N and enters the namespace (setns(2)). If the bench
has its own user namespace, this process enters that first. The kernel allows this to root and to the user who started
the bench (ptrace(2), PTRACE_MODE_READ_FSCREDS).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from netlab.kernel import namespaces
from netlab.service.client import BenchClient, BenchError

EXIT_NOT_ENTERED, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 125, 126, 127
"""Exit codes as in env(1) and chroot(1). Any other exit code is that of the command."""
TIMEOUT_S = 10.0
_REMEDY = "run this command as root or as the user who started the bench"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(address: str, router: str, command: Sequence[str]) -> int:
    """Replace this process by `command`, or by a shell, in the router's namespace.

    The process must have only one thread.

    Returns only on failure, with an exit code, after printing a message to stderr.
    """
    try:
        namespace = BenchClient(address, TIMEOUT_S).namespace(router)
        _enter(namespace)
    except BenchError as refused:
        remedy = f"; {_REMEDY}" if refused.code in ("forbidden", "impostor") else ""
        remedy = "; is it running? Start it with `reachq up`" if refused.code == "unavailable" else remedy
        print(f"bench: {refused}{remedy}", file=sys.stderr)
        return EXIT_NOT_ENTERED
    except PermissionError as denied:
        print(f"bench: not permitted to enter {router}: {denied.strerror}; {_REMEDY}", file=sys.stderr)
        return EXIT_NOT_ENTERED
    except OSError as gone:
        print(f"bench: cannot enter {router}: {gone.strerror}; the bench may have ended, try again", file=sys.stderr)
        return EXIT_NOT_ENTERED
    if not command and sys.stdin.isatty():
        print(f"Shell in {router}. Changes affect the live replica until the bench restarts.", file=sys.stderr)
    return _execute(router, list(command) or [os.environ.get("SHELL") or "/bin/sh"])


def _enter(namespace: Path) -> None:
    """Enter the network namespace. If the bench has another user namespace, enter that first. Raises OSError."""
    user_namespace = Path("/proc") / namespace.parts[2] / "ns/user"
    network = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    if not os.path.samefile(user_namespace, "/proc/self/ns/user"):
        user = os.open(user_namespace, os.O_RDONLY | os.O_CLOEXEC)
        namespaces.call("setns", user, namespaces.CLONE_NEWUSER)
    namespaces.call("setns", network, namespaces.CLONE_NEWNET)


def _execute(router: str, command: list[str]) -> int:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_PATH}".lstrip(":"), "REACHQ_ROUTER": router}
    environment.pop("PYTHONSAFEPATH", None)
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError:
        print(f"bench: command not found: {command[0]}", file=sys.stderr)
        return EXIT_NOT_FOUND
    except OSError as bad:
        print(f"bench: cannot run {command[0]}: {bad.strerror}", file=sys.stderr)
        return EXIT_NOT_EXECUTABLE
