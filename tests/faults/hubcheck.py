"""Looks at a hub from behind: what its database says, its store has to hold."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import sqlalchemy as sa
from tests.faults.stage import Stage

from musehub.app.compose import open_hub_store
from musehub.db import tables
from musehub.db.engine import open_database
from musehub.db.instants import utc_now
from musehub.storage.port import pack_key

GRACE = timedelta(hours=1)
"""Packs that no row names may lie in the store for so long: a push may be under way."""


def check_hub(stage: Stage) -> list[str]:
    """Return what is wrong."""
    return asyncio.run(_check(stage))


async def _check(stage: Stage) -> list[str]:
    settings = stage.load_settings()
    database = open_database(settings)
    store = open_hub_store(settings, database)
    problems = []
    try:
        async with database.read("check packs") as conn:
            rows = (await conn.execute(sa.select(tables.packs))).all()
        named = {pack_key(row.repository_id, row.digest): row.size_bytes for row in rows}
        found = {stored.key: stored async for stored in store.list("")}
        for key, size in named.items():
            if key not in found:
                problems.append(f"{stage.kind}: the pack {key} is not in the store")
            elif found[key].size_bytes != size:
                problems.append(f"{stage.kind}: the pack {key} has {found[key].size_bytes} bytes, not {size}")
        for key, stored in found.items():
            if key not in named and utc_now() - stored.stored_at > GRACE:
                problems.append(f"{stage.kind}: {key} is an orphan beyond the grace period")
    finally:
        await store.close()
        await database.close()
    return problems
