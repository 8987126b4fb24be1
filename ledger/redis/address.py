"""The address of Redis: checks URLs, displays them without their password, and creates clients for them.

Every connection of reachq and of RQ is opened here, so all of them have the same TLS options, timeouts and keepalive.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
OPTIONS = ("db", *FILES, "ssl_check_hostname", "ssl_cert_reqs")
"""Options allowed after the `?` of a URL. redis-py accepts more, but those would override the timeouts set here."""
CONNECT_S = 5.0
KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 3, socket.TCP_KEEPCNT: 3}
"""TCP keepalive settings. With them, the kernel closes a silent connection after about 19 s (tcp(7))."""


def check(url: str) -> None:
    """Raise ValueError if a URL is invalid.

    The message says what is wrong and what to write, and does not contain the URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("redis", "rediss", "unix") and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("is not a valid Redis URL: write redis://host:port, rediss://host:port or unix:///path")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise ValueError(f"has the option {name!r}, which is not supported: use only {', '.join(OPTIONS)}")
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise ValueError(f"has the option {name}, which is for TLS: write rediss:// instead of {parts.scheme}://")
        if name in FILES and not os.access(value, os.R_OK):
            raise ValueError(f"names {value!r} as {name}, and this process cannot read that file")


def shown(url: str) -> str:
    """Return the URL without user, password and options, for messages. Also safe for an invalid URL."""
    return re.sub(r"(?s)^([a-z]*:/*)?.*@", r"\1***@", url).partition("?")[0]


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
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()


def open_client(url: str, *, timeout_s: float, text: bool) -> redis.Redis:
    """Create a client for this URL without connecting. It retries no command, and waits up to `timeout_s` for a reply.

    With `text`, replies are str instead of bytes. The client does not send CLIENT SETINFO, because Redis 7.0 has no ACL
    rule for it.
    """
    keepalive = {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    return redis.Redis.from_url(
        url,
        decode_responses=text,
        encoding_errors="backslashreplace",  # show bytes that are not text in escaped form
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, CONNECT_S),
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        **({} if url.startswith("unix:") else keepalive),
    )
