"""Removes rows whose time is over: old pushes, ended tokens, challenges, failed logins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import login_attempts, pushes, tokens, used_challenges


async def delete_expired(
    conn: AsyncConnection, *, pushes_before: datetime, tokens_before: datetime, now: datetime
) -> dict[str, int]:
    """Remove old pushes, tokens that ended before, challenges and failed logins nobody asks about."""
    statements: dict[str, Any] = {
        "pushes": pushes.delete().where(
            sa.func.coalesce(pushes.c.finished_at, pushes.c.started_at) < pushes_before
        ),
        "tokens": tokens.delete().where(
            (tokens.c.expires_at < tokens_before) | (tokens.c.revoked_at < tokens_before)
        ),
        "challenges": used_challenges.delete().where(used_challenges.c.expires_at < now),
        "failed logins": login_attempts.delete().where(login_attempts.c.failed_at < tokens_before),
    }
    return {name: (await conn.execute(statement)).rowcount for name, statement in statements.items()}
