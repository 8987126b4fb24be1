"""The guard that protects every address: authenticates the client and checks its role.

Credentials are checked in this order: `Authorization: Bearer` (the system token, which is an admin named `api`, or a
user's API token), the session cookie, the header of a trusted proxy. A bearer token, if present, decides alone. Then
the role is checked: each endpoint declares one (`permit`, or `identity.require` on the view), and an endpoint without a
declaration is for admins. A browser's request that changes something must also come from a page of this site
(`origin`).

Without valid credentials, the response is a problem document under /api and /metrics and for clients that sent a token,
and the sign-in page for a browser. A token in the address is never accepted.
"""

from __future__ import annotations

import hmac
from functools import partial
from urllib.parse import quote, urlsplit

from flask import Flask, Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from app.http import problems
from app.http.problems import ApiProblem
from app.people import origin
from app.people.accounts import Accounts
from app.people.identity import ALLOWED, PUBLIC, Identity, required_by
from ledger.errors import UserNotFound
from ledger.people.records import Session, UserRole
from ledger.settings import Settings

SIGN_IN = "/sign-in"
FOR_PROGRAMS = ("/api", "/metrics")
GUARDED = (*FOR_PROGRAMS, "/rq")
"""Prefixes of addresses under which clients without credentials do not learn whether an address exists."""
NEIGHBOURS = {"static": PUBLIC, "metrics": "overseer"}
WHO = {role: " or ".join(sorted(allowed)) for role, allowed in ALLOWED.items()}
_UNAUTHORIZED = (
    "This request has no valid session or token. Sign in, or send `Authorization: Bearer TOKEN` with one of your API"
    " tokens (`reachq token make` creates one) or with the system token, which `reachq up` prints and the file `token`"
    " in the data folder contains."
)


class Guard:
    """Protects `app` as soon as it is created. `permit` declares what an endpoint requires."""

    def __init__(self, app: Flask, accounts: Accounts, settings: Settings, system_token: str) -> None:
        self._app = app
        self._accounts = accounts
        self._settings = settings
        self._system = system_token.encode()
        self._required = dict(NEIGHBOURS)
        self.cookie_name = "__Host-reachq" if settings.https else "reachq"
        app.extensions["guard"] = self
        app.before_request(self._check)
        app.after_request(self._hand_out)

    def permit(self, endpoint: str, role: str) -> None:
        """Declare the role that `endpoint` requires (a key of identity.ALLOWED), or that it is PUBLIC."""
        self._required[endpoint] = role

    def required(self, endpoint: str) -> str:
        """Return the declared requirement of an endpoint, which is `admin` without a declaration."""
        return self._required.get(endpoint) or required_by(self._app.view_functions.get(endpoint))

    def visitor(self) -> Identity | None:
        """Return the signed-in user on a public page, or None."""
        return self._by_session()

    def set_cookie(self, response: AnyResponse, cookie: str) -> None:
        """Set the session cookie. Scripts cannot read it, and other sites cannot use it to submit forms."""
        response.set_cookie(
            self.cookie_name,
            cookie,
            max_age=self._settings.session_max_s,
            path="/",
            secure=self._settings.https,
            httponly=True,
            samesite="Lax",
        )

    def clear_cookie(self, response: AnyResponse) -> None:
        """Delete the session cookie."""
        response.delete_cookie(self.cookie_name, path="/", secure=self._settings.https, httponly=True, samesite="Lax")

    def cookie(self) -> str:
        """Return the session secret in this request, or "" if there is none."""
        return request.cookies.get(self.cookie_name, "")

    def address(self) -> str:
        """Return the address of the client behind trusted proxies."""
        return origin.client_address(request, self._settings.trusted)

    def _check(self) -> Response | None:
        endpoint, safe = request.endpoint, request.method in origin.SAFE
        if endpoint is None and not _under(GUARDED):
            g.identity = self._by_session() if self.cookie() else None
            return None  # a 404, which reveals nothing
        required = self.required(endpoint) if endpoint else ""
        if required == PUBLIC:
            if not safe:
                origin.check_origin(request, self._settings)
            return None
        g.identity = identity = self._identify()
        if identity is None:
            return _unauthenticated()
        if endpoint is None:
            return None
        if not identity.may(required):
            message = (
                f"This requires the role {WHO[required]}; your role is {identity.role}. An admin can change your role."
            )
            raise ApiProblem(403, "forbidden", message)
        if not safe and identity.via in ("session", "proxy"):
            origin.check_origin(request, self._settings)
            origin.check_csrf(request, identity.csrf)
        return None

    def _identify(self) -> Identity | None:
        bearer = _bearer()
        if bearer is None:
            return self._by_session() or self._by_proxy()
        if hmac.compare_digest(bearer.encode("utf-8", "surrogateescape"), self._system):
            return Identity("api", UserRole.ADMIN, "system")
        token = self._accounts.find_token(bearer)
        if token is None:
            return None
        return Identity(
            token.user,
            token.role,
            "token",
            still=partial(self._accounts.still_valid_token, bearer, token.role),
            team=self._settings.team_runs,
        )

    def _by_session(self) -> Identity | None:
        cookie = self.cookie()
        session = self._accounts.find_session(cookie) if cookie else None
        if session is None or (session.via == "proxy" and session.user != self._named_by_proxy()):
            return None  # a proxy's session ends when the proxy names another user, or none
        return self._signed_in(cookie, session)

    def _by_proxy(self) -> Identity | None:
        """Return the user whom a trusted proxy names.

        A request for a page starts a session, so that the forms of the page can carry the session's token.
        """
        name = self._named_by_proxy()
        if not name:
            return None
        try:
            if request.method in origin.SAFE and not _under(GUARDED):
                begun = self._accounts.sign_in_from_proxy(name, self.address(), request.headers.get("User-Agent", ""))
                if begun is None:
                    raise UserNotFound
                g.new_cookie, session = begun
                return self._signed_in(g.new_cookie, session)
            role = self._accounts.user(name).role
            still = partial(self._accounts.still_user, name, role)
            return Identity(name, role, "proxy", still=still, team=self._settings.team_runs)
        except UserNotFound:
            message = f"The proxy identified you as {name[:60]!r}, which is not a reachq user: ask an admin to add you."
            raise ApiProblem(403, "no-account", message) from None

    def _signed_in(self, cookie: str, session: Session) -> Identity:
        via = "proxy" if session.via == "proxy" else "session"
        still = partial(self._accounts.still_signed_in, cookie, session.role)
        return Identity(session.user, session.role, via, session.csrf, session.id, still, team=self._settings.team_runs)

    def _named_by_proxy(self) -> str:
        header = self._settings.proxy_header
        if not header or not origin.trusted_peer(request, self._settings.trusted):
            return ""
        return request.headers.get(header, "").strip().lower()

    def _hand_out(self, response: Response) -> Response:
        if cookie := g.pop("new_cookie", ""):
            self.set_cookie(response, cookie)
        return response


def _bearer() -> str | None:
    """Return the token of the request, which may be empty, or None if there is none."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None


def _under(prefixes: tuple[str, ...]) -> bool:
    return any(request.path == prefix or request.path.startswith(prefix + "/") for prefix in prefixes)


def _unauthenticated() -> Response:
    """Return the response for a client without credentials: the sign-in page for a browser, otherwise a problem."""
    browses = not _under(GUARDED) or (_under(("/rq",)) and "text/html" in request.headers.get("Accept", ""))
    if not browses or _bearer() is not None:
        headers = {"WWW-Authenticate": 'Bearer realm="reachq"'}
    elif "HX-Request" in request.headers:
        headers = {"HX-Redirect": _sign_in(_shown())}
    else:
        page = request.script_root + request.full_path.rstrip("?") if request.method in origin.SAFE else _form_on()
        return Response(status=303, headers={"Location": _sign_in(page)})
    return problems.reply(ApiProblem(401, "unauthorized", _UNAUTHORIZED), headers)


def _form_on() -> str:
    """Return the page that contained the submitted form, or "/" if it is unknown or belongs to another site."""
    try:
        page = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return "/"
    return page.path if page.netloc == request.host else "/"


def _shown() -> str:
    """Return the page on which htmx requests a part."""
    try:
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return "/"
    return f"{shown.path}?{shown.query}" if shown.query else shown.path


def _sign_in(then: str) -> str:
    then = origin.local_path(then)
    return SIGN_IN if then == "/" else f"{SIGN_IN}?next={quote(then, safe='/')}"
