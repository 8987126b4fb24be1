"""The order in which waiting runs start: first come, first served, with a bounded share for each user. Pure.

The line of a mode holds its runs in the order in which they start. It holds up to `line_max` runs of each user; the
user's further runs wait in the user's surplus. Whenever a waiting run of the user leaves the line, the oldest run of
the surplus moves to the end of the line. So no other run of its mode passes a run in the line. A run that is submitted
while k runs of its user wait is passed by at most line_max * (k // line_max + 1) runs of each other user, however many
they submit. A user who is alone sees plain first come, first served. The scripts `submit`, `promote`, `cancel` and
`reap` keep this order in Redis.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from dscp.lanes import LANES

Run = TypeVar("Run")
Owner = TypeVar("Owner", bound=Hashable)

BEYOND_LINE = "behind-own"
"""Wait code of a run in the surplus."""
COMING_BACK = len(LANES)
"""Runs of one user that may be in the line in addition to `line_max`: those that lost an attempt keep their place."""


def beyond_line(line_max: int) -> str:
    """Why a run in the surplus waits. At most 64 bytes: with a longer field Redis needs twice the memory for the
    record.
    """
    return f"{line_max} runs of this user are ahead; other users' runs go first"


def upcoming(
    line: Iterable[tuple[Owner, Run]], surplus: Mapping[Owner, Iterable[Run]], line_max: int
) -> Iterator[tuple[Owner, Run]]:
    """All waiting runs in the order in which they start if no more are submitted; an owner is a user and a mode."""
    queue = deque(line)
    in_line = Counter(owner for owner, _ in queue)
    beyond = {owner: iter(runs) for owner, runs in surplus.items()}
    while queue:
        owner, run = queue.popleft()
        yield owner, run
        in_line[owner] -= 1
        for up in islice(beyond.get(owner, ()), max(0, line_max - in_line[owner])):
            queue.append((owner, up))
            in_line[owner] += 1
