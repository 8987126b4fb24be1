"""Many listeners on the live feed at once, read by one thread, with everything that each received."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

from tests.support.patience import patience
from tests.support.web import TOKEN, Web


class Ear:
    """One listener: the ids of its events in the order of arrival, its snapshots of the board, total bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ids: list[str] = []
        self.boards = 0
        self.bytes = 0
        self.largest = 0
        self.first_board = b""
        self.greeted = False
        self._rest = b""

    def hear(self, data: bytes) -> None:
        """Add data from the socket."""
        self.bytes += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for block in whole:
            if block.startswith(b"id: "):
                self.ids.append(block[4 : block.index(b"\n")].decode())
            elif block.startswith(b"event: board\ndata: "):
                self.boards += 1
                self.first_board = self.first_board or block
                self.largest = max(self.largest, len(block))
            elif block.startswith(b"HTTP/") or b"\r\n\r\n" in block:
                assert block.startswith(b"HTTP/1.1 200"), block
                self.greeted = True


class Crowd:
    """Reads all its ears in one thread until closed; use as a context manager."""

    def __init__(self, web: Web, path: str = "/api/events?with=board") -> None:
        self._web = web
        self._path = path
        self._selector = selectors.DefaultSelector()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def open(self, after: str, token: str = TOKEN, *, read: bool = True, buffer: int = 0) -> Ear:
        """A listener for everything after the event `after`; with `read=False` nothing is ever read."""
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", self._web.port))
        lines = (f"GET {self._path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Last-Event-ID: {after}")
        sock.sendall("\r\n".join((*lines, "", "")).encode())
        ear = Ear(sock)
        if read:
            self._selector.register(sock, selectors.EVENT_READ, ear)
        return ear

    def cut(self, ear: Ear) -> None:
        """Break the connection: data on the way is lost."""
        self._selector.unregister(ear.sock)
        ear.sock.close()

    def _read(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(0.1):
                with contextlib.suppress(OSError):
                    key.data.hear(key.fileobj.recv(262_144))  # type: ignore[union-attr]

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(patience(5))
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
