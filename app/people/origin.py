"""The origin of a request: the client's address, and whether this site sent it (CSRF, open redirects)."""

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
    """Whether the connection itself comes from one of these networks."""
    return inside(request.remote_addr or "", networks)


def client_address(request: Request, networks: tuple[Network, ...]) -> str:
    """Address of the client: the peer's, or the one in X-Forwarded-For from trusted proxies.

    Read from the end: everything before the last address that is not a proxy's may be forged by the client.
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
    """ApiProblem 403 when the browser reports that another site caused this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin"):
        raise refused(f"It was sent by another site (Sec-Fetch-Site: {site[:20]}).")
    origin = request.headers.get("Origin")
    if origin is None:
        return
    schemes = ("https",) if settings.https else ("http", "https")
    if origin not in [f"{scheme}://{request.host}" for scheme in schemes]:
        raise refused(
            f"It was sent by a page of {origin[:60]!r}, and this is {request.host[:60]!r}."
            " A reverse proxy in between must pass the Host header on."
        )


def base_address(request: Request, settings: Settings) -> str:
    """Base URL of this site as the client sees it: `https://reachq.example`; with `https` set never http, which would
    send a token in the clear. Uses the settings' own address when the request names no valid host.
    """
    host = request.host or f"{settings.host}:{settings.port}"
    return f"{'https' if settings.https else 'http'}://{host}"


def check_csrf(request: Request, csrf: str) -> None:
    """ApiProblem 403 unless the request carries the session's token `csrf`, in the header or in a form field.

    An empty `csrf` means that there is no session, and never matches.
    """
    sent = request.headers.get(HEADER, "")
    if not sent and request.mimetype in FORMS:
        sent = request.form.get(FIELD, "")
    if not csrf or not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), csrf.encode()):
        raise refused(
            f"The page it came from is out of date: load it again. (It must carry the session's token in {HEADER}.)"
        )


def refused(why: str) -> ApiProblem:
    """The problem for a request that another site may have forged."""
    return ApiProblem(403, "csrf", f"The request was rejected. {why}")


def local_path(text: str) -> str:
    """`text` when it is a path of this site, with its query; otherwise "/". Applied to every redirect after a sign-in."""
    local = (
        text.startswith("/")
        and not text.startswith("//")
        and "\\" not in text
        and text.isprintable()
        and len(text) <= _PATH_MAX
    )
    return text if local else "/"


def inside(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of the networks; IPv4-mapped IPv6 addresses count as IPv4."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in networks)
