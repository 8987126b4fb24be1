"""The origin of a request: the client's address, and whether the request came from this site (CSRF, open redirects)."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from flask import Request

from app.http.problems import ApiProblem
from ledger.settings import Network, Settings

SAFE = frozenset({"GET", "HEAD"})
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
HEADER, FIELD = "X-CSRF-Token", "csrf"
_PATH_MAX = 2000


def trusted_peer(request: Request, networks: tuple[Network, ...]) -> bool:
    """Return whether the connection itself comes from one of these networks."""
    return inside(request.remote_addr or "", networks)


def client_address(request: Request, networks: tuple[Network, ...]) -> str:
    """Return the address of the client: the peer's, or the one in X-Forwarded-For if the peer is a trusted proxy.

    X-Forwarded-For is read from its end up to the first address that is not a trusted proxy's, because the client may
    have forged everything before that address.
    """
    client = request.remote_addr or ""
    hops = request.headers.get("X-Forwarded-For", "").split(",") if networks else []
    while hops and inside(client, networks):
        try:
            client = str(ip_address(hops.pop().strip()))
        except ValueError:
            break
    return client


def check_origin(request: Request, settings: Settings) -> None:
    """Raise ApiProblem 403 if the browser reports that another site caused this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin"):
        raise refused(f"It was sent by another site (Sec-Fetch-Site: {site[:20]}).")
    origin = request.headers.get("Origin")
    if origin is None:
        return
    schemes = ("https",) if settings.https else ("http", "https")
    if origin not in [f"{scheme}://{request.host}" for scheme in schemes]:
        raise refused(
            f"It came from a page on {origin[:60]!r}, but this site is {request.host[:60]!r}."
            " A reverse proxy in between must pass on the Host header."
        )


def base_address(request: Request, settings: Settings) -> str:
    """Return the base URL of this site as the client sees it, such as `https://reachq.example`.

    If `https` is set, it is never http, which would send a token in the clear. Uses the settings' own address if the
    request names no valid host.
    """
    host = request.host or f"{settings.host}:{settings.port}"
    return f"{'https' if settings.https else 'http'}://{host}"


def check_csrf(request: Request, csrf: str) -> None:
    """Raise ApiProblem 403 unless the request carries the session's token `csrf`, in the header or in a form field.

    An empty `csrf` means that the request has no session. It never matches.
    """
    sent = request.headers.get(HEADER, "")
    if not sent and request.mimetype in FORMS:
        sent = request.form.get(FIELD, "")
    if not csrf or not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), csrf.encode()):
        raise refused(
            f"The page it came from is out of date: load it again. (It must carry the session's token in {HEADER}.)"
        )


def refused(why: str) -> ApiProblem:
    """Return the problem for a request that another site may have forged."""
    return ApiProblem(403, "csrf", f"The request was rejected. {why}")


def local_path(text: str) -> str:
    """Return `text` if it is a path of this site, with its query; otherwise "/".

    Every redirect after a sign-in uses it.
    """
    local = (
        text.startswith("/")
        and not text.startswith("//")
        and "\\" not in text
        and text.isprintable()
        and len(text) <= _PATH_MAX
    )
    return text if local else "/"


def inside(address: str, networks: tuple[Network, ...]) -> bool:
    """Return whether the address is in one of the networks. IPv4-mapped IPv6 addresses count as IPv4."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in networks)
