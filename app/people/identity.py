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
"""Roles that satisfy each requirement. `viewer` is any signed-in user, `user` may submit, `overseer` may see all users'
runs. Only what is declared PUBLIC is open; what has no declaration is for admins.
"""
_ATTRIBUTE = "required_role"


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user. `via`: session, proxy (a session started by a proxy), token, or system (the token of the
    settings).

    `csrf` and `session_id` are empty without a session. `still` checks, for work that outlasts the request, whether the
    identity and its role are still valid; may raise ledger.errors.StoreUnavailable.
    """

    name: str
    role: UserRole
    via: str
    csrf: str = ""
    session_id: str = ""
    still: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)

    def may(self, required: str) -> bool:
        """Whether this role satisfies `required`."""
        return self.role in ALLOWED[required]


def current() -> Identity | None:
    """The identity of the current request; None without credentials."""
    identity: Identity | None = g.get("identity")
    return identity


def me() -> Identity:
    """The identity of the current request, on an address that requires authentication."""
    identity = current()
    if identity is None:
        raise RuntimeError("this address may have no identity: its view must use current() instead")
    return identity


def may_see(identity: Identity, run: Run) -> bool:
    """Whether the user may see this run: viewers and admins all runs, users their own."""
    return identity.may("overseer") or run.user == identity.name


def require(role: str) -> Callable[[View], View]:
    """Declare who may use a view: a key of ALLOWED, or PUBLIC. The guard reads it."""
    if role != PUBLIC and role not in ALLOWED:
        raise ValueError(f"{role!r} is not a valid role: use {PUBLIC}, {', '.join(ALLOWED)}")

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, role)
        return view

    return declare


def required_by(view: object) -> str:
    """The declared requirement of a view; admin without one."""
    return str(getattr(view, _ATTRIBUTE, "admin"))
