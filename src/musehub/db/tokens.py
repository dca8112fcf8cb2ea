"""Queries about tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.rights import USER
from musehub.db.tables import tokens, users


async def insert_token(conn: AsyncConnection, **values: Any) -> int:
    result = await conn.execute(tokens.insert().values(**values).returning(tokens.c.id))
    return int(result.scalar_one())


async def find_token_with_user(conn: AsyncConnection, token_hash: bytes) -> sa.RowMapping | None:
    """The token of that hash and its user in one row; the user's columns begin with `user_`."""
    query = sa.select(tokens, *USER).join(users, users.c.id == tokens.c.user_id)
    return (await conn.execute(query.where(tokens.c.token_hash == token_hash))).mappings().first()


async def list_tokens(conn: AsyncConnection, user_id: int) -> list[sa.RowMapping]:
    """All tokens of a user that were not revoked, newest first."""
    query = sa.select(tokens).where(tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None))
    return list((await conn.execute(query.order_by(tokens.c.id.desc()))).mappings())


async def revoke_token(conn: AsyncConnection, user_id: int, token_id: int, now: datetime) -> bool:
    """Whether the user had such a token that was not revoked yet."""
    statement = tokens.update().where(
        tokens.c.user_id == user_id, tokens.c.id == token_id, tokens.c.revoked_at.is_(None)
    )
    return (await conn.execute(statement.values(revoked_at=now))).rowcount > 0


async def revoke_all_tokens(conn: AsyncConnection, user_id: int, now: datetime) -> None:
    statement = tokens.update().where(tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None))
    await conn.execute(statement.values(revoked_at=now))


async def note_token_use(conn: AsyncConnection, token_id: int, now: datetime) -> None:
    await conn.execute(tokens.update().where(tokens.c.id == token_id).values(last_used_at=now))
