"""The order in which waiting runs start: first come, first served, with a bounded share for each user. Pure functions.

The *line* of a mode contains its runs in the order in which they start. It contains up to `line_max` runs of each user;
the user's further runs wait in the user's *surplus*. Whenever a waiting run of the user leaves the line, the oldest run
of the surplus moves to the end of the line, so no other run of the same mode passes a run in the line. If k runs of a
user wait when the user submits another one, each other user can pass it with at most line_max * (k // line_max + 1)
runs, however many they submit. For the only user of the system, the order is plain first come, first served. The
scripts `submit`, `promote`, `cancel` and `reap` keep this order in Redis.
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
"""Number of runs that a user may have in the line beyond `line_max`, because lost attempts keep their place."""


def beyond_line(line_max: int) -> str:
    """Return why a run in the surplus waits.

    The text has at most 64 bytes, because Redis needs twice the memory for a record with a longer field.
    """
    return f"{line_max} runs of this user are ahead; other users' runs go first"


def upcoming(
    line: Iterable[tuple[Owner, Run]], surplus: Mapping[Owner, Iterable[Run]], line_max: int
) -> Iterator[tuple[Owner, Run]]:
    """Yield all waiting runs in the order in which they start if no more are submitted.

    An owner is a user and a mode.
    """
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
