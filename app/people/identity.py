"""The identity of a request, what each role may do, and which runs it may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import g

from ledger.people.records import UserRole
from ledger.runs.run import Run

View = TypeVar("View", bound=Callable[..., Any])
PUBLIC = "public"
ALLOWED: dict[str, frozenset[UserRole]] = {
    "viewer": frozenset(UserRole),
    "user": frozenset({UserRole.USER, UserRole.ADMIN}),
    "overseer": frozenset({UserRole.VIEWER, UserRole.ADMIN}),
    "admin": frozenset({UserRole.ADMIN}),
}
"""{requirement: roles that satisfy it}.

`viewer` is any signed-in user, `user` may submit runs, and `overseer` may see all users' runs. Only what is declared
PUBLIC is open to all. What has no declaration is for admins.
"""
_ATTRIBUTE = "required_role"


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user.

    `via` is `session`, `proxy` (authenticated by a trusted proxy), `token`, or `system` (the token of the settings).
    `csrf` and `session_id` are empty without a session. `still` returns whether the identity and its role are still
    valid, for work that outlasts the request. It may raise ledger.errors.StoreUnavailable.
    """

    name: str
    role: UserRole
    via: str
    csrf: str = ""
    session_id: str = ""
    still: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)
    team: bool = False
    """Whether users of this installation see the runs of all users (REACHQ_TEAM_RUNS)."""

    @property
    def sees_all(self) -> bool:
        """Whether this user may see the runs of all users. To cancel those of others takes an admin."""
        return self.team or self.may("overseer")

    def may(self, required: str) -> bool:
        """Return whether this role satisfies `required`."""
        return self.role in ALLOWED[required]


def current() -> Identity | None:
    """Return the identity of the current request, or None without credentials."""
    identity: Identity | None = g.get("identity")
    return identity


def me() -> Identity:
    """Return the identity of the current request, on an address that requires authentication."""
    identity = current()
    if identity is None:
        raise RuntimeError("this address may have no identity: its view must use current() instead")
    return identity


def may_see(identity: Identity, run: Run) -> bool:
    """Return whether the user may see this run. Viewers and admins may see all runs, and users their own.

    With REACHQ_TEAM_RUNS, users may see all runs as well.
    """
    return identity.sees_all or run.user == identity.name


def may_cancel(identity: Identity, run: Run) -> bool:
    """Return whether the user may cancel this run: an admin any run, and a user their own."""
    return identity.may("admin") or (identity.may("user") and run.user == identity.name)


def require(role: str) -> Callable[[View], View]:
    """Declare who may use a view: a key of ALLOWED, or PUBLIC. The guard reads this declaration."""
    if role != PUBLIC and role not in ALLOWED:
        raise ValueError(f"{role!r} is not a valid role: use {PUBLIC}, {', '.join(ALLOWED)}")

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, role)
        return view

    return declare


def required_by(view: object) -> str:
    """Return the declared requirement of a view, which is `admin` without a declaration."""
    return str(getattr(view, _ATTRIBUTE, "admin"))
