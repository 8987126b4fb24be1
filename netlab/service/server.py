"""The bench's server: JSON lines on a unix socket, one connection per attempt, only for its own user and root.

{"op": "status"}                                                      → {"ok": true, "status": {…}}
{"op": "attempt", "run_id": …, "mode": "quick", "lane": 33, "fence": 7} → {"ok": true}
{"op": "quick", "source": …, "destination": …, "services": […]}       → {"ok": true, "result": {…}}
{"op": "bulk", "questions": [{"source": …, …}, …]}                    → {"ok": true, "results": [{…}, …]}, several times,
                                                                        until all questions are answered, in their order
{"op": "detailed", "source": …, "destination": …, "services": […]}    → {"ok": true, "progress": {…}}, several times,
                                                                        then {"ok": true, "result": {…}}
{"op": "warnings"}                                                    → {"ok": true, "warnings": […]}
{"op": "journal"}                                                     → {"ok": true, "journal": […]}
{"op": "namespace", "router": …}                                      → {"ok": true, "descriptor": 12}, open in the bench
{"op": "quit"}                                                        → {"ok": true}, then the bench ends
a refused request                                                     → {"ok": false, "code": …, "message": …}, and with
                                                                        code stale-fence "fence", the highest fence
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from dscp.lanes import LANE_FIRST, LANE_LAST, LANES
from netlab.detailed.run import MAX_SERVICES as MAX_DETAILED
from netlab.errors import NetlabError
from netlab.live.build import LiveNetwork
from netlab.quick.flow import BadQuestion, Question
from netlab.service.attempts import ALONE, ActiveAttempt, Attempts, StaleFence
from netlab.service.executor import BenchBroken, Executor
from netlab.service.idle_connections import IdleConnections
from netlab.service.listener import BACKLOG
from netlab.service.peer import peer_of
from netlab.service.replies import Progress, Reply, encode_reply
from netlab.service.request_lines import MAX_BULK_LINE, MAX_LINE, Refused, parse_request, read_line, refusal
from netlab.service.requests import (
    AskedQuestion,
    AttemptRequest,
    BulkRequest,
    DetailedRequest,
    JournalRequest,
    NamespaceRequest,
    QuickRequest,
    QuitRequest,
    StatusRequest,
    ToBench,
    WarningsRequest,
)
from netlab.service.status import AttemptStatus, BenchStatus, HostStatus

T = TypeVar("T")

log = logging.getLogger("reachq.bench")

ACCEPTED_TOGETHER = 16
"""Number of connections that the event loop accepts in one pass, before it reads from the open ones."""
_REQUESTS: msgspec.json.Decoder[ToBench] = msgspec.json.Decoder(ToBench)
MODES = ("quick", "bulk", "detailed")
MAX_QUESTIONS = 256
CHECKED_TOGETHER = 16
"""Number of questions of a bulk run that are checked before other connections are served."""
LEAVING = "the bench is restarting: try again"


class BenchServer:
    """Serves one live network until its executor fails or the server is cancelled."""

    def __init__(self, network: LiveNetwork, warnings: Callable[[], tuple[str, ...]] = tuple) -> None:
        """`warnings` returns what is probably missing or wrong in the facts. It is called when a client asks for it."""
        self._network = network
        self._warnings = warnings
        self._attempts = Attempts()
        self._executor = Executor(network)
        self._since_ms = _now_ms()
        self._idle = IdleConnections()
        self._lines: dict[ActiveAttempt, asyncio.StreamWriter] = {}
        self._serving: asyncio.Task[None] | None = None
        self._leaving = False

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections on `listener`. Never returns: raises BenchBroken or CancelledError."""
        self._serving = asyncio.current_task()
        server = await asyncio.start_unix_server(
            self._connection, sock=listener, limit=MAX_LINE, backlog=ACCEPTED_TOGETHER
        )
        # asyncio has set the kernel's queue to ACCEPTED_TOGETHER; many workers may connect at once.
        listener.listen(BACKLOG)
        async with server:
            await self._executor.run()

    def status(self) -> BenchStatus:
        """Return the network, and the attempts that use the bench."""
        facts, topology = self._network.facts, self._network.topology
        return BenchStatus(
            network=facts.name,
            facts=facts.digest,
            routers=tuple(sorted(topology.routers)),
            segments=tuple(segment.name for segment in topology.segments),
            pid=os.getpid(),
            since_ms=self._since_ms,
            answered=self._executor.answered,
            batches=self._executor.batches,
            fence=self._attempts.highest,
            hosts=tuple(
                HostStatus(str(host.address), host.place, dict(host.references)) for host in self._executor.hosts
            ),
            locks=self._executor.locks.holders(),
            attempts=tuple(AttemptStatus(a.run_id, a.mode, a.lane, a.fence, a.since_ms) for a in self._attempts),
        )

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempt: ActiveAttempt | None = None

        def dismiss(message: str) -> None:
            """Send the reason and close the connection, without waiting for a peer that does not read."""
            writer.write(refusal("busy", message))
            writer.transport.abort()

        try:
            _check_peer(writer.get_extra_info("socket"))
            self._idle.admit(dismiss)
            while line := await read_line(reader, _longest_line(attempt)):
                attempt, reply = await self._handle(line, attempt, reader, writer)
                if attempt:
                    self._idle.leave(dismiss)
                writer.write(encode_reply(reply))
                await writer.drain()
                if not attempt:
                    self._idle.admit(dismiss)
        except Refused as no:
            writer.write(refusal(no.code, str(no)))
        except ConnectionError:
            pass  # the peer has closed, or was dismissed: no reply is needed
        finally:
            self._idle.leave(dismiss)
            if attempt:
                self._attempts.close(attempt)
                self._lines.pop(attempt, None)
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _handle(
        self, line: bytes, attempt: ActiveAttempt | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[ActiveAttempt | None, Reply]:
        """Answer one request. Return the attempt that the connection has afterwards, and the reply."""
        try:
            match parse_request(line, _REQUESTS):
                case AttemptRequest() if attempt:
                    raise Refused("bad-request", "this connection already has an attempt; open another")
                case AttemptRequest() as request:
                    return self._open(request, writer), Reply(ok=True)
                case QuickRequest() as request:
                    return attempt, await self._quick(request, attempt)
                case BulkRequest() as request:
                    return attempt, await self._bulk(request, attempt, reader, writer)
                case DetailedRequest() as request:
                    return attempt, await self._detailed(request, attempt, reader, writer)
                case request:
                    return attempt, self._answer(request)
        except Refused as no:
            return attempt, Reply(ok=False, code=no.code, message=str(no), fence=no.more.get("fence", 0))

    def _open(self, request: AttemptRequest, writer: asyncio.StreamWriter) -> ActiveAttempt:
        if self._leaving:
            raise Refused("restarting", LEAVING)
        lane, fence, mode = request.lane, request.fence, request.mode
        if mode not in MODES:
            raise Refused("bad-request", f"mode {mode!r} is not one this bench knows: {', '.join(MODES)}")
        if mode == "detailed":
            lane = ALONE
        elif lane is None or lane not in LANES:
            raise Refused("bad-request", f"lane {lane!r} is not a DSCP value from {LANE_FIRST} to {LANE_LAST}")
        if fence < 1:
            raise Refused("bad-request", f"fence {fence!r} is not a positive number")
        attempt = ActiveAttempt(request.run_id, mode, lane, fence, _now_ms(), writer.transport.abort)
        try:
            self._attempts.open(attempt)
        except StaleFence as stale:
            raise Refused("stale-fence", str(stale), fence=stale.seen) from None
        self._lines[attempt] = writer
        log.debug("run %s: %s attempt on lane %s, fence %d", attempt.run_id, mode, lane or "none", fence)
        return attempt

    def _leave(self) -> None:
        """End as after SIGTERM, but send `restarting` to every open attempt, so that its worker repeats it."""
        self._leaving = True
        for attempt, writer in self._lines.items():
            attempt.live = False
            writer.write(refusal("restarting", LEAVING))
        assert self._serving, "who asks has been let in by `serve`"
        self._serving.cancel()

    def _answer(
        self, request: StatusRequest | WarningsRequest | JournalRequest | NamespaceRequest | QuitRequest
    ) -> Reply:
        """Answer a request that needs no attempt."""
        match request:
            case StatusRequest():
                return Reply(ok=True, status=self.status())
            case WarningsRequest():
                return Reply(ok=True, warnings=self._warnings())
            case JournalRequest():
                return Reply(ok=True, journal=self._executor.journal.entries())
            case NamespaceRequest(router):
                return Reply(ok=True, descriptor=self._namespace(router))
            case QuitRequest():
                asyncio.get_running_loop().call_soon(self._leave)  # after the reply to this request
                return Reply(ok=True)

    def _namespace(self, name: str) -> int:
        """Return this process's descriptor for a router's namespace, and record the request in the journal.

        Raises Refused.
        """
        router = self._network.routers.get(name)
        if router is None:
            raise Refused("not-found", f"no router {name}; the bench has {', '.join(sorted(self._network.routers))}")
        self._executor.journal.write(f"shell in {router.name}", "")
        log.info("namespace of %s handed out for a shell", router.name)
        return router.namespace

    async def _quick(self, request: QuickRequest, attempt: ActiveAttempt | None) -> Reply:
        attempt = _admitted(attempt, "quick")
        question = _question(request, attempt, rules=request.rules)
        return Reply(ok=True, result=await self._executor.ask(question, attempt))

    async def _bulk(
        self,
        request: BulkRequest,
        attempt: ActiveAttempt | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Reply:
        """Run a quick test for each question. Send all replies but the last, and return that one.

        If the connection closes, the questions that are not answered yet are dropped.
        """
        attempt = _admitted(attempt, "bulk")
        questions = await _questions(request, attempt)
        return await _while_connected(self._send_slices(questions, attempt, writer), reader)

    async def _send_slices(
        self, questions: list[Question], attempt: ActiveAttempt, writer: asyncio.StreamWriter
    ) -> Reply:
        with self._executor.bulk(questions, attempt) as run:
            while True:
                reply = Reply(ok=True, results=tuple(await self._executor.next_slice(run)))
                if not run.left:
                    return reply
                writer.write(encode_reply(reply))
                await writer.drain()  # a client that does not read gets no further slice

    async def _detailed(
        self,
        request: DetailedRequest,
        attempt: ActiveAttempt | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Reply:
        """Run a detailed test. If the connection closes, the run is cancelled."""
        attempt = _admitted(attempt, "detailed")
        question = _question(request, attempt)
        if len(question.services) > MAX_DETAILED:
            raise Refused(
                "bad-request", f"services: {len(question.services)}; a detailed run takes 1 to {MAX_DETAILED}"
            )

        def progress(phase: str, percent: int, message: str) -> None:
            writer.write(encode_reply(Reply(ok=True, progress=Progress(phase, percent, message))))

        try:
            tested = self._executor.ask_detailed(question, attempt, progress)
            return Reply(ok=True, result=await _while_connected(tested, reader))
        except BenchBroken as broken:
            self._executor.broken(broken)
            raise Refused("lost", str(broken)) from None
        except NetlabError as bad:
            raise Refused("bad-request", str(bad)) from None


async def _while_connected(work: Coroutine[Any, Any, T], reader: asyncio.StreamReader) -> T:
    """Return the result of `work`. If the connection closes first, cancel `work` and raise ConnectionResetError."""
    running = asyncio.ensure_future(work)
    closed = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({running, closed}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ConnectionResetError("the attempt has ended")
        return running.result()
    finally:
        for task in (running, closed):
            task.cancel()
        await asyncio.gather(running, closed, return_exceptions=True)


def _longest_line(attempt: ActiveAttempt | None) -> int:
    """Return the maximum length of the next request. Only a bulk attempt, which has a lane, may send long ones."""
    return MAX_BULK_LINE if attempt and attempt.mode == "bulk" else MAX_LINE


def _admitted(attempt: ActiveAttempt | None, mode: str) -> ActiveAttempt:
    if attempt is None or not attempt.live:
        raise Refused("lost", "no attempt is open on this connection")
    if attempt.mode != mode:
        raise Refused("bad-request", f"this attempt is {attempt.mode}, not {mode}")
    return attempt


async def _questions(request: BulkRequest, attempt: ActiveAttempt) -> list[Question]:
    """Return the questions of a bulk run. Raises Refused if one is not valid, with its position from 0."""
    if not 1 <= len(request.questions) <= MAX_QUESTIONS:
        raise Refused("bad-request", f"questions: {len(request.questions)} given; 1 to {MAX_QUESTIONS} are allowed")
    questions = []
    for position, asked in enumerate(request.questions):
        if position % CHECKED_TOGETHER == 0:
            await asyncio.sleep(0)
        try:
            questions.append(_question(asked, attempt, rules=request.rules))
        except Refused as no:
            raise Refused(no.code, f"questions[{position}]: {no}") from None
    return questions


def _question(
    request: QuickRequest | DetailedRequest | AskedQuestion, attempt: ActiveAttempt, *, rules: bool = True
) -> Question:
    services = [(service.port, service.protocol) for service in request.services]
    dscp = attempt.lane or LANE_FIRST
    try:
        return Question.checked(
            request.source, request.destination, services, request.source_port, dscp=dscp, rules=rules
        )
    except BadQuestion as bad:
        raise Refused("bad-request", str(bad)) from None


def _check_peer(sock: socket.socket) -> None:
    """Raise Refused unless the peer runs as our own user or as root."""
    peer = peer_of(sock)
    if not peer.trusted:
        raise Refused("forbidden", f"{peer} may not use this bench: it serves user {os.geteuid()} and root")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
