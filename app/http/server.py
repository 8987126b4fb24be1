"""The production WSGI server: cheroot with one process and a few threads. The event feed takes over its connections.

Additions to cheroot:

- a thread gets a request only when it is complete, and does not wait until the client has read the response
  (app.http.connections);
- a WSGI application may pass its connection on (`ADOPT` in the environ), so that a stream uses no thread;
- errors of the protocol itself are also problem documents;
- headers with an underscore are dropped, because WSGI cannot distinguish them from those with a dash, and repeated
  headers are joined;
- a request that a proxy in front of the server might parse differently (where its body ends, how its headers are named)
  is rejected.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import Callable
from typing import Any

from cheroot import server as http
from cheroot import wsgi

from app.http import problems
from app.http.connection import Connection
from app.http.connections import Connections
from app.http.strict_json import UPLOAD_MAX
from app.http.whole_request import CHUNKED_MAX

ADOPT = "reachq.adopt"
"""Environ key of a function that hands the connection over.

Its argument is a callback, which receives the socket after the response has been sent.
"""
THREADS = 24
HEADERS_MAX = 32 * 1024
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Syntax of a header name (RFC 9110, 5.6.2). In particular, a space before the colon is not allowed."""
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
Taker = Callable[[socket.socket], None]
log = logging.getLogger(__name__)


class Headers(dict[bytes, bytes]):
    """Headers of a request. A repeated header is joined (RFC 9110, 5.3).

    For most headers, cheroot would keep only the last one, which may be one that the client has added itself.
    """

    def __setitem__(self, name: bytes, value: bytes) -> None:
        joined: list[bytes] = http.comma_separated_headers  # type: ignore[attr-defined]
        if name in self and name not in joined:
            value = self[name] + (b"; " if name == b"Cookie" else b", ") + value
        super().__setitem__(name, value)


class HeadLines:
    """The lines of a head.

    Rejects lines that a proxy may parse differently from cheroot (RFC 9110, 5.5; RFC 9112, 5.2).
    """

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile

    def readline(self) -> bytes:
        """Return the next line.

        Raises ValueError if it continues the previous header, or contains a control character.
        """
        line: bytes = self._rfile.readline()
        if line[:1] in (b" ", b"\t") or _CONTROL.search(line.removesuffix(b"\r\n")):
            raise ValueError("A header is folded, or contains a control character.")
        return line


class HeaderReader(http.HeaderReader):
    """Drops headers with an underscore. The reader that cheroot 11.1.2 has for this fails on every header."""

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = super().__call__(HeadLines(rfile), Headers())
        if hdict is None:
            return headers
        hdict.update(headers)
        return hdict

    def _transform_key(self, key_name: bytes) -> bytes:
        if not _NAME.fullmatch(key_name):
            raise ValueError("A header name contains a space or another invalid character.")
        return key_name.title()

    def _allow_header(self, key_name: bytes) -> bool:
        return b"_" not in key_name


class Request(http.HTTPRequest):
    """One request. `taker`, if set, receives the connection after the response."""

    header_reader = HeaderReader()
    taker: Taker | None = None

    def read_request_headers(self) -> bool:
        """Read the headers, and reject a request with an ambiguous end or host (RFC 9112, 3.2 and 6.3)."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if why := self._ambiguity():
            self.simple_response("400 Bad Request", why)
            return False
        if self.chunked_read and len(self.conn.rfile.getvalue()) - self.conn.rfile.tell() > CHUNKED_MAX:
            self.simple_response("413 Request Entity Too Large", problems.DETAIL_OF[413])
            return False
        if self.chunked_read:  # chunks may be followed by trailers, which cheroot would parse as the next request
            self.close_connection = True
        return True

    def _ambiguity(self) -> str:
        length, coding = (self.inheaders.get(name) for name in (b"Content-Length", b"Transfer-Encoding"))
        host = self.inheaders.get(b"Host")
        if length is not None and not re.fullmatch(rb"[0-9]{1,18}", length):
            return "Content-Length is not a valid number of bytes."
        if coding is not None and (length is not None or coding.lower() != b"chunked" or not self.chunked_read):
            return "Transfer-Encoding must be chunked, once, without Content-Length, in HTTP/1.1."
        if b"," in (host or b"") or (host is None and self.response_protocol == "HTTP/1.1"):
            return "A request must have exactly one Host header."
        return ""

    def adopt(self, taker: Taker) -> None:
        """Pass the connection to `taker` after the response. The body then ends only when the connection does."""
        self.taker = taker
        self.close_connection = True
        self.response_protocol = "HTTP/1.0"  # for cheroot: no chunked coding; the status line says 1.1
        self.outheaders.append((b"Connection", b"close"))

    def simple_response(self, status: str, msg: str = "") -> None:
        """Answer a request that does not reach the application with a problem document, and close the connection."""
        number = int(status[:3])
        self.close_connection = True
        body = problems.document(number, problems.code_of(number), msg or status[4:], "")
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {problems.MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            self.conn.wfile.write(head.encode("latin-1") + body)


class RequestConnection(Connection):
    """A connection that uses our Request class."""

    RequestHandlerClass = Request


class Gateway(wsgi.Gateway_10):
    """Adapter between cheroot's request and the application."""

    def __init__(self, req: Request) -> None:
        super().__init__(req)
        self.env[ADOPT] = req.adopt

    def respond(self) -> None:
        """Respond, then pass the connection to its taker if the application named one."""
        super().respond()
        connection = self.req.conn
        if self.req.taker:
            connection.adopted = True
            self.req.taker(connection.socket.dup())


class Server(wsgi.Server):
    """cheroot's server with the changes of this module."""

    ConnectionClass = RequestConnection
    expiration_interval = 0.2
    max_request_header_size = HEADERS_MAX
    max_request_body_size = UPLOAD_MAX + 8192  # app.http.connections and the application apply lower limits

    def __init__(
        self,
        host: str,
        port: int,
        application: Callable[..., Any],
        unlimited: Callable[[str], bool] = lambda address: False,
    ) -> None:
        """`unlimited` returns whether an address may have any number of connections: those of trusted proxies."""
        super().__init__(
            (host, port),
            application,
            numthreads=THREADS,
            max=THREADS,
            server_name="reachq",
            request_queue_size=512,
            shutdown_timeout=2,
        )
        self.gateway = Gateway
        self._unlimited = unlimited

    def prepare(self) -> None:
        """Start listening. Raises OSError if the address is not available."""
        super().prepare()
        self._connections.close()  # cheroot's own error
        self._connections: Connections = Connections(self, self._unlimited)

    def put_back(self, connection: Connection) -> None:
        """Take a connection back from a thread of the pool."""
        self._connections.put(connection)

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Write cheroot's messages to our log."""
        log.log(level, "%s", msg, exc_info=traceback)

    @property
    def url(self) -> str:
        """The address of the server, with the actual port."""
        host, port = self.bind_addr[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
