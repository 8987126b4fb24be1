"""The web server's connections: one thread waits for all clients, so that a slow client never blocks a pool thread.

cheroot itself reads a request in a thread of its pool, and waits there for a client that sends slowly or does not read.
Here, one thread with a selector reads each request completely into memory before a pool thread gets it (a head has at
most 32 KiB and a body 72 KiB; a batch or an upload, of which few are received at once, may be larger). The same thread sends
what a client does not accept at once, so a pool thread only computes.

    READING ─ whole request ─▶ WORKING ─ answered ─▶ SENDING ─ all sent ─▶ READING, or LINGERING and the end

Each stage except WORKING has a deadline: PATIENCE_S, plus one second for each RATE bytes that were transferred. A
client that has sent only part of a request by then gets 408.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from app.http.connection import Connection, Incoming, Large, Stage, client_of
from app.http.strict_json import BATCH_MAX, BODY_MAX, UPLOAD_MAX
from app.http.whole_request import request_size

LINGER_BYTES = 64 * 1024 * 1024
CONNECTIONS_MAX = 1000
ADDRESS_MAX = 200
"""Maximum number of connections of one client: one IPv4 address, or one IPv6 /64.

app.live.feed counts event streams separately.
"""
_NETWORK = rb"POST (?:/networks/[a-z0-9-]{1,31})?"
LARGE = (
    Large(re.compile(_NETWORK + rb"/(?:api/)?snapshots(?:\?[^ ]*)? HTTP/"), UPLOAD_MAX, at_once=4, of_one=2),
    Large(
        re.compile(_NETWORK + rb"/(?:api/batches|(?:api/)?changes|what-if|many)(?:\?[^ ]*)? HTTP/"),
        BATCH_MAX,
        at_once=16,
        of_one=8,
    ),
)
"""The requests that may have a large body: uploads of snapshots, and lists of questions."""
UNSENT_MAX = 64 * 1024 * 1024
"""Maximum number of bytes of unsent responses, summed over all connections."""
ACCEPTED_TOGETHER = 64
CHUNK = 65536
_ENVELOPE = 8192
"""What a body may have above the application's limit, which applies later and explains itself."""
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connections:
    """Replaces cheroot's ConnectionManager, with the same interface: run, stop, close, put."""

    can_add_keepalive_connection = True

    def __init__(self, server: Any, unlimited: Callable[[str], bool]) -> None:
        """`unlimited` returns whether an address may have any number of connections (trusted proxies)."""
        self._server, self._unlimited = server, unlimited
        self._all: dict[Connection, str] = {}  # counted per client; the longest waiting first
        self._counts = Counter[str]()
        self._returned: deque[Connection] = deque()
        self._running = self._stopping = self._closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        server.socket.setblocking(False)
        self._selector.register(server.socket, selectors.EVENT_READ)

    def run(self, interval_s: float) -> None:
        """Serve all connections until `stop`, and check deadlines every `interval_s`."""
        self._running = True
        looked = time.monotonic()
        try:
            while not self._stopping:
                for key, _ in self._selector.select(interval_s):
                    if key.fileobj is self._server.socket:
                        self._accept()
                    elif key.fileobj == self._wake:
                        os.eventfd_read(self._wake)
                    elif key.data in self._all:  # not closed since select()
                        self._guarded(self._step, key.data)
                while self._returned:
                    self._guarded(self._take_back, self._returned.popleft())
                if time.monotonic() - looked >= interval_s:
                    looked = time.monotonic()
                    self._end_the_slow(looked)
        finally:
            self._running = False

    def stop(self) -> None:
        """End `run`, and wait until it has ended."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        while self._running:
            time.sleep(0.01)

    def close(self) -> None:
        """Close all connections except those in a pool thread, which close after their response."""
        self._closed = True
        for connection in list(self._all):
            if connection.stage is not Stage.WORKING or connection in self._returned:
                self._finish(connection)
        self._selector.close()
        os.close(self._wake)

    def put(self, connection: Connection) -> None:
        """Take a connection back from a pool thread. It is closed if `ending` is set."""
        if self._closed:
            self._finish(connection)
            return
        self._returned.append(connection)
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        try:
            step(connection)
        except OSError:  # the client is gone
            self._drop(connection)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_TOGETHER):
            try:
                sock, address = self._server.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor is left, or the client is already gone
                self._server.error_log(f"a connection could not be accepted: {error}", level=30)
                self._make_room(lambda client: True)
                return
            sock.setblocking(False)
            connection = self._server.ConnectionClass(self._server, sock, address[0])
            connection.remote_port = address[1]
            self._admit(connection, client_of(address[0]))

    def _admit(self, connection: Connection, client: str) -> None:
        """Add a connection. At the limit, close the one that has waited longest for its client."""
        limited = not self._unlimited(connection.remote_addr)
        if (limited and self._counts[client] >= ADDRESS_MAX and not self._make_room(client.__eq__)) or (
            len(self._all) >= CONNECTIONS_MAX and not self._make_room(lambda _: True)
        ):
            with contextlib.suppress(OSError):
                connection.socket.send(BUSY)
            connection.socket.close()
            return
        self._all[connection] = client
        self._counts[client] += 1
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _make_room(self, of: Callable[[str], bool]) -> bool:
        for connection, client in self._all.items():
            if connection.stage is not Stage.WORKING and of(client):
                self._time_out(connection)
                return True
        return False

    def _step(self, connection: Connection) -> None:
        """Handle a socket that can be read or written."""
        if connection.stage is Stage.SENDING:
            connection.flush()
            if not connection.unsent:
                self._sent(connection)
            return
        try:
            data = connection.socket.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._drop(connection)
        elif connection.stage is Stage.READING:
            if not connection.received:
                connection.enter(Stage.READING)  # its time limit starts with its first byte
            connection.received += data
            connection.moved += len(data)
            self._read(connection)
        else:
            connection.moved += len(data)
            if connection.moved > LINGER_BYTES:
                self._drop(connection)

    def _read(self, connection: Connection) -> None:
        """Check what was received, and pass the request to the pool if it is complete."""
        if not connection.large and (kind := next((one for one in LARGE if one.line.match(connection.received)), None)):
            if not self._may_be_large(connection, kind):
                connection.socket.send(BUSY)
                connection.received.clear()
                connection.ending = True
                self._sent(connection)
                return
            connection.large = kind
        body_max = connection.large.body_max if connection.large else BODY_MAX
        extent = request_size(connection.received, self._server.max_request_header_size, body_max + _ENVELOPE)
        if extent.size is None:
            if extent.expects and not connection.promised:
                connection.promised = True
                connection.socket.send(CONTINUE)
            return
        self._selector.unregister(connection.socket)
        connection.promised = False
        connection.rfile = Incoming(connection.received[: extent.size])
        del connection.received[: extent.size]
        connection.enter(Stage.WORKING)
        self._server.process_conn(connection)

    def _may_be_large(self, connection: Connection, kind: Large) -> bool:
        """Whether a further request of this kind may begin, counting those that are not answered yet."""
        clients = [client for one, client in self._all.items() if one.large is kind]
        own = clients.count(self._all[connection])
        return len(clients) < kind.at_once and (own < kind.of_one or self._unlimited(connection.remote_addr))

    def _take_back(self, connection: Connection) -> None:
        if connection.adopted:  # the taker has a copy of the socket
            self._forget(connection)
            connection.socket.close()
            return
        connection.large = None
        self._all[connection] = self._all.pop(connection)  # it has now waited the shortest time
        connection.enter(Stage.SENDING)
        self._selector.register(connection.socket, selectors.EVENT_WRITE, connection)
        if not connection.unsent:
            self._sent(connection)

    def _sent(self, connection: Connection) -> None:
        """Wait for the next request, or for the client to close, after the response was sent."""
        self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
        if connection.ending:
            # Closing with unread bytes resets the connection, and the client may lose the answer.
            connection.enter(Stage.LINGERING)
            connection.socket.shutdown(socket.SHUT_WR)
            return
        connection.enter(Stage.READING)
        if connection.received:
            self._read(connection)

    def _end_the_slow(self, now: float) -> None:
        for connection in list(self._all):
            if connection.stage is not Stage.WORKING and connection.deadline < now:
                self._time_out(connection)
        unsent = {one: len(one.unsent) for one in self._all if one.stage is Stage.SENDING}
        while sum(unsent.values()) > UNSENT_MAX:
            largest = max(unsent, key=unsent.__getitem__)
            self._drop(largest)
            del unsent[largest]

    def _time_out(self, connection: Connection) -> None:
        """Close an overdue connection, with status 408 if part of a request has arrived."""
        if connection.stage is Stage.READING and connection.received:
            request = connection.RequestHandlerClass(self._server, connection)
            request.simple_response("408 Request Timeout", "The rest of the request did not come in time.")
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection in self._all:
            self._forget(connection)
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)
        connection.socket.close()

    def _forget(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        client = self._all.pop(connection)
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]

    def _finish(self, connection: Connection) -> None:
        """Close a connection at shutdown. Sending the rest of the response may take one second."""
        if not connection.adopted:
            with contextlib.suppress(OSError):
                connection.socket.settimeout(1.0)
                connection.socket.sendall(connection.unsent)
                connection.socket.shutdown(socket.SHUT_WR)
        connection.socket.close()
