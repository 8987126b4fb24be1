"""A ledger without a server: the Lua scripts run in fakeredis, inside the test's own process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fakeredis

from ledger.redis.connection import Connection, translated
from ledger.redis.scripts import Script


class FakeConnection(Connection):
    """A connection to an in-memory server; connections with the same `server` share its data.

    It differs from a real server in what fakeredis lacks: the flags of a script (no-writes, allow-oom), memory
    limits, and ACLs. tests/contract shows what is alike.
    """

    def __init__(self, server: fakeredis.FakeServer) -> None:
        super().__init__("unix:///no-server")
        self.client.close()
        self.client = fakeredis.FakeRedis(server=server, decode_responses=True)
        self.__dict__["_raw"] = fakeredis.FakeRedis(server=server)

    def run(
        self,
        script: Script,
        keys: Mapping[str, str],
        args: Mapping[str, object],
        more: tuple[object, ...] = (),
    ) -> list[Any]:
        """Run a script from its source: fakeredis does not read the line `#!lua`, so that line becomes a comment."""
        words: list[Any] = script.order(keys, args, more)
        with translated():
            reply: Any = self.client.eval(f"--{script.source}", len(keys), *words)
        assert reply[0] in script.statuses
        return list(reply)
