"""One client of the live feed."""

from __future__ import annotations

import socket
import time

from app.live.window import Audience, Position


class Listener:
    """One client: its socket, where it stands in the stream, and what its socket has not taken yet.

    `painting`: the number of the last picture of the board it was sent; None when it does not look at the board.
    """

    def __init__(self, sock: socket.socket, position: Position, audience: Audience, painting: int | None) -> None:
        self.sock = sock
        self.position = position
        self.audience = audience
        self.painting = painting
        self.pending = b""
        self.moved = time.monotonic()

    def send(self, data: bytes) -> bool:
        """Send what the socket takes, keep the rest; False when the client is gone."""
        self.pending += data
        try:
            taken = self.sock.send(self.pending)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self.pending = self.pending[taken:]
        self.moved = time.monotonic()
        return True
