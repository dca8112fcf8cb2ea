"""Whether it is time for a job that the whole hub runs now and then."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.outbox import DISCARDED
from musehub.db.tables import outbox, users

_POSTGRESQL_LOCK = 0x6D757365_736368
"""Held by who schedules; on SQLite every writer excludes all others."""


async def is_due(conn: AsyncConnection, kind: str, every: timedelta, now: datetime) -> bool:
    """Whether no job of that kind is open or was made within `every`, in a hub as old as that.

    Nobody else can decide the same until this transaction ends.
    """
    if conn.dialect.name == "postgresql":
        await conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRESQL_LOCK})")
    c = outbox.c
    recent = (c.kind == kind) & (c.done_at.is_(None) | (c.created_at > now - every))
    # In a hub that is younger nothing can be old enough.
    aged = sa.exists().where(users.c.created_at <= now - every)
    return bool(await conn.scalar(sa.select(aged & ~sa.exists().where(recent))))


async def hold_off(conn: AsyncConnection, kind: str, now: datetime, until: datetime, why: str) -> None:
    """Let no job of that kind be due before `until`, and take those that are open off the queue."""
    c = outbox.c
    gone = {"done_at": now, "outcome": DISCARDED, "worker": None}
    await conn.execute(outbox.update().where(c.kind == kind, c.done_at.is_(None)).values(**gone))
    # A job of the future that is over: until then it is the last one.
    hold = {"kind": kind, "payload": {}, "created_at": until, "run_after": until, "done_at": until}
    await conn.execute(outbox.insert().values(**hold, outcome=DISCARDED, last_error=why))
