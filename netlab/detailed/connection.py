"""The real connection of one service: a listener in the destination host, a client in the source host, and the outcome.

With tcp, the listener accepts and sends a banner. With udp, it echoes. With icmp, the destination's kernel replies.
Nothing here blocks: `poll` takes every step that is possible now, so one thread handles all services of a run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from ipaddress import IPv4Address

from netlab.errors import NetlabError
from netlab.kernel import namespaces
from netlab.live.hosts import Host
from netlab.packets.probe import PROTOCOLS
from netlab.results.document import Outcome

BANNER = b"reachq\n"
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET}
_UNREACHABLE = {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EACCES,
    errno.EPERM,
    errno.ENONET,
    errno.EHOSTDOWN,
    errno.ENOPROTOOPT,  # protocol unreachable
    errno.EINVAL,  # a blackhole route on the sender itself
}
_IP_RECVERR, _MSG_ERRQUEUE, _FROM_ICMP = 11, 0x2000, 2
_EXTENDED_ERROR = struct.Struct("=IBBBBII4x4s")
"""struct sock_extended_err in linux/errqueue.h, followed by the sockaddr_in of the sender of the ICMP message."""


class ConnectionSetupError(NetlabError):
    """The request cannot be sent, or no socket can listen for it: an address or port is in use or not usable."""


class Listeners:
    """The listeners of one run. There is one for each address, protocol and port at which a service ends."""

    def __init__(self) -> None:
        self._sockets: dict[tuple[IPv4Address, str, int], socket.socket] = {}
        self._accepted: list[socket.socket] = []

    def open(self, host: Host, protocol: str, port: int) -> None:
        """Listen inside the destination host. For icmp nothing is opened. Raises ConnectionSetupError."""
        key = (host.address, protocol, port)
        if protocol == "icmp" or key in self._sockets:
            return
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with namespaces.entered(host.namespace):
            listener = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._sockets[key] = listener
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((str(host.address), port))
            if protocol == "tcp":
                listener.listen(64)
        except OSError as bad:
            raise ConnectionSetupError(
                f"nothing can listen on {host.address}, {protocol} {port}: {bad.strerror}"
            ) from bad

    def poll(self) -> None:
        """Accept every new tcp connection and send the banner, and echo every udp packet."""
        for (_, protocol, _), listener in self._sockets.items():
            with contextlib.suppress(OSError):
                while protocol == "tcp":
                    accepted, _ = listener.accept()
                    accepted.setblocking(False)
                    self._accepted.append(accepted)
                    accepted.send(BANNER)
                while protocol == "udp":
                    data, sender = listener.recvfrom(2048)
                    listener.sendto(data, sender)

    def close(self) -> None:
        """Close every listener and every accepted connection."""
        for sock in (*self._accepted, *self._sockets.values()):
            _reset(sock)
        self._accepted.clear()
        self._sockets.clear()


class ClientConnection:
    """The client side of one service. `outcome` is None until the test has ended. Times are in seconds."""

    def __init__(self, protocol: str, port: int | None, source_port: int) -> None:
        self.protocol = protocol
        self.port = port or 0
        self.source_port = source_port
        self.outcome: Outcome | None = None
        self.latency_s: float | None = None
        self.refuser: IPv4Address | None = None
        """Sender of the ICMP message that refused the connection; None if there was no such message."""
        self._client: socket.socket | None = None
        self._token = os.urandom(8)
        self.opened = False
        """Whether the TCP connection is established, with or without a banner."""
        self._began = 0.0

    def begin(self, host: Host, source: IPv4Address, destination: IPv4Address) -> None:
        """Send the request from the source host. Raises ConnectionSetupError."""
        kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "icmp": socket.SOCK_RAW}
        with namespaces.entered(host.namespace):
            client = socket.socket(
                socket.AF_INET,
                kinds[self.protocol] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
                PROTOCOLS[self.protocol],
            )
        self._client = client
        self._began = time.perf_counter()
        try:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Otherwise udp and icmp sockets do not get a REJECT's ICMP error.
            client.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            client.bind((str(source), 0 if self.protocol == "icmp" else self.source_port))
            client.connect((str(destination), 0 if self.protocol == "icmp" else self.port))
            if self.protocol == "udp":
                client.send(self._token)
            elif self.protocol == "icmp":
                client.send(_echo(self.source_port, self._token))
        except BlockingIOError:
            pass  # the connection is being established
        except OSError as bad:
            self._failed(bad)
        self.poll()

    def poll(self) -> None:
        """Take every step that is possible without waiting. Raises ConnectionSetupError."""
        if self.outcome is None and self._client is not None:
            try:
                self._listen_for_icmp(self._client)
                self._look(self._client)
            except BlockingIOError:
                pass
            except OSError as bad:
                self._failed(bad)

    def _look(self, client: socket.socket) -> None:
        """Read from the client's socket. The test is successful when the banner, echo or echo reply has arrived."""
        if self.protocol == "tcp" and not self.opened:
            error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            try:
                client.getpeername()
            except OSError:
                return  # not connected yet
            self.opened = True
            self.latency_s = time.perf_counter() - self._began
        data = client.recv(2048)
        expected = {"tcp": BANNER, "udp": self._token, "icmp": self._token}[self.protocol]
        if self.protocol == "icmp" and (len(data) < 28 or data[20] != 0):
            return  # our own request, seen by a raw socket on the same host, or an error that is read from the error queue
        if data.endswith(expected):
            self.latency_s = self.latency_s or time.perf_counter() - self._began
            self.end(Outcome.CONNECTED)

    def _listen_for_icmp(self, client: socket.socket) -> None:
        """Raise the OSError that an ICMP message has reported, if one has arrived.

        The error must be read explicitly. If the message arrives while connect() has locked the socket, as it does
        here, the kernel reports the error otherwise only when it repeats the SYN a second later.
        """
        try:
            _, ancillary, _, _ = client.recvmsg(512, 512, _MSG_ERRQUEUE)
        except OSError as bad:
            if bad.errno == errno.EAGAIN:
                return
            raise
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_RECVERR and len(data) >= _EXTENDED_ERROR.size:
                number, origin, *_, sender = _EXTENDED_ERROR.unpack_from(data)
                if origin == _FROM_ICMP:
                    self.refuser = IPv4Address(sender)
                if number in _REFUSED | _UNREACHABLE:
                    raise OSError(number, os.strerror(number))

    def _failed(self, bad: OSError) -> None:
        if bad.errno in _REFUSED:
            self.end(Outcome.REFUSED)
        elif bad.errno in _UNREACHABLE:
            self.end(Outcome.UNREACHABLE)
        elif bad.errno == errno.ETIMEDOUT:
            self.end(Outcome.TIMEOUT)
        else:
            port = "" if self.protocol == "icmp" else f" {self.port} from port {self.source_port}"
            raise ConnectionSetupError(f"{self.protocol}{port} cannot be sent: {bad.strerror}") from bad

    def end(self, outcome: Outcome) -> None:
        """Set the outcome, which ends the test."""
        self.outcome = outcome
        if outcome is not Outcome.CONNECTED:
            self.latency_s = None

    def send_probe_byte(self) -> None:
        """Send data over an established connection that has become silent, so that the trace shows what blocks it."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.send(b"\n")

    def give_up(self) -> None:
        """End the test as a timeout, unless it has ended already."""
        if self.outcome is None:
            self.end(Outcome.TIMEOUT)

    def lose_reply(self) -> None:
        """Change the test to a timeout, because the reply that it received on the bench would have been lost."""
        self.outcome, self.latency_s, self.refuser = Outcome.TIMEOUT, None, None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            _reset(self._client)


def _reset(sock: socket.socket) -> None:
    """Close the socket with a reset. Unlike a normal close, it leaves no connection state behind."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _echo(identifier: int, token: bytes) -> bytes:
    """Build an ICMP echo request (RFC 792)."""
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, 1)
    total = sum(struct.unpack(f"!{(len(head) + len(token)) // 2}H", head + token))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, identifier, 1) + token
