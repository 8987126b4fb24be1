"""Keeps the processes of one system running from one terminal, and ends all of them when it ends.

Unlike in honcho, which ends all processes when one exits, a part that dies is restarted, after a pause that grows if it
dies again. Each part runs in its own session, so that Ctrl-C reaches only the supervisor. The supervisor then stops the
parts stage by stage, beginning with the highest stage. The server that all others use is stopped at the end.

No process outlives the supervisor. Each part has a parent-death signal (prctl(2), PR_SET_PDEATHSIG), so that a part
ends even if the supervisor is killed with SIGKILL. Other processes in the group of a dead part are killed. Orphaned
grandchildren are reparented to the supervisor (PR_SET_CHILD_SUBREAPER), which kills them before it exits. The
parent-death signal is sent when the *thread* that forked ends, so only the main thread forks, and there are no other
threads.

A supervisor owns all children of its process, so nothing else may run in the same process.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from app.launch.lines import OutputLines
from netlab.kernel import prctl

TICK_S = 0.1
STOP_S = 3.0
"""How long a stage may take to end before it is killed, in s."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, SETTLED_S = 0.25, 10.0, 10.0


@dataclass(frozen=True)
class Part:
    """One process to keep running. Stages stop from the highest to the lowest number."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    stage: int = 1
    on_orphaned: signal.Signals = signal.SIGKILL
    pass_fds: tuple[int, ...] = ()
    before_start: Callable[[], object] = lambda: None
    shows: Callable[[str], bool] = lambda line: True
    """Called with each line of output. The terminal shows the lines for which it returns True."""
    once: bool = False
    """Whether the process has a task that ends: after exit code 0 it is not started again."""


@dataclass
class _Live:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    started: float = 0.0
    start_at: float = 0.0
    deaths: int = 0  # consecutive deaths, each within SETTLED_S of the start
    last: str = ""
    done: bool = False


@dataclass
class Supervisor:
    """Runs `parts` until a signal arrives, `stop` is called, or a part cannot start.

    `script` is advanced about ten times a second. It may watch and print, but must not block. If one part dies
    `patience` times in a row, all parts are stopped. With 0, a part is restarted without limit.
    """

    parts: Sequence[Part]
    lines: OutputLines = field(default_factory=OutputLines)
    script: Iterator[None] | None = None
    patience: int = 0
    failure: str = ""

    def __post_init__(self) -> None:
        self._live = [_Live(part) for part in self.parts]
        self._selector = selectors.DefaultSelector()
        self._signals = 0

    def run(self) -> int:
        """Block until stopped. Returns 0 after a signal or `stop`, and 1 after a failure (see `failure`)."""
        prctl.adopt_orphans()
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: _drain(wake_read))
        before = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        handlers = {number: signal.signal(number, self._on_signal) for number in caught}
        try:
            while not self._signals and not self.failure:
                self._turn()
        except BrokenPipeError:  # the reader of our output has gone: stop
            self.lines.mute()
        finally:
            self._stop_all()
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(wake_read)
            os.close(wake_write)
        return 1 if self.failure else 0

    def stop(self) -> None:
        """Stop all parts, as Ctrl-C does."""
        self._signals += 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _turn(self) -> None:
        now = time.monotonic()
        for live in self._live:
            if live.process is None and not live.done and live.start_at <= now:
                self._start(live)
        if self.script is not None:
            try:
                next(self.script)
            except StopIteration:
                self.script = None
        self._wait(TICK_S)
        _collect_orphans({live.process.pid for live in self._live if live.process})

    def _wait(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            key.data()

    def _start(self, live: _Live) -> None:
        part, parent = live.part, os.getpid()

        def in_child() -> None:
            prctl.set_parent_death_signal(part.on_orphaned)
            if os.getppid() != parent:  # the supervisor died before the line above
                os._exit(1)

        part.before_start()
        live.started = time.monotonic()
        try:
            process = subprocess.Popen(
                part.argv,
                env=part.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=part.pass_fds,
                preexec_fn=in_child,
            )
        except OSError as error:
            self.failure = f"{part.name}: {part.argv[0]} cannot be started: {error.strerror}"
            return
        assert process.stdout is not None
        live.process = process
        output = process.stdout.fileno()
        os.set_blocking(output, False)
        self._selector.register(output, selectors.EVENT_READ, lambda: self._read(live, process))
        live.pidfd = os.pidfd_open(process.pid)
        self._selector.register(live.pidfd, selectors.EVENT_READ, lambda: self._ended(live))

    def _read(self, live: _Live, process: subprocess.Popen[bytes]) -> None:
        """Print the output of a part. At the end of the output, close the pipe."""
        assert process.stdout is not None
        if process.stdout.closed:  # a second event of the same select()
            return
        try:
            chunk = os.read(process.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        for line in self.lines.feed(live.part.name, chunk, live.part.shows):
            live.last = line
        if not chunk:
            self._selector.unregister(process.stdout)
            process.stdout.close()

    def _ended(self, live: _Live) -> None:
        process = live.process
        assert process is not None
        _kill_group(process.pid)  # before wait(): until then no other process can have this pid
        status = process.wait()
        self._selector.unregister(live.pidfd)
        os.close(live.pidfd)
        self._read(live, process)
        live.process = None
        now = time.monotonic()
        live.deaths = live.deaths + 1 if now - live.started < SETTLED_S else 1
        pause = min(FIRST_PAUSE_S * 2 ** (live.deaths - 1), LONGEST_PAUSE_S)
        live.start_at = now + pause
        live.done = live.part.once and status == 0
        if self._signals or self.failure or live.done:
            return
        how = f"exit {status}" if status >= 0 else signal.Signals(-status).name
        if self.patience and live.deaths >= self.patience:
            last_line = f": {live.last}" if live.last else ""
            self.failure = f"{live.part.name} ended {live.deaths} times in a row ({how}){last_line}"
            return
        self.lines.say(f"{live.part.name} ended ({how}), starting it again in {pause:.2g} s")

    def _stop_all(self) -> None:
        """Stop stage by stage with SIGTERM, a wait, and SIGKILL.

        A second signal kills at once. Then end the orphans.
        """
        for stage in sorted({part.stage for part in self.parts}, reverse=True):
            members = [live for live in self._live if live.part.stage == stage]
            for live in members:
                if live.process is not None:
                    live.process.terminate()
            asked, deadline = self._signals, time.monotonic() + STOP_S
            while any(live.process for live in members):
                if time.monotonic() > deadline or self._signals > asked:
                    for live in members:
                        if live.process is not None:
                            _kill_group(live.process.pid)
                    deadline = float("inf")
                    asked = self._signals
                try:
                    self._wait(TICK_S)
                except BrokenPipeError:
                    self.lines.mute()
        _end_orphans()


def _drain(descriptor: int) -> None:
    os.read(descriptor, 4096)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _collect_orphans(parts: set[int]) -> list[int]:
    """Reap orphaned zombies, and return the orphans that are still alive."""
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        orphans = {int(child) for child in children.read().split()} - parts
    return [orphan for orphan in orphans if os.waitpid(orphan, os.WNOHANG) == (0, 0)]


def _end_orphans() -> None:
    """Kill and reap the orphans of the parts until all are gone."""
    while orphans := _collect_orphans(set()):
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        time.sleep(0.01)
