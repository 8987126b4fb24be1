"""A proxy between reachq and its Redis that can lose traffic silently, as a firewall or a dead host does: no FIN, no RST."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_CHUNK = 1 << 16


class _Link:
    """One client's connection and its connection to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.sent = b""
        self.swallowed = False
        self.deaf = False

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Proxy:
    """Listens on a TCP port of loopback (`url`) and forwards to the unix socket of a server; a context manager.

    `swallow(chosen)` loses from now on everything on the connections that `chosen` picks by what the client has sent so
    far; both ends still believe that these are open. `cut()` does so with all, new ones included, until `mend()`.
    `lose_reply_to(text)` breaks, once, the connection on which a request with this text is answered, before the answer.
    """

    def __init__(self, server_socket: Path) -> None:
        self._server_socket = server_socket
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._links: list[_Link] = []
        self._cut = False
        self._losing = b""
        self.lost = threading.Event()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._forward, daemon=True)

    def swallow(self, chosen: Callable[[bytes], bool]) -> int:
        """Lose all further traffic of the chosen connections; returns their number."""
        with self._lock:
            links = [link for link in self._links if not link.swallowed and chosen(link.sent)]
            for link in links:
                link.swallowed = True
            return len(links)

    def lose_reply_to(self, text: str) -> None:
        """Lose a reply: the server carries the request out, and the client does not hear of it; `lost` is set then."""
        self._losing = text.encode()

    def count(self, chosen: Callable[[bytes], bool]) -> int:
        """Number of working connections that `chosen` picks."""
        with self._lock:
            return sum(not link.swallowed and chosen(link.sent) for link in self._links)

    def move_to(self, server_socket: Path) -> None:
        """Connect to another server from now on; the connections to the first one break."""
        self._server_socket = server_socket
        with self._lock:
            for link in list(self._links):
                self._forget(link)

    def cut(self) -> None:
        """Lose everything, also on new connections."""
        self._cut = True
        self.swallow(lambda _: True)

    def mend(self) -> None:
        """Forward on new connections again; lost ones stay lost."""
        self._cut = False

    def __enter__(self) -> Proxy:
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._selector.close()
        self._listener.close()
        for link in self._links:
            link.close()

    def _forward(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                if key.data is None:
                    self._accept()
                else:
                    self._pass_on(key.data, key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self._server_socket))
        except OSError:
            client.close()
            server.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, server)
        with self._lock:
            link.swallowed = self._cut
            self._links.append(link)
        self._selector.register(client, selectors.EVENT_READ, link)
        self._selector.register(server, selectors.EVENT_READ, link)

    def _pass_on(self, link: _Link, sender: socket.socket) -> None:
        try:
            data = sender.recv(_CHUNK)
        except OSError:
            data = b""
        with self._lock:
            if (link.deaf and sender is link.server) or (not data and not link.swallowed):
                self._forget(link)
                if link.deaf:
                    self.lost.set()
            elif not data:
                self._selector.unregister(sender)  # the other end is not notified
            elif not link.swallowed:
                if sender is link.client:
                    link.sent = (link.sent + data)[-4096:]
                    if self._losing and self._losing in data:
                        link.deaf, self._losing = True, b""
                with contextlib.suppress(OSError):
                    (link.server if sender is link.client else link.client).sendall(data)

    def _forget(self, link: _Link) -> None:
        for sock in (link.client, link.server):
            with contextlib.suppress(KeyError):
                self._selector.unregister(sock)
        link.close()
        self._links.remove(link)


def blocks_for_runs(sent: bytes) -> bool:
    """Whether a connection is the one a worker waits on for its next run."""
    return b"BLMOVE" in sent
