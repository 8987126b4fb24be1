"""The address of Redis: checks URLs, displays them without their password, and creates clients for them.

Every connection of reachq and of RQ is opened here, so all of them have the same TLS options, timeouts and keepalive.
A URL names a server, or Sentinels (`redis+sentinel://HOST,HOST,HOST/SERVICE`), which name the current primary.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ledger.redis.sentinels import open_primary

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
SENTINEL_FILE = "sentinel_password_file"
OPTIONS = ("db", *FILES, "ssl_check_hostname", "ssl_cert_reqs", SENTINEL_FILE)
"""Options allowed after the `?` of a URL. redis-py accepts more, but those would override the timeouts set here."""
SENTINEL_PORT = 26379
SENTINEL_S = 1.0
"""Timeout for a reply of one Sentinel. After it, the next one is asked."""
CONNECT_S = 5.0
KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 3, socket.TCP_KEEPCNT: 3}
"""TCP keepalive settings. With them, the kernel closes a silent connection after about 19 s (tcp(7))."""


def check(url: str) -> None:
    """Raise ValueError if a URL is invalid.

    The message says what is wrong and what to write, and does not contain the URL.
    """
    try:
        parts, sentinels = _split(url)
        schemes = ("redis", "rediss") if sentinels else ("redis", "rediss", "unix")
        usable = parts.scheme in schemes and "://" in url and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "is not a valid Redis URL: write redis://host:port, rediss://host:port, unix:///path"
            " or redis+sentinel://host:port,host:port,host:port/service"
        )
    if sentinels and not re.fullmatch(r"/[^/]+", parts.path):
        raise ValueError(
            "must name one service after the Sentinels: write redis+sentinel://host:port,host:port,host:port/service,"
            " with the name that `sentinel monitor` gives to the primary, and ?db=N for another database than 0"
        )
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise ValueError(f"has the option {name!r}, which is not supported: use only {', '.join(OPTIONS)}")
        if name.startswith("ssl_") and parts.scheme != "rediss":
            given = url.partition(":")[0]
            tls = given.replace("redis", "rediss") if sentinels else "rediss"
            raise ValueError(f"has the option {name}, which is for TLS: write {tls}:// instead of {given}://")
        if name in (*FILES, SENTINEL_FILE) and not os.access(value, os.R_OK):
            raise ValueError(f"names {value!r} as {name}, and this process cannot read that file")
        if name == SENTINEL_FILE:
            if not sentinels:
                raise ValueError(f"has the option {name}, which is only for redis+sentinel://")
            try:
                password_in(Path(value))
            except ValueError as error:
                raise ValueError(f"names {value!r} as {name}, which {error}") from None


def _split(url: str) -> tuple[SplitResult, list[tuple[str, int]]]:
    """Split a URL, and return its Sentinels separately, because urlsplit accepts only one host.

    The scheme is then that of the server: redis or rediss. Raises ValueError for a port that is not valid.
    """
    found = re.fullmatch(r"(?s)([a-z]+)\+sentinel://((?:[^/?#]*@)?)([^/?#]*)(.*)", url)
    if found is None:
        return urlsplit(url), []
    scheme, login, place, rest = found.groups()
    hosts = [urlsplit(f"//{host}") for host in place.split(",")]
    if not all(host.hostname and host.port != 0 for host in hosts):
        raise ValueError("has a Sentinel without a host, or with port 0")
    known = [(str(host.hostname), host.port or SENTINEL_PORT) for host in hosts]
    return urlsplit(f"{scheme}://{login}sentinel{rest}"), known


def has_password(url: str) -> bool:
    """Return whether a valid URL contains a password."""
    return bool(_split(url)[0].password)


def shown(url: str) -> str:
    """Return the URL without user, password and options, for messages. Also safe for an invalid URL."""
    return re.sub(r"(?s)^([a-z+]*:/*)?.*@", r"\1***@", url).partition("?")[0]


def password_in(file: Path) -> str:
    """Read the password from a file, without the newline.

    Raises ValueError if the file does not contain exactly one line.
    """
    try:
        password = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None
    if not password or "\n" in password:
        raise ValueError("must hold the password on one line, and nothing else")
    return password


def with_password(url: str, password: str) -> str:
    """Return the URL with this password in it."""
    start, netloc, rest = re.split(r"(?<=://)([^/?#]*)", url, maxsplit=1)
    user, _, place = netloc.rpartition("@")
    return f"{start}{user}:{quote(password, safe='')}@{place}{rest}"


def open_client(url: str, *, timeout_s: float, text: bool) -> redis.Redis:
    """Create a client for this URL without connecting. It retries no command, and waits up to `timeout_s` for a reply.

    With `text`, replies are str instead of bytes. The client does not send CLIENT SETINFO, because Redis 7.0 has no ACL
    rule for it.
    """
    parts, sentinels = _split(url)
    options: dict[str, Any] = {
        "decode_responses": text,
        "encoding_errors": "backslashreplace",  # show bytes that are not text in escaped form
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(timeout_s, CONNECT_S),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }
    if parts.scheme != "unix":
        options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if not sentinels:
        return redis.Redis.from_url(url, **options)
    query = parse_qs(parts.query)
    password_file = query.pop(SENTINEL_FILE, None)
    plain = parts._replace(path="", query=urlencode(query, doseq=True)).geturl()
    given: dict[str, Any] = parse_url(plain)  # type: ignore[no-untyped-call]
    given = {name: value for name, value in given.items() if name not in ("host", "connection_class")}
    of_sentinels = options | {name: value for name, value in given.items() if name.startswith("ssl_")}
    of_sentinels |= {
        "socket_timeout": min(timeout_s, SENTINEL_S),
        "socket_connect_timeout": min(timeout_s, SENTINEL_S),
        "password": password_in(Path(password_file[0])) if password_file else None,
    }
    service, tls = unquote(parts.path[1:]), parts.scheme == "rediss"
    return open_primary(service, sentinels, of_sentinels, options | given, tls=tls)
