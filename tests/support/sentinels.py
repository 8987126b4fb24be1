"""A primary, its replicas and three Sentinels, all on loopback, for tests and measurements of a failover."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import redis

from tests.support.old_state import caught_up
from tests.support.server import Server, die_with_parent, server_binary
from tests.support.waiting import wait_until

SERVICE = "reachq"
DOWN_AFTER_MS = 1000


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Watched:
    """Servers that Sentinels watch: one primary, the others its replicas. Use as a context manager."""

    def __init__(self, servers: int = 2, *options: str) -> None:
        self._ports = [free_port() for _ in range(servers)]
        self.servers = [
            Server(options=("--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *options))
            for port in self._ports
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="reachq-sentinels-"))
        self._sentinels: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """The address for REACHQ_REDIS_URL."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._sentinels)}/{SERVICE}"

    def __enter__(self) -> Watched:
        try:
            first, *others = self.servers
            first.start()
            for server in others:
                server.start()
                self.follow(server, first)
            for _ in range(3):
                self._start_sentinel(free_port())
            wait_until(self.ready, 20, "the Sentinels know each other and all servers")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def primary(self) -> Server:
        """The server that the Sentinels name as the primary."""
        with self._ask(next(iter(self._sentinels))) as sentinel:
            found = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return self.servers[self._ports.index(int(found[1]))]

    def replicas(self) -> list[Server]:
        """The other servers."""
        primary = self.primary()
        return [server for server in self.servers if server is not primary]

    def follow(self, server: Server, primary: Server) -> None:
        """Make a running server a replica, and wait until it has all data."""
        with server.client() as client:
            client.replicaof("127.0.0.1", str(self._ports[self.servers.index(primary)]))
        caught_up(primary, server)

    def fail_over(self) -> None:
        """Ask a Sentinel for a failover, although the primary works."""
        with self._ask(next(iter(self._sentinels))) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)

    def replaced(self, primary: Server, timeout_s: float = 15) -> Server:
        """Wait until all Sentinels name another primary than this one, and return it."""
        names = {str(self._ports[self.servers.index(primary)])}
        wait_until(lambda: not self._named() & names, timeout_s, "another server is the primary")
        return self.primary()

    def ready(self) -> bool:
        """Return whether every Sentinel sees the two others, and all replicas in a state for a promotion."""
        return all(self._sees_all(port) for port in self._sentinels)

    def _named(self) -> set[str]:
        found = set()
        for port in self._sentinels:
            with self._ask(port) as sentinel:
                found.add(str(sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]))
        return found

    def _sees_all(self, port: int) -> bool:
        with contextlib.suppress(redis.RedisError), self._ask(port) as sentinel:
            state = sentinel.sentinel_masters()[SERVICE]
            replicas = sentinel.sentinel_slaves(SERVICE)
            good = [r for r in replicas if r["flags"] == "slave" and r["master-link-status"] == "ok"]
            others, working = state["num-other-sentinels"], state["flags"] == "master"
            return bool(others == len(self._sentinels) - 1 and working and len(good) == len(self.servers) - 1)
        return False

    def _ask(self, port: int) -> redis.Redis:
        return redis.Redis("127.0.0.1", port, decode_responses=True, socket_timeout=10)

    def _start_sentinel(self, port: int) -> None:
        binary = server_binary()
        assert binary is not None, "no valkey-server for this machine"
        config = self._folder / f"{port}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\nlogfile {port}.log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._ports[0]} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 10000\n"
        )
        self._sentinels[port] = subprocess.Popen(
            [str(binary), str(config), "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            env=os.environ,
        )

    def _stop(self) -> None:
        for process in self._sentinels.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
