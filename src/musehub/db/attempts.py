"""Queries about failed logins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import login_attempts

_POSTGRESQL_LOCK = 0x6D757365_6C6F67
"""One for all logins: they are held for a millisecond."""


async def count_failures(
    conn: AsyncConnection, subjects: Sequence[str], since: datetime
) -> dict[str, tuple[int, datetime]]:
    """Failures after `since` by subject: how many, and when the first of them was."""
    query = (
        sa.select(login_attempts.c.subject, sa.func.count(), sa.func.min(login_attempts.c.failed_at))
        .where(login_attempts.c.subject.in_(subjects), login_attempts.c.failed_at > since)
        .group_by(login_attempts.c.subject)
    )
    return {subject: (count, first) for subject, count, first in await conn.execute(query)}


async def wait_for_others(conn: AsyncConnection) -> None:
    """Let nobody else count or insert until this transaction ends; on SQLite that is so for every writer."""
    if conn.dialect.name == "postgresql":
        await conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")


async def insert_failures(
    conn: AsyncConnection, subjects: Sequence[str], now: datetime, forget_before: datetime
) -> list[int]:
    """Note one failure for each subject, and drop those too old to count; returns the ids of the new ones."""
    await conn.execute(login_attempts.delete().where(login_attempts.c.failed_at < forget_before))
    rows = [{"subject": subject, "failed_at": now} for subject in subjects]
    return list(await conn.scalars(login_attempts.insert().returning(login_attempts.c.id), rows))


async def forget_failures(conn: AsyncConnection, ids: Sequence[int], subjects: Sequence[str]) -> None:
    """Drop these failures, and all of these subjects."""
    c = login_attempts.c
    await conn.execute(login_attempts.delete().where(c.id.in_(ids) | c.subject.in_(subjects)))
