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
from typing import Any

import redis

from tests.support.old_state import caught_up
from tests.support.secured import REDIS_7, Certificates
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

    def __init__(
        self, servers: int = 2, *options: str, tls: Certificates | None = None, sentinel: dict[str, str] | None = None
    ) -> None:
        """`options` are for all servers, and `sentinel` is for all Sentinels.

        With `tls` (it needs Debian's redis-server) all connections use TLS, and all addresses are the name in the
        certificate.
        """
        self._ports = [free_port() for _ in range(servers)]
        self._host, self._tls = "localhost" if tls else "127.0.0.1", tls
        self._binary = Path(REDIS_7) if tls and REDIS_7 else server_binary()
        self._sentinel = dict(sentinel or {})
        common = {"bind": "127.0.0.1", "repl-diskless-sync-delay": "0"}
        if tls:
            files = {"cert": "server.pem", "key": "server.key", "ca-cert": "ca.pem"}
            secured = {f"tls-{kind}-file": str(tls[file]) for kind, file in files.items()}
            secured |= {"tls-replication": "yes", "tls-auth-clients": "no"}
            common |= secured | {"replica-announce-ip": self._host}
            hosts = ("resolve-hostnames", "announce-hostnames")
            self._sentinel |= secured | {f"sentinel {setting}": "yes" for setting in hosts}
        more = [*(word for name, value in common.items() for word in (f"--{name}", value)), *options]
        self.servers = [
            Server(options=(f"--{'tls-' if tls else ''}port", str(port), *more), binary=self._binary)
            for port in self._ports
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="reachq-sentinels-"))
        self._sentinels: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """The address for REACHQ_REDIS_URL."""
        hosts = ",".join(f"{self._host}:{port}" for port in self._sentinels)
        if self._tls:
            return f"rediss+sentinel://{hosts}/{SERVICE}?ssl_ca_certs={self._tls['ca.pem']}"
        return f"redis+sentinel://{hosts}/{SERVICE}"

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
            client.replicaof(self._host, str(self._ports[self.servers.index(primary)]))
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
        secured: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(self._tls["ca.pem"])} if self._tls else {}
        password = self._sentinel.get("requirepass")
        return redis.Redis(self._host, port, password=password, decode_responses=True, socket_timeout=10, **secured)

    def _start_sentinel(self, port: int) -> None:
        assert self._binary is not None, "no valkey-server for this machine"
        config = self._folder / f"{port}.conf"
        lines = [f"{name} {value}" for name, value in self._sentinel.items()]
        config.write_text(
            f"port 0\n{'tls-' if self._tls else ''}port {port}\nbind 127.0.0.1\n"
            f"dir {self._folder}\nlogfile {port}.log\n"
            f"sentinel monitor {SERVICE} {self._host} {self._ports[0]} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 10000\n" + "\n".join(lines) + "\n"
        )
        self._sentinels[port] = subprocess.Popen(
            [str(self._binary), str(config), "--sentinel"],
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
