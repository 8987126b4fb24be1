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
"""Function that returns whether a client's identity is still as valid as at the start of its stream.

It may raise ledger.errors.
"""


def always_valid() -> bool:
    """Always return True, so that the stream never ends."""
    return True


class Listener:
    """One client: its socket, its position in the stream, and its unsent bytes.

    `shown_number` is the number of the last snapshot of the board that was sent to the client, or None if the client
    does not show the board. `still` is called with every heartbeat, and the stream ends if it returns False.
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
        """Send as much as the socket accepts, and keep the rest. Returns False if the client is gone."""
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
    """Return the listeners that must be disconnected.

    Since the stream began, their user has signed out, was removed, or got another role. The check stops while Redis is
    unreachable, because then there are no new events to send either.
    """
    expired = []
    for listener in listeners:
        try:
            if not listener.still():
                expired.append(listener)
        except StoreUnavailable as error:
            log.warning("event feed: the listeners' sessions cannot be checked: %s", error)
            break
        except Exception:  # one damaged record must not stop the check of the others
            log.exception("event feed: the session of a listener cannot be checked")
            expired.append(listener)
    return expired
