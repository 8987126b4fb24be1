"""Decides how many questions of a bulk run are walked at a time. Pure.

A slice is the part of a bulk run that is walked in one pass. Nothing can interrupt a pass, so an interactive question
that arrives during it waits for its end. A long slice therefore costs an interactive user time, and a short one costs
the bulk run speed, because each pass has a fixed cost: every router on a path is read, and its sets are emptied.
"""

from __future__ import annotations

from collections.abc import Sequence

from netlab.quick.flow import Question

SHORT_S = 0.002
"""Aim for the duration of a slice while interactive runs use the bench."""
LONG_S = 0.025
"""Aim for the duration of a slice otherwise. The first interactive question after a pause waits at most about this long."""
RECENT_S = 1.0
"""Interactive runs use the bench for this long after the last answer to one of them."""
MOST_QUESTIONS = 128
MOST_SERVICES = 640
"""Limits of a slice. A set of a router has room for 4,096 probes, and a service can have several at its entry."""
FIRST_ESTIMATE_S = 0.0002
"""Estimate before the first slice, for each question and each service: about twice what a machine of 2020 takes."""
NEWEST_WEIGHT = 0.4


def longest_slice(since_interactive_s: float) -> float:
    """Return the aim for the duration of the next slice. The argument is the time since the last interactive answer."""
    return SHORT_S if since_interactive_s < RECENT_S else LONG_S


class Pace:
    """Estimates from the last slices of a bulk run how long its next questions take.

    A question costs one unit for itself, and one for each of its services.
    """

    def __init__(self) -> None:
        self._unit_s = FIRST_ESTIMATE_S

    def measured(self, walked: Sequence[Question], took_s: float) -> None:
        """Take account of a slice. A weighted mean is used, because one slice may have been disturbed."""
        newest = took_s / sum(map(_units, walked))
        self._unit_s += NEWEST_WEIGHT * (newest - self._unit_s)

    def fitting(self, questions: Sequence[Question], longest_s: float) -> int:
        """Return how many of the next questions fit into a slice of this duration: at least 1."""
        units = services = count = 0
        for question in questions[:MOST_QUESTIONS]:
            units += _units(question)
            services += len(question.services)
            if services > MOST_SERVICES or units * self._unit_s > longest_s:
                break
            count += 1
        return max(count, 1)


def _units(question: Question) -> int:
    return 1 + len(question.services)
