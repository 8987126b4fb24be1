"""Which comparisons a user may see: the rule for runs (app.people.identity), because a report has answers of runs."""

from __future__ import annotations

from app.changes.questions import RECENT, recent_questions
from app.http.problems import ApiProblem
from app.people.identity import Identity
from ledger.changes.records import KEPT, Change
from ledger.errors import ChangeNotFound
from ledger.runs.requests import RunRequest
from ledger.store import AppLedger


def changes_for(identity: Identity, ledger: AppLedger, *, limit: int) -> list[Change]:
    """Return the newest comparisons that this user may see: all of them, or a user's own."""
    if identity.sees_all:
        return ledger.changes(limit=limit)
    return [one for one in ledger.changes(limit=KEPT) if one.user == identity.name][:limit]


def change_for(identity: Identity, ledger: AppLedger, change_id: str) -> Change:
    """Return a comparison. Raises ChangeNotFound, also for one that this user may not see."""
    change = ledger.change(change_id)
    if identity.sees_all or change.user == identity.name:
        return change
    raise ChangeNotFound(f"There is no comparison {change_id[:40]} in network {ledger.bench}.")


def own_change_for(identity: Identity, ledger: AppLedger, change_id: str) -> Change:
    """Return a comparison that this user may remove: an admin any, and a user their own.

    Raises ChangeNotFound, or ApiProblem 403 for one that the user may see but not remove.
    """
    change = change_for(identity, ledger, change_id)
    if not may_remove(identity, change):
        raise ApiProblem(403, "forbidden", "The comparison belongs to another user: only an admin may remove it.")
    return change


def may_remove(identity: Identity, change: Change) -> bool:
    """Return whether this user may remove a comparison."""
    return identity.may("admin") or (identity.may("user") and change.user == identity.name)


def recent_for(identity: Identity, ledger: AppLedger, number: int = RECENT) -> list[RunRequest]:
    """Return the distinct recent questions of the runs that this user may see, the newest first."""
    return recent_questions(ledger, number, user=None if identity.sees_all else identity.name)
