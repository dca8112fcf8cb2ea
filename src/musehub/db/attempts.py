"""Queries about failed logins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import login_attempts


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


async def insert_failures(
    conn: AsyncConnection, subjects: Sequence[str], now: datetime, forget_before: datetime
) -> None:
    """Note one failure for each subject, and drop those too old to count."""
    await conn.execute(login_attempts.delete().where(login_attempts.c.failed_at < forget_before))
    await conn.execute(
        login_attempts.insert(), [{"subject": subject, "failed_at": now} for subject in subjects]
    )


async def forget_failures(conn: AsyncConnection, subject: str) -> None:
    await conn.execute(login_attempts.delete().where(login_attempts.c.subject == subject))
