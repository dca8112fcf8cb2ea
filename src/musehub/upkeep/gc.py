"""Clean-up of the whole hub: repositories, keys of the store that nothing names, rows whose time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import NamedTuple

from musehub.db.engine import Database
from musehub.db.expiry import delete_expired
from musehub.db.instants import Clock
from musehub.db.removal import find_remains, remove_rows
from musehub.db.sweep import list_repository_ids
from musehub.settings import Settings
from musehub.storage.port import Store
from musehub.upkeep.collect import Collected, Collector
from musehub.upkeep.lease import leased
from musehub.upkeep.orphans import Orphans, condemn_orphans, delete_condemned

JOB = "gc"
"""The kind of the jobs that do it without being asked."""
TOKENS_KEEP = timedelta(days=30)
"""So long a token that has ended is refused with the reason."""


class GcReport(NamedTuple):
    dry_run: bool
    repositories: list[Collected]
    orphans: Orphans
    deleted_keys: int
    expired: dict[str, int]
    remains: int
    """Repositories whose deletion was cut off, and rows of which were still there."""

    @property
    def freed_bytes(self) -> int:
        return sum(each.freed_bytes for each in self.repositories)


async def collect_garbage(
    database: Database,
    store: Store,
    settings: Settings,
    clock: Clock,
    *,
    grace: timedelta | None = None,
    dry_run: bool = False,
    only: int | None = None,
    report: Callable[[Collected], None] | None = None,
) -> GcReport:
    """Remove what no ref reaches and was recorded longer than `grace` ago; safe while pushes run, in any hub.

    `only` is one repository's id; `report` is called after each. Packs leave the store another `grace` after
    their rows, so that downloads under way end well. Memory: a few thousand ids. Raises `already-running`:
    two at once would do the same work, and each put off the other's removals.
    """
    grace = timedelta(hours=settings.gc_grace_hours) if grace is None else grace
    now = clock()
    deleted = 0
    expired: dict[str, int] = {}
    async with nullcontext() if dry_run else leased(database, "gc", clock, "a clean-up"):
        async with database.read("list repositories") as conn:
            listed = [item for item in await list_repository_ids(conn) if only is None or item[0] == only]
        collected = []
        for repository_id, name in listed:
            collector = Collector(database, store, repository_id, name, cutoff=now - grace, now=now)
            try:
                collected.append(await collector.run(dry_run=dry_run))
            finally:
                await asyncio.to_thread(collector.close)
            if report is not None:
                report(collected[-1])
        remains = 0 if only is not None else await _finish_deletions(database, dry_run=dry_run)
        # What was uploaded a moment ago is about to be confirmed, whatever the grace.
        upload_grace = max(grace, timedelta(seconds=2 * settings.presign_ttl_s))
        orphans = await condemn_orphans(database, store, now - upload_grace, only, dry_run=dry_run)
        if not dry_run:
            deleted = await delete_condemned(database, store, clock, now - grace, only)
        if not dry_run and only is None:
            async with database.transaction("remove what has expired") as conn:
                expired = await delete_expired(
                    conn,
                    pushes_before=now - timedelta(days=settings.push_keep_days),
                    tokens_before=now - TOKENS_KEEP,
                    now=now,
                )
    return GcReport(dry_run, collected, orphans, deleted, expired, remains)


async def _finish_deletions(database: Database, *, dry_run: bool) -> int:
    """Remove rows of repositories that are gone; their packs are keys that no row names."""
    async with database.read("find remains") as conn:
        remains = await find_remains(conn)
    for repository_id in remains if not dry_run else ():
        await remove_rows(database, repository_id)
    return len(remains)
