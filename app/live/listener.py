"""One client of the live feed."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable

from app.live.window import Audience, Position
from ledger.errors import StoreUnavailable

log = logging.getLogger(__name__)


Still = Callable[[], bool]
"""Whether somebody is who they were when their stream began; may raise ledger.errors."""


def always_valid() -> bool:
    """Nobody is to be shut out."""
    return True


class Listener:
    """One client: its socket, where it stands in the stream, and what its socket has not taken yet.

    `shown_number`: the number of the last picture of the board it was sent; None when it does not look at the board.
    `still` is asked with every heartbeat; once it says no, the stream ends.
    """

    def __init__(
        self,
        sock: socket.socket,
        position: Position,
        audience: Audience,
        shown_number: int | None,
        still: Still = always_valid,
    ) -> None:
        self.sock = sock
        self.position = position
        self.audience = audience
        self.shown_number = shown_number
        self.still = still
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


def expired_listeners(listeners: Iterable[Listener]) -> list[Listener]:
    """Those who signed out, were removed or have another role since their stream began.

    While Redis cannot be asked nobody is: it tells them nothing new either.
    """
    found = []
    for listener in listeners:
        try:
            if not listener.still():
                found.append(listener)
        except StoreUnavailable as error:
            log.warning("event feed: who still listens cannot be asked: %s", error)
            break
        except Exception:  # a damaged record of one must not keep the others from being asked
            log.exception("event feed: a listener cannot be asked after")
            found.append(listener)
    return found
