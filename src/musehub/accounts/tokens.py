"""Tokens: 32 random bytes that stand for a user, shown once and kept as a hash."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from muse.errors import AccessDenied, NotFound, UsageError
from musehub.accounts.actor import SCOPES, Actor
from musehub.db import tokens as queries
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.settings import Settings

PREFIX = "mht_"
# Writing the time of every use would turn each read into a write.
_USE_NOTED_EVERY = timedelta(hours=1)


class Token(msgspec.Struct, frozen=True):
    """What may be shown of a token; `secret` only in the answer that creates it."""

    id: int
    label: str
    scope: str
    repository_id: int | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    secret: str | None = None


class Tokens:
    """The tokens of this hub."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def issue(
        self,
        user_id: int,
        *,
        label: str = "",
        scope: str = "write",
        ttl: timedelta | None = None,
        repository_id: int | None = None,
    ) -> Token:
        """Make a token; its `secret` cannot be had again."""
        if scope not in SCOPES:
            raise UsageError(
                "bad-arguments", f'there is no scope "{scope}"', hint=f"scopes are {', '.join(SCOPES)}"
            )
        ttl = timedelta(days=self._settings.token_ttl_days) if ttl is None else ttl
        if ttl <= timedelta(0):
            raise UsageError("bad-arguments", "a token must last longer than nothing")
        raw = os.urandom(32)
        now = self._clock()
        async with self._database.transaction("issue token") as conn:
            token_id = await queries.insert_token(
                conn,
                user_id=user_id,
                token_hash=hashlib.sha256(raw).digest(),
                label=label,
                scope=scope,
                repository_id=repository_id,
                created_at=now,
                expires_at=now + ttl,
            )
        secret = PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return Token(token_id, label, scope, repository_id, now, now + ttl, secret=secret)

    async def list(self, user_id: int) -> list[Token]:
        """The user's tokens that were not revoked, newest first."""
        async with self._database.read("list tokens") as conn:
            return [to_token(row) for row in await queries.list_tokens(conn, user_id)]

    async def revoke(self, user_id: int, token_id: int) -> None:
        """End a token of that user now; raises NotFound("token-not-found")."""
        async with self._database.transaction("revoke token") as conn:
            if not await queries.revoke_token(conn, user_id, token_id, self._clock()):
                raise NotFound("token-not-found", f"no token {token_id}")

    async def load_actor(self, secret: str) -> Actor:
        """Whom a token stands for; raises AccessDenied with the reason it is not valid."""
        raw = parse_secret(secret)
        async with self._database.read("look up token") as conn:
            row = await queries.find_token_with_user(conn, hashlib.sha256(raw).digest())
        if row is None:
            raise unknown_token()
        now = self._clock()
        actor = actor_of_token(row, now)
        if row["last_used_at"] is None or now - row["last_used_at"] >= _USE_NOTED_EVERY:
            async with self._database.transaction("note token use") as conn:
                await queries.note_token_use(conn, row["id"], now)
        return actor


def parse_secret(secret: str) -> bytes:
    """The 32 bytes of a token as it was shown; raises AccessDenied("bad-credentials")."""
    try:
        raw = base64.b64decode(secret.removeprefix(PREFIX) + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise unknown_token() from None
    if not secret.startswith(PREFIX) or len(raw) != 32:
        raise unknown_token()
    return raw


def actor_of_token(row: sa.RowMapping, now: datetime) -> Actor:
    """Whom a token stands for, from its row with its user's; raises AccessDenied if for nobody now."""
    if row["user_disabled_at"] is not None:
        raise unknown_token()
    if row["revoked_at"] is not None:
        raise AccessDenied("token-revoked", "this token was revoked", hint="run `muse auth login`")
    if row["expires_at"] <= now:
        raise AccessDenied("token-expired", "this token has expired", hint="run `muse auth login`")
    return Actor(
        user_id=row["user_id"],
        name=row["user_name"],
        kind=row["user_kind"],
        is_admin=bool(row["user_is_admin"]),
        scope=row["scope"],
        repository_id=row["repository_id"],
        token_id=row["id"],
    )


def to_token(row: sa.RowMapping) -> Token:
    return Token(
        id=row["id"],
        label=row["label"],
        scope=row["scope"],
        repository_id=row["repository_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )


def unknown_token() -> AccessDenied:
    """The same for what never was one and for one of a user who is disabled."""
    return AccessDenied("bad-credentials", "this token is not known here", hint="run `muse auth login`")
