"""The live event feed (SSE) behind `GET /api/events`: two threads serve up to 500 listeners, a third renders the board.

A web thread that has sent the response's headers hands the connection over (`adopt`) and is free again. One thread
(`reader`) waits for the event stream and keeps the newest events in a window, where each is rendered only once. The
other thread (`writer`) sends each listener the events that the listener does not have yet. A listener is a socket and a
position in the stream, and its buffer is at most one batch. A listener that is behind the window is served from Redis,
page by page. So memory is bounded, a slow listener does not delay others, and no listener misses an event that is still
in the stream.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from app.live.board_renderer import BoardRenderer
from app.live.endings import Endings
from app.live.listener import Listener, Still, always_valid, expired_listeners
from app.live.restart_on_error import restart_on_error
from app.live.window import Audience, Batch, EventLike, Position, Window, parse_position, position_of, render
from ledger.errors import ReachqError
from ledger.events import Kind

WINDOW = 5000
"""Number of rendered events that are kept, about 200 bytes each."""
BATCH = 200
"""Number of events sent to a listener at once, which is the maximum number of unsent events of a listener."""
STALLED_S = 30.0
"""Time in s after which a listener that accepts no data is disconnected. It may return with Last-Event-ID."""
LISTENERS_MAX = 500
BLOCK_MS = 1000
RETRY_S = 0.25
ENDS = frozenset({Kind.FINISHED, Kind.FAILED, Kind.CANCELLED})

log = logging.getLogger(__name__)


class EventSource(Protocol):
    """What the feed reads: ledger.store.AppLedger with a read timeout longer than BLOCK_MS."""

    def events(self, after: str = "$", *, block_ms: int | None, count: int = 200) -> Sequence[EventLike]: ...

    def last_event_id(self) -> str: ...


class Feed:
    """The live feed. Call `start` once, `close` once, and `adopt` from any thread in between."""

    def __init__(
        self,
        source: EventSource,
        history: EventSource,
        *,
        heartbeat_s: float = 10.0,
        observe: Callable[[Any], None] = lambda event: None,
    ) -> None:
        """Create the feed without starting its threads.

        `source` is used only by the reader thread, and `history` mainly by the writer thread. `observe` is called once
        for each event, on the reader thread.
        """
        self.board_renderer = BoardRenderer(self._ring)
        self.endings = Endings()
        self._observe = observe
        self._source = source
        self._history = history
        self._heartbeat_s = heartbeat_s
        self._window = Window(WINDOW)
        self._closing = threading.Event()
        self._retry_s = math.inf
        self._newcomers: deque[Listener] = deque()
        self._listeners: dict[int, Listener] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._ringer = socket.socketpair()
        self._threads = [
            threading.Thread(target=restart_on_error(self._read, self._closing), name="feed reader", daemon=True),
            threading.Thread(target=restart_on_error(self._write, self._closing), name="feed writer", daemon=True),
        ]

    def start(self) -> None:
        """Start reading and sending."""
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        for thread in self._threads:
            thread.start()
        self.board_renderer.start()

    def close(self) -> None:
        """End every stream cleanly, and wait for the writer. The reader ends when its current wait is over."""
        self._closing.set()
        self.endings.close()
        self.board_renderer.close()
        self._ring()
        self._threads[1].join(2.0)
        while self._newcomers:
            self._newcomers.popleft().sock.close()

    @property
    def full(self) -> bool:
        """Whether the maximum number of listeners has been reached."""
        return len(self._listeners) + len(self._newcomers) >= LISTENERS_MAX

    def start_position(self, last_event_id: str) -> Position | None:
        """Return where a client starts: after the id that it names, or else at the newest event.

        None means an invalid id.
        """
        if last_event_id:
            return parse_position(last_event_id)
        newest = parse_position(self._history.last_event_id())
        return max(newest or Position(0, 0), self._window.end or Position(0, 0))

    def adopt(
        self,
        sock: socket.socket,
        position: Position,
        audience: Audience,
        *,
        board: bool = False,
        still: Still = always_valid,
    ) -> None:
        """Take over a connection after its response headers have been sent.

        With `board`, it also gets the board's snapshots.
        """
        if self._closing.is_set():
            return sock.close()
        sock.setblocking(False)
        self._newcomers.append(Listener(sock, position, audience, 0 if board else None, still))
        return self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full: the thread wakes anyway; closed: the thread has ended
            self._ringer.send(b"!")

    def _read(self) -> None:
        last_error = ""
        while not self._closing.is_set():
            try:
                end = self._window.end
                if end is None:
                    self._window.begin(parse_position(self._source.last_event_id()) or Position(0, 0))
                elif events := self._source.events(str(end), block_ms=BLOCK_MS, count=1000):
                    self._window.extend(events)
                    self.board_renderer.touch()
                    self._ring()
                    last_error = ""
                    for event in events:
                        self._observe(event)
                        if event.kind in ENDS:
                            self.endings.ended(event.run_id)
            except ReachqError as error:
                log.log(
                    logging.DEBUG if str(error) == last_error else logging.WARNING,
                    "event feed: %s",
                    last_error := str(error),
                )
                self._closing.wait(RETRY_S)

    def _write(self) -> None:
        beat = time.monotonic() + self._heartbeat_s
        more = False
        while not self._closing.is_set():
            wait_s = 0.0 if more else max(0.0, min(beat - time.monotonic(), self._retry_s))
            for key, mask in self._selector.select(wait_s):
                if key.data is None:
                    with contextlib.suppress(OSError):
                        self._bell.recv(65536)
                else:
                    self._attend(key.data, mask)
            self._welcome()
            if time.monotonic() >= beat:
                beat = time.monotonic() + self._heartbeat_s
                for listener in expired_listeners(self._listeners.values()):
                    self._drop(listener)
                self._beat()
            more = self._serve()
        for listener in list(self._listeners.values()):
            self._drop(listener)

    def _attend(self, listener: Listener, mask: int) -> None:
        """Handle a listener's socket if it can be written, or its client has gone. All other input is ignored."""
        if mask & selectors.EVENT_READ:
            try:
                gone = not listener.sock.recv(4096)
            except (BlockingIOError, InterruptedError):
                gone = False
            except OSError:
                gone = True
            if gone:
                return self._drop(listener)
        if mask & selectors.EVENT_WRITE:
            self._send(listener, b"")
        return None

    def _welcome(self) -> None:
        while self._newcomers:
            listener = self._newcomers[0]
            self._listeners[listener.sock.fileno()] = listener
            self._newcomers.popleft()  # removed only now, so that `full` counts it all the time
            self._count_lookers()
            self._selector.register(listener.sock, selectors.EVENT_READ, listener)

    def _count_lookers(self) -> None:
        self.board_renderer.set_viewers(
            sum(1 for listener in self._listeners.values() if listener.shown_number is not None)
        )

    def _beat(self) -> None:
        """Send a comment to each quiet listener, so that proxies keep the connection and dead clients are noticed."""
        now = time.monotonic()
        for listener in list(self._listeners.values()):
            if not listener.pending:
                self._send(listener, b": beat\n\n")
            elif now - listener.moved > STALLED_S:
                self._drop(listener)

    def _serve(self) -> bool:
        """Send one batch to each listener that is ready for one. Returns True if some could take another at once."""
        more = False
        self._retry_s = math.inf
        for listener in list(self._listeners.values()):
            if listener.pending:
                continue
            batch = self._window.after(listener.position, BATCH, listener.audience) or self._page(listener)
            if batch and batch.data:
                listener.position = batch.last
                self._send(listener, batch.data)
                more = True
            elif listener.shown_number is not None and listener.shown_number != self.board_renderer.snapshot.number:
                listener.shown_number, frame = self.board_renderer.snapshot
                self._send(listener, frame)
        return more

    def _page(self, listener: Listener) -> Batch | None:
        """Return a page of events older than the window, from Redis.

        Returns None if there are none, or if Redis is unreachable; in that case it is tried again soon.
        """
        try:
            events = self._history.events(str(listener.position), block_ms=None, count=BATCH)
        except ReachqError as error:
            log.warning("event feed: %s", error)
            self._retry_s = RETRY_S
            return None
        if not events:
            return None  # the stream has been trimmed up to the window or beyond
        data = b"".join(render(event).bytes_for(listener.audience) for event in events)
        return Batch(data, position_of(events[-1]))

    def _send(self, listener: Listener, data: bytes) -> None:
        if not listener.send(data):
            return self._drop(listener)
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if listener.pending else 0)
        if self._selector.get_key(listener.sock).events != mask:
            self._selector.modify(listener.sock, mask, listener)
        return None

    def _drop(self, listener: Listener) -> None:
        self._listeners.pop(listener.sock.fileno(), None)
        self._count_lookers()
        self._selector.unregister(listener.sock)
        with contextlib.suppress(OSError):
            listener.sock.shutdown(socket.SHUT_RDWR)
        listener.sock.close()
