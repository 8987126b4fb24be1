"""Runs `ip`, `ipset`, `iptables-restore` and `nft` without the machine's files, and with only two capabilities.

These tools read text that comes from other machines. The allow lists (netlab/facts/dumps) refuse everything but dumps.
The confinement is the second protection and does not rely on them. A tool runs in a mount namespace in which everything
is read-only. The folders in `/` are empty, including /proc, /dev and /sys. The exceptions are the system's programs and
libraries, a few tables of names in /etc, and a small empty /run that the tool can write to.

A tool has no capabilities except CAP_NET_ADMIN and CAP_NET_RAW and cannot gain others. Its run time, its memory and the
size of its files (including its output) are limited.

A mount namespace, the bounding set of capabilities and no_new_privs apply to a thread and its children. One thread
therefore confines itself and then starts the threads that run the tools; the bench's other threads are unchanged.
Sources: mount_namespaces(7), capabilities(7).
"""

from __future__ import annotations

import os
import queue
import resource
import select
import signal
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from netlab.errors import MachineError
from netlab.kernel import mounts, namespaces, prctl

TIME_S = 60
"""Time limit of one run of a tool."""
OUTPUT_BYTES = 1 << 20
"""Maximum number of bytes read from a tool's output."""
FILE_BYTES = 160 << 20
MEMORY_BYTES = 2 << 30
"""Address space a tool may have in addition to that of the bench."""
SCRIPT = "<script>"
"""Placeholder in a command for the path of the file that contains the input text."""
_CAPABILITIES = {12, 13}  # CAP_NET_ADMIN, CAP_NET_RAW
_CLONE_NEWNS = 0x00020000
_REMEDY = (
    "Run the bench as root, or as a user who may create user namespaces; in a container give it CAP_SYS_ADMIN and "
    "CAP_SETPCAP, and let it mount (apparmor=unconfined)"
)

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | {
    key: os.environ[key] for key in ("TZ",) if key in os.environ
}


@dataclass(frozen=True)
class Done:
    """The result of one run of a tool. `code` is its exit code, negative for a signal, None after a timeout."""

    code: int | None
    output: str


@dataclass(frozen=True)
class _Job:
    executable: str
    command: list[str]
    text: str
    namespace: int
    done: Future[Done]


class Tools:
    """A pool of confined threads that run tools, at most `threads` tools at a time. Use it as a context manager."""

    def __init__(self, threads: int = 1) -> None:
        """Start the threads.

        Raises MachineError if the machine does not allow tools to be confined; a tool is never run unconfined.
        """
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._home = namespaces.current()
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._scripts = -1
        self._limits = _limit()
        ready: Future[None] = Future()
        self._threads = [threading.Thread(target=self._work, args=(n,), name=f"tool {n}") for n in range(threads)]
        self._first = threading.Thread(target=self._confine, args=(ready,), name="tools")
        self._first.start()
        try:
            ready.result()
        except OSError as bad:
            self._threads = []
            self.close()
            raise MachineError(
                f"cannot confine the tools (hide this machine's files and drop their rights): {bad}. {_REMEDY}"
            ) from None

    def __enter__(self) -> Tools:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, command: list[str], text: str, namespace: int | None = None) -> Done:
        """Run a tool with `text` as its input, in the given network namespace (default: the bench's own)."""
        done: Future[Done] = Future()
        # Resolved here, because a confined thread cannot see /etc/alternatives.
        executable = os.path.realpath(command[0])
        self._jobs.put(_Job(executable, command, text, self._home if namespace is None else namespace, done))
        return done.result()

    def close(self) -> None:
        """Stop the threads, which removes their mounts, and restore the resource limits of this process."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in (self._first, *self._threads):
            thread.join()
        for descriptor in (self._home, self._null, self._scripts):
            if descriptor >= 0:
                os.close(descriptor)
        for limit, value in self._limits.items():
            resource.setrlimit(limit, value)

    def _confine(self, ready: Future[None]) -> None:
        try:
            namespaces.call("unshare", _CLONE_NEWNS)
            self._scripts = mounts.hide_files(8 * FILE_BYTES)
            _drop_rights()
            for thread in self._threads:
                thread.start()  # inherits everything that this thread has set up
        except OSError as bad:
            ready.set_exception(bad)
        else:
            ready.set_result(None)

    def _work(self, number: int) -> None:
        while job := self._jobs.get():
            try:
                job.done.set_result(self._run(job, str(number)))
            except BaseException as bad:  # noqa: BLE001 - raised in the thread that waits
                job.done.set_exception(bad)

    def _run(self, job: _Job, name: str) -> Done:
        script = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._scripts)
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            _write(script, job.text.encode())
            os.lseek(script, 0, os.SEEK_SET)
            command = [f"/tmp/{name}" if word == SCRIPT else word for word in job.command]
            namespaces.call("setns", job.namespace, namespaces.CLONE_NEWNET)
            try:
                process = subprocess.Popen(
                    command,
                    executable=job.executable,
                    stdin=script,
                    stdout=self._null,
                    stderr=output,
                    env=_ENVIRONMENT,
                )
            finally:
                namespaces.call("setns", self._home, namespaces.CLONE_NEWNET)
            code = _wait(process)
            return Done(code, os.pread(output, OUTPUT_BYTES, 0).decode("utf-8", "replace"))
        finally:
            os.close(output)
            os.close(script)
            os.unlink(name, dir_fd=self._scripts)


def _drop_rights() -> None:
    """Limit the programs that this thread starts to two capabilities. The thread itself keeps all of its own."""
    for number in prctl.bounding_capabilities() - _CAPABILITIES:
        prctl.drop_bounding_capability(number)
    prctl.forbid_new_privileges()


def _limit() -> dict[int, tuple[int, int]]:
    """Lower the resource limits of this process, which its children inherit. Return the previous limits."""
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {resource.RLIMIT_FSIZE: FILE_BYTES, resource.RLIMIT_AS: own + MEMORY_BYTES, resource.RLIMIT_CORE: 0}
    before = {limit: resource.getrlimit(limit) for limit in limits}
    for limit, value in limits.items():
        soft, hard = before[limit]
        least = min(v for v in (value, soft, hard) if v != resource.RLIM_INFINITY)
        resource.setrlimit(limit, (least, hard))
    return before


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """Wait for the tool to end. Return its exit code, or None if it was killed after TIME_S seconds."""
    watched = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        in_time = poll.poll(TIME_S * 1000)
        if not in_time:
            signal.pidfd_send_signal(watched, signal.SIGKILL)
        code = process.wait()
        return code if in_time else None
    finally:
        os.close(watched)
