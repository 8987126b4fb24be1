"""One bench as a child process: started, started again if it dies, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections import deque
from pathlib import Path

from netlab.kernel import prctl
from netlab.service.replies import OpenBench

EXIT_BAD_FACTS = 2
"""Exit code of a bench whose facts cannot be used. Starting it again would not help."""
READY = "bench ready: "
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 5.0
STEADY_S = 5.0
"""A bench that ran for at least this long is started again at once; otherwise after a pause, which grows each time."""
STOP_S = 3.0
"""Time after which a bench that was asked to end is killed."""
_LINE_MAX = 1 << 20
_PROBLEMS_MAX = 200
_PLACE = re.compile(r"[^\s:]+(?::\d+)?: ")


class ChildBench:
    """A bench that is kept running until it is closed, or until its facts turn out to be unusable."""

    def __init__(self, name: str, folder: Path, network: str, address: str) -> None:
        """`folder` has the facts, `network` is the name to show, and `address` is the socket to listen on."""
        self.name = name
        self.folder = folder
        self._network, self._address = network, address
        self._since_ms = time.time_ns() // 1_000_000
        self._process: asyncio.subprocess.Process | None = None
        self._state, self._last = "building", deque[str](maxlen=_PROBLEMS_MAX)
        self._changed = asyncio.Condition()
        self._closing = False
        self._running = asyncio.ensure_future(self._run())

    @property
    def problems(self) -> tuple[str, ...]:
        """Why its facts were refused, a sentence each, with file and line; empty otherwise."""
        if self._state != "refused":
            return ()
        return tuple(line for line in self._last if _PLACE.match(line) and not line.startswith("bench: "))

    def report(self) -> OpenBench:
        """Return its state."""
        process = self._process
        lines = self.problems or list(self._last)[-3:]
        error = "; ".join(lines) if self._state in ("refused", "failed") else ""
        pid = process.pid if process and process.returncode is None else 0
        return OpenBench(
            self.name, str(self.folder), self._address, self._state, pid, self._since_ms, error=error[:2000]
        )

    async def settled(self) -> None:
        """Wait until it is ready, or until its first start has failed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._state != "building")

    async def close(self) -> None:
        """End it: with SIGTERM, then with SIGKILL."""
        self._closing = True
        await self._set("failed")  # for those who wait until it is ready
        process = self._process
        if process and process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_S)
            if process.returncode is None:
                process.kill()
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        if process:
            await process.wait()

    async def _run(self) -> None:
        pause = 0.0
        while not self._closing:
            started = time.monotonic()
            code = await self._run_once()
            if self._closing:
                return
            if code == EXIT_BAD_FACTS:
                await self._set("refused")
                return
            pause = (
                PAUSE_MIN_S if time.monotonic() - started >= STEADY_S else min(PAUSE_MAX_S, max(PAUSE_MIN_S, pause * 2))
            )
            how = f"exit {code}" if code >= 0 else signal.Signals(-code).name
            print(f"bench {self.name} ended ({how}), starting it again in {pause:.2g} s", flush=True)
            await self._set("failed" if self._state != "ready" else "building")
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        """Start the process, print its output, and return its exit code."""
        parent = os.getpid()

        def in_child() -> None:
            prctl.set_parent_death_signal(signal.SIGKILL)
            if os.getppid() != parent:  # the service died before the line above
                os._exit(1)

        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "netlab", f"--network={self.folder}", f"--name={self._network}"),
            f"--socket={self._address}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_MAX,
            preexec_fn=in_child,
        )
        assert process.stdout
        self._last.clear()
        while line := await _line(process.stdout):
            print(line, flush=True)
            self._last.append(line)
            if line.startswith(READY):
                await self._set("ready")
        return await process.wait()

    async def _set(self, state: str) -> None:
        async with self._changed:
            self._state = state
            self._changed.notify_all()


async def _line(output: asyncio.StreamReader) -> str:
    """Return the next line that is not empty, or "" at the end."""
    while True:
        try:
            data = await output.readline()
        except ValueError:  # a line that is too long
            continue
        if not data:
            return ""
        if text := data.decode(errors="replace").rstrip():
            return text
