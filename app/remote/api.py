"""Sends requests to the HTTP API of a reachq installation, and converts its problems to errors."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from ledger.errors import BadInput, ReachqError

TIMEOUT_S = 90.0
"""Time limit of a request. The server answers a request with `wait` within 60 s."""
_TOO_MANY = 429


class ApiRefused(ReachqError):
    """The API refused a request. `status` is the status of HTTP, and `errors` has (field, message) of each wrong field."""

    code = "api-refused"

    def __init__(self, status: int, code: str, detail: str, errors: list[tuple[str, str]]) -> None:
        super().__init__(detail)
        self.status, self.reason, self.errors = status, code, errors

    @property
    def is_input(self) -> bool:
        """Whether the input was wrong, and not the state of the installation."""
        return 400 <= self.status < 500 and self.status not in (401, 409, _TOO_MANY)


class ApiAway(ReachqError):
    """The API cannot be reached."""

    code = "api-away"


class Api:
    """The API at one address, with one token, for one network."""

    def __init__(self, url: str, token: str, network: str = "") -> None:
        """`url` is the address of the web server, such as `https://reachq.example:8080`.

        Raises BadInput for another kind of address, or without a token.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise BadInput("REACHQ_URL", url, "is not an address of a web server: write https://HOST[:PORT]")
        if parts.username is not None:
            raise BadInput("REACHQ_URL", parts.hostname, "must not contain a user: put the token into REACHQ_TOKEN")
        if not token:
            raise BadInput(
                "REACHQ_TOKEN", "", "is not set: make a token with `reachq token make`, or on the account page"
            )
        below = f"/networks/{urllib.parse.quote(network, safe='')}" if network else ""
        self._base = f"{url.rstrip('/')}{below}"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": "reachq"}
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Return the JSON document at this path. Raises ApiRefused or ApiAway."""
        return json.loads(self.get_bytes(path, query))

    def get_bytes(self, path: str, query: Mapping[str, object] | None = None) -> bytes:
        """Return the body of the response. Raises ApiRefused or ApiAway."""
        return self._send("GET", path, query)

    def post(self, path: str, body: object, query: Mapping[str, object] | None = None) -> Any:
        """Send a JSON document and return the one of the response. Raises ApiRefused or ApiAway."""
        return json.loads(self._send("POST", path, query, json.dumps(body).encode(), "application/json"))

    def upload(self, path: str, body: bytes, query: Mapping[str, object] | None = None) -> Any:
        """Send an archive and return the JSON document of the response. Raises ApiRefused or ApiAway."""
        return json.loads(self._send("POST", path, query, body, "application/octet-stream"))

    def delete(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Delete what is at this path, and return the JSON document of the response. Raises ApiRefused or ApiAway."""
        return json.loads(self._send("DELETE", path, query))

    def _send(
        self, method: str, path: str, query: Mapping[str, object] | None, body: bytes | None = None, kind: str = ""
    ) -> bytes:
        given = {name: value for name, value in (query or {}).items() if value not in ("", None)}
        address = f"{self._base}{path}" + (f"?{urllib.parse.urlencode(given)}" if given else "")
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(address, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                data: bytes = response.read()
                return data
        except urllib.error.HTTPError as error:
            raise _refused(error.code, error.read()) from None
        except urllib.error.URLError as error:
            raise ApiAway(f"{self._base} does not answer: {_why(error.reason)}") from None
        except (OSError, http.client.HTTPException) as error:
            raise ApiAway(f"{self._base} does not answer: {_why(error)}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: the token must not be sent to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _refused(status: int, body: bytes) -> ApiRefused:
    try:
        problem = json.loads(body)
        errors = [(str(one["field"]), str(one["message"])) for one in problem.get("errors", ())]
        code = str(problem.get("type", "")).rpartition(":")[2]
        return ApiRefused(status, code, str(problem["detail"]), errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiRefused(
            status, "", f"the server answered with status {status}; is REACHQ_URL the address of reachq?", []
        )


def _why(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message}); SSL_CERT_FILE can name the certificates to trust"
    if isinstance(reason, socket.gaierror):
        return "there is no such host"
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return getattr(reason, "strerror", None) or str(reason)
