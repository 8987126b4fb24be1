"""Adds, looks up and revokes API tokens in the ledger. A token has the role that its owner has when it is used."""

from __future__ import annotations

import secrets

from ledger.errors import TokenNotFound, TooManyTokens, UserNotFound
from ledger.people.records import Token, UserRole, digest, label
from ledger.people.sessions import TOUCH_MS, touch
from ledger.redis import keys
from ledger.redis.connection import answers
from ledger.redis.part import LedgerPart
from ledger.redis.scripts import ADD_TOKEN, FIND_TOKEN, REVOKE_TOKEN
from ledger.runs import run_hash
from ledger.runs.soundness import number

TOKENS_MAX = 50
"""Maximum number of tokens of one user."""


class Tokens(LedgerPart):
    """Operations on API tokens. A token is looked up by its secret, or by its owner and its id."""

    def add_token(self, user: str, secret: str, name: str, *, by: str) -> Token:
        """Store a new token with this secret and the label `name`.

        Raises UserNotFound, TooManyTokens, or BadInput if the label is invalid.
        """
        hashed, token_id, name = digest(secret), secrets.token_hex(4), label(name)
        status, *rest = self.connection.run(
            ADD_TOKEN,
            {
                "user": keys.user(user),
                "token": keys.TOKEN + hashed,
                "tokens": keys.tokens(user),
                "events": keys.EVENTS,
            },
            {
                "hash": hashed,
                "id": token_id,
                "owner": user,
                "name": name,
                "by": by,
                "tokens_max": TOKENS_MAX,
                **self._capped,
            },
        )
        if status == "missing":
            raise UserNotFound(f"There is no user {user}.")
        if status == "too-many":
            raise TooManyTokens(
                f"{user} has reached the maximum of {TOKENS_MAX} tokens: revoke one that is no longer used."
            )
        return Token(token_id, user, UserRole(rest[0]), name, rest[1], 0)

    def find_token(self, secret: str, *, noting: bool = True) -> Token | None:
        """Return the token with this secret, or None. With `noting`, the use is recorded, at most once a minute."""
        hashed = digest(secret)
        status, *rest = self.connection.run(FIND_TOKEN, {"token": keys.TOKEN + hashed}, {"user_prefix": keys.USER})
        if status != "vouched":
            return None
        role, now, *record = rest
        token = _token(role, run_hash.pairs(record))
        if token and noting and now - token.used_ms >= TOUCH_MS:
            used = {"field": "used_ms", "idle_ms": 0, "max_ms": 0}
            touch(self.connection, keys.TOKEN + hashed, token.user, used)
        return token

    def tokens(self, user: str) -> list[Token]:
        """Return the tokens of a user, newest first."""
        return sorted((token for _, token in self._tokens(user)), key=lambda token: (-token.created_ms, token.id))

    def revoke_token(self, user: str, token_id: str, *, by: str) -> None:
        """Revoke a token. Raises TokenNotFound."""
        for hashed, token in self._tokens(user):
            if token.id == token_id:
                status = self.connection.run(
                    REVOKE_TOKEN,
                    {"token": keys.TOKEN + hashed, "tokens": keys.tokens(user), "events": keys.EVENTS},
                    {"hash": hashed, "by": by, **self._capped},
                )[0]
                if status == "revoked":
                    return
        raise TokenNotFound(f"{user} has no token {token_id}.")

    def _tokens(self, user: str) -> list[tuple[str, Token]]:
        hashes = self.connection.lenient(lambda pipe: pipe.smembers(keys.tokens(user))) or ()
        with self.connection.reading() as pipe:
            pipe.hget(keys.user(user), "role")
            for hashed in hashes:
                pipe.hgetall(keys.TOKEN + hashed)
            role, *records = answers(pipe)
        made = [(hashed, _token(role, record or {})) for hashed, record in zip(hashes, records, strict=True)]
        return [(hashed, token) for hashed, token in made if token]


def _token(role: str, record: dict[str, str]) -> Token | None:
    """Decode a token from its HASH. Returns None if the token or its owner's role is damaged."""
    if role not in UserRole.__members__.values() or not {"id", "user"} <= record.keys():
        return None
    return Token(
        id=record["id"],
        user=record["user"],
        role=UserRole(role),
        name=record.get("name", ""),
        created_ms=number(record.get("created_ms")),
        used_ms=number(record.get("used_ms")),
    )
