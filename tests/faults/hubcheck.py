"""Looks at a hub from behind: database, store and hashes agree, and nothing is left over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tests.faults.stage import Stage

from musehub.app.compose import open_hub_store
from musehub.db.engine import open_database
from musehub.db.instants import utc_now
from musehub.upkeep.fsck import check_hub as check_repositories
from musehub.upkeep.gc import collect_garbage

GRACE = timedelta(hours=1)


def check_hub(stage: Stage) -> list[str]:
    """Check, collect garbage as if the grace period were over, check again; returns what is wrong."""
    stage.heal()
    stage.reset()
    return asyncio.run(_check(stage))


async def _check(stage: Stage) -> list[str]:
    settings = stage.load_settings()
    database = open_database(settings)
    store = open_hub_store(settings, database)

    def later() -> datetime:
        return utc_now() + 3 * GRACE

    problems: list[str] = []
    try:
        for checked in await check_repositories(database, store, utc_now, deep=True):
            problems += (f"{stage.kind}: {checked.repository}: {problem}" for problem in checked.problems)
        # Twice: packs leave the store a grace period after their rows.
        for _ in range(2):
            await collect_garbage(database, store, settings, later, grace=GRACE)
        for checked in await check_repositories(database, store, utc_now):
            problems += (f"{stage.kind}: {checked.repository}: {problem}" for problem in checked.problems)
            if checked.orphans:
                problems.append(f"{stage.kind}: {checked.repository}: {checked.orphans} orphans after gc")
    finally:
        await store.close()
        await database.close()
    return problems
