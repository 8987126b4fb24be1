"""Two hosts in network namespaces of their own, and Redis in a third one, which they reach over TCP.

Each host has a bench service, or a stand-in for the test, and a worker pool. Needs root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import redis

from ledger.settings import Settings, load_settings
from ledger.store import Ledger
from tests.support.parts import ROOT
from tests.support.server import Server, die_with_parent, server_binary
from tests.support.waiting import wait_until

PORT = 6399
NAMES = ("east", "west")


def ip(*words: str) -> None:
    """Run `ip` with these arguments."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Host:
    """One host: its namespace, its cable to Redis, and its processes."""

    def __init__(self, name: str, hub: str, number: int, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.folder.mkdir()
        self.namespace = f"{hub}-{name}"
        self._hub, self._cable = hub, f"to-{name}"
        self._server = f"10.250.{number}.1"
        ip("netns", "add", self.namespace)
        ip("-n", hub, "link", "add", self._cable, "type", "veth", "peer", "name", "uplink", "netns", self.namespace)
        ip("-n", hub, "addr", "add", f"{self._server}/24", "dev", self._cable)
        ip("-n", self.namespace, "addr", "add", f"10.250.{number}.2/24", "dev", "uplink")
        ip("-n", self.namespace, "link", "set", "uplink", "up")
        ip("-n", self.namespace, "link", "set", "lo", "up")
        self.plug()
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, *arguments: str, **settings: object) -> None:
        """Start `python -m module` on this host, with settings as REACHQ_*. A pool has bulk workers only if asked."""
        if "quick" in settings:
            settings = {"bulk": 0, **settings}
        given = {"host_name": self.name, "data": self.folder, "redis_url": f"redis://{self._server}:{PORT}", **settings}
        environment = os.environ | {f"REACHQ_{name.upper()}": str(value) for name, value in given.items()}
        with (self.folder / "log").open("ab") as log:
            self._started.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", self.namespace, sys.executable, "-m", module, *arguments],
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent,
                )
            )

    def processes(self) -> list[psutil.Process]:
        """All processes of this host that run now."""
        found = []
        for part in self._started:
            if part.poll() is None:
                with suppress(psutil.NoSuchProcess):
                    process = psutil.Process(part.pid)
                    found += [process, *process.children(recursive=True)]
        return found

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of this host."""
        for process in self.processes():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def cut(self) -> None:
        """Cut the cable: packets are lost in both directions, and no connection ends."""
        ip("-n", self._hub, "link", "set", self._cable, "down")

    def plug(self) -> None:
        """Plug the cable in again."""
        ip("-n", self._hub, "link", "set", self._cable, "up")

    def close(self) -> None:
        """End all processes, and remove the namespace."""
        self.signal_all(signal.SIGCONT)
        for part in self._started:
            part.terminate()
        for part in self._started:
            try:
                part.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.signal_all(signal.SIGKILL)
                part.wait()
        self._started.clear()
        ip("netns", "del", self.namespace)


class TwoHosts:
    """A server, the hosts east and west, and the settings of a dispatcher beside the server. A context manager."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """`settings` are those of this process: its ledger, and the dispatchers it starts."""
        self._folder = folder
        self._given = settings
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            hub = f"rq-{os.getpid()}"
            ip("netns", "add", hub)
            stack.callback(ip, "netns", "del", hub)
            ip("-n", hub, "link", "set", "lo", "up")
            self.server = Server(options=("--port", str(PORT), "--protected-mode", "no"), binary=self._binary(hub))
            stack.callback(self.server.stop)
            self.server.start()
            self.settings: Settings = load_settings(redis_url=self.server.url, data=self._folder / "hub", **self._given)
            self.ledger = stack.enter_context(Ledger.connect(self.settings))
            self.hosts = {}
            for number, name in enumerate(NAMES, start=1):
                self.hosts[name] = Host(name, hub, number, self._folder / name)
                stack.callback(self.hosts[name].close)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def client(self) -> redis.Redis:
        """A plain client of the server."""
        return self.server.client()

    def workers(self, host: str) -> int:
        """The number of live workers of a host."""
        return sum(worker.alive for worker in self.ledger.workers() if worker.host_name == host)

    def wait_for_workers(self, host: str, count: int, timeout_s: float = 30) -> None:
        """Wait until a host has this many live workers."""
        wait_until(lambda: self.workers(host) == count, timeout_s, f"{count} workers on {host}")

    def _binary(self, hub: str) -> Path:
        """A program that runs the server in the hub's namespace."""
        binary = server_binary()
        assert binary is not None, "no valkey-server for this machine"
        path = self._folder / "server"
        path.write_text(f'#!/bin/sh\nexec ip netns exec {hub} {binary} "$@"\n')
        path.chmod(0o755)
        return path
