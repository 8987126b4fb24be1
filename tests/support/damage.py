"""Damage for tests: malformed values of a field, and keys of a wrong type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import redis

from tests.support.server import Server

MALFORMED: dict[str, str | bytes] = {
    "empty": "",
    "text": "abc",
    "negative": "-5",
    "huge": "1e300",
    "long": "9" * 400,
    "nan": "NaN",
    "fraction": "1.5",
    "binary": b"\xff\xfe\x00\x1b[31m",
    "list": '["a", 1]',
    "object": '{"a": 1}',
}
"""A name for a test's id, and the value."""

Damage = Callable[[redis.Redis, str], object]

WRONG_TYPES: dict[str, Damage] = {
    "string": lambda client, key: client.set(key, "damaged"),
    "hash": lambda client, key: client.hset(key, "damaged", "1"),
    "list": lambda client, key: client.rpush(key, "damaged"),
    "set": lambda client, key: client.sadd(key, "damaged"),
    "zset": lambda client, key: client.zadd(key, {"damaged": 1}),
    "stream": lambda client, key: client.xadd(key, {"damaged": "1"}),
}


def retype(client: redis.Redis, key: str, kind: str) -> None:
    """Replace a key by one of another type."""
    client.delete(key)
    WRONG_TYPES[kind](client, key)


def members(client: redis.Redis, key: str) -> Iterator[tuple[str, Damage]]:
    """Ways to put malformed members into a key of its right type: (name, how)."""
    kind = client.type(key)
    for name, value in MALFORMED.items():
        damage = _into(str(kind), value)
        if damage:
            yield name, damage


def _into(kind: str, value: Any) -> Damage | None:
    def every_field(client: redis.Redis, key: str) -> None:
        fields: Any = client.hkeys(key)
        client.hset(key, mapping=dict.fromkeys(fields, value))

    ways: dict[str, Damage] = {
        "string": lambda client, key: client.set(key, value),
        "hash": every_field,
        "list": lambda client, key: client.lpush(key, value),
        "set": lambda client, key: client.sadd(key, value),
        "zset": lambda client, key: client.zadd(key, {value: 1}),
        "stream": lambda client, key: client.xadd(key, {"kind": value, "percent": value}),
    }
    return ways.get(kind)


def emptied(server: Server) -> Iterator[Server]:
    """The body of a fixture: the session's server, empty before and after, without the leak check."""
    with server.client() as client:
        client.flushall()
    yield server
    with server.client() as client:
        client.flushall()
