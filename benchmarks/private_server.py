"""A private server for one benchmark: the embedded one, in a temporary folder that is removed afterwards."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from app.launch.embedded import ENVIRONMENT, SOCKET, server_command


@contextmanager
def private_server() -> Iterator[str]:
    """Start the server that `reachq up` would start; yields its socket's path."""
    with tempfile.TemporaryDirectory(prefix="reachq-bench-") as folder:
        server = subprocess.Popen(server_command(Path(folder)), stdout=subprocess.DEVNULL, env=os.environ | ENVIRONMENT)
        try:
            path = str(Path(folder, SOCKET))
            _wait_for(path)
            yield path
        finally:
            server.kill()
            server.wait()


def connect(path: str) -> redis.Redis:
    """A plain client, for references and for reading facts such as INFO."""
    return redis.Redis(unix_socket_path=path, socket_timeout=600)


def _wait_for(path: str, patience_s: float = 5.0) -> None:
    client, deadline = connect(path), time.monotonic() + patience_s
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    client.close()
