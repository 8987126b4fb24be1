"""A Redis that goes back to an older state, as after a restored backup or the failover to a replica that was behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.server import Server
from tests.support.waiting import wait_until

AOF = "appendonlydir"


def remembered(server: Server, copy: Path) -> Callable[[], None]:
    """Copy the data of a server with an AOF; the returned function kills the server and restarts it with the copy."""
    with server.client() as client:
        client.config_set("appendfsync", "always")
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.set("rq:synced", 1)  # its reply comes after all earlier writes are on disk
        client.delete("rq:synced")
    shutil.copytree(server.folder / AOF, copy / AOF)

    def go_back() -> None:
        server.kill9()
        shutil.rmtree(server.folder / AOF)
        shutil.copytree(copy / AOF, server.folder / AOF)
        server.start()

    return go_back


def caught_up(master: Server, replica: Server) -> None:
    """Wait until a replica has all of its master's writes."""
    with master.client() as ours, replica.client() as theirs:

        def same() -> bool:
            found = theirs.info("replication")
            return bool(
                found["master_link_status"] == "up"
                and found["slave_repl_offset"] >= ours.info("replication")["master_repl_offset"]
            )

        wait_until(same, 10, "the replica has caught up")
