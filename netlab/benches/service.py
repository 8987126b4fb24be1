"""The service of the benches of one machine: JSON lines on a unix socket, only for its own user and root.

{"op": "open", "bench": …, "folder": …, "network": …, "address": …} → {"ok": true, "benches": [the bench]} when it is
                                                                      ready; code `refused`, with "problems", if its facts
                                                                      cannot be used; code `failed` for another reason
{"op": "close", "bench": …}                                         → {"ok": true}, when it has ended
{"op": "benches"}                                                   → {"ok": true, "benches": […]}

`open` for a bench that is open waits until it is ready. A bench whose first start failed is started again until it is
closed, so `open` may be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
from pathlib import Path

import msgspec

from netlab.benches.child import ChildBench
from netlab.service.listener import BACKLOG
from netlab.service.peer import peer_of
from netlab.service.replies import Reply, encode_reply
from netlab.service.request_lines import MAX_LINE, Refused, parse_request, read_line, refusal
from netlab.service.requests import BenchesRequest, CloseRequest, OpenRequest, ToBenchService

MAX_BENCHES = 64
"""Maximum number of open benches on one machine."""
_REQUESTS: msgspec.json.Decoder[ToBenchService] = msgspec.json.Decoder(ToBenchService)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
log = logging.getLogger("reachq.bench")


class BenchService:
    """Keeps benches open. All of them end when the service ends."""

    def __init__(self) -> None:
        self._benches: dict[str, ChildBench] = {}

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until the task is cancelled, then end all benches."""
        server = await asyncio.start_unix_server(self._connection, sock=listener, limit=MAX_LINE)
        listener.listen(BACKLOG)
        try:
            async with server:
                await server.serve_forever()
        finally:
            await asyncio.gather(*(bench.close() for bench in self._benches.values()))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = peer_of(writer.get_extra_info("socket"))
            if not peer.trusted:
                raise Refused("forbidden", f"{peer} may not use this service: it serves user {os.geteuid()} and root")
            while line := await read_line(reader):
                writer.write(encode_reply(await self._handle(line)))
                await writer.drain()
        except Refused as no:
            writer.write(refusal(no.code, str(no)))
        except ConnectionError:
            pass  # the peer has closed: no reply is needed
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _handle(self, line: bytes) -> Reply:
        try:
            match parse_request(line, _REQUESTS):
                case OpenRequest() as request:
                    return await self._open(request)
                case CloseRequest(bench):
                    return await self._close(bench)
                case BenchesRequest():
                    return Reply(ok=True, benches=tuple(bench.report() for bench in self._benches.values()))
        except Refused as no:
            return Reply(ok=False, code=no.code, message=str(no))

    async def _open(self, request: OpenRequest) -> Reply:
        name = request.bench
        if not _NAME.fullmatch(name):
            raise Refused("bad-request", f"bench: {name!r} must be at most 60 of a-z, 0-9 and `-`")
        bench = self._benches.get(name)
        if bench is None:
            if len(self._benches) >= MAX_BENCHES:
                raise Refused("busy", f"this machine has {MAX_BENCHES} open benches; close one first")
            bench = self._benches[name] = ChildBench(name, Path(request.folder), request.network, request.address)
        elif str(bench.folder) != request.folder:
            raise Refused("bad-request", f"bench {name} is open with the facts in {bench.folder}; close it first")
        await bench.settled()
        report = bench.report()
        if report.state == "ready":
            return Reply(ok=True, benches=(report,))
        if report.state == "refused" and self._benches.get(name) is bench:
            await self._close(name)
        return Reply(ok=False, code=report.state, message=report.error, problems=bench.problems)

    async def _close(self, name: str) -> Reply:
        if bench := self._benches.pop(name, None):
            await bench.close()
        return Reply(ok=True)
