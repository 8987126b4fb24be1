"""Who a request comes from, what each role may do, and what they may see."""

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
"""Who is let in where a role is required. `viewer` is anybody signed in, `user` who may submit; `overseer` who may see
everybody's runs. Only what is declared PUBLIC is open, and what is declared nothing is for admins."""
_ATTRIBUTE = "required_role"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody. `via`: session, proxy (a session a proxy vouches for), token, or system (the token of the settings).

    `csrf` and `session_id` are empty where there is no session. `still`: asks, for what outlasts the request, whether
    this is still so, in this role; may raise ledger.errors.StoreUnavailable.
    """

    name: str
    role: UserRole
    via: str
    csrf: str = ""
    session_id: str = ""
    still: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)

    def may(self, required: str) -> bool:
        """Whether somebody of this role is let in where `required` is wanted."""
        return self.role in ALLOWED[required]


def current() -> Identity | None:
    """Who the current request comes from; None for nobody."""
    found: Identity | None = g.get("identity")
    return found


def me() -> Identity:
    """Who the current request comes from, on an address the guard lets nobody through to."""
    found = current()
    if found is None:
        raise RuntimeError("this address is open to nobody: its view must ask current() instead")
    return found


def may_see(identity: Identity, run: Run) -> bool:
    """Whether this run is shown: to viewers and admins every one, to users their own."""
    return identity.may("overseer") or run.user == identity.name


def require(role: str) -> Callable[[View], View]:
    """Declares who a view is for: a key of ALLOWED, or PUBLIC. The guard reads it."""
    if role != PUBLIC and role not in ALLOWED:
        raise ValueError(f"{role!r} is not a valid role: use {PUBLIC}, {', '.join(ALLOWED)}")

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, role)
        return view

    return declare


def required_by(view: object) -> str:
    """What a view was declared to require: admin when it was not."""
    return str(getattr(view, _ATTRIBUTE, "admin"))
