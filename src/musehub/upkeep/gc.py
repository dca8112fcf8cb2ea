"""Clean-up of the whole hub: repositories, keys of the store that nothing names, rows whose time is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import NamedTuple

from musehub.db.condemned import (
    condemn_packs,
    find_unnamed_digests,
    forget_condemned,
    lease_condemned,
    list_condemned,
)
from musehub.db.engine import Database
from musehub.db.expiry import delete_expired
from musehub.db.instants import Clock
from musehub.db.packs import find_packs
from musehub.db.removal import find_remains, remove_rows
from musehub.db.state import load_state
from musehub.db.sweep import list_repository_ids
from musehub.repos.disposal import LEASE_S, delete_leased
from musehub.settings import Settings
from musehub.storage.port import Store, StoredObject, parse_pack_key
from musehub.upkeep.collect import Collected, Collector
from musehub.upkeep.lease import leased

JOB = "gc"
"""The kind of the jobs that do it without being asked."""
KEYS_AT_ONCE = 500
TOKENS_KEEP = timedelta(days=30)
"""So long a token that has ended is refused with the reason."""


class Orphans(NamedTuple):
    """Keys of the store that no row names: `condemned` by a clean-up, or left behind by a push that died."""

    keys: int
    size_bytes: int
    uploads: int


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
    once = nullcontext() if dry_run else leased(database, "gc", clock, "a clean-up")
    async with once:
        return await _collect(database, store, settings, clock, grace, dry_run, only, report)


async def _collect(
    database: Database,
    store: Store,
    settings: Settings,
    clock: Clock,
    grace: timedelta | None,
    dry_run: bool,
    only: int | None,
    report: Callable[[Collected], None] | None,
) -> GcReport:
    grace = timedelta(hours=settings.gc_grace_hours) if grace is None else grace
    now = clock()
    async with database.read("list repositories") as conn:
        listed = [item for item in await list_repository_ids(conn) if only is None or item[0] == only]
    done = []
    for repository_id, name in listed:
        collector = Collector(database, store, repository_id, name, cutoff=now - grace, now=now)
        try:
            done.append(await collector.run(dry_run=dry_run))
        finally:
            await asyncio.to_thread(collector.close)
        if report is not None:
            report(done[-1])
    remains = 0 if only is not None else await _finish_deletions(database, dry_run=dry_run)
    # What was uploaded a moment ago is about to be confirmed, whatever the grace.
    upload_grace = max(grace, timedelta(seconds=2 * settings.presign_ttl_s))
    orphans = await _find_orphans(database, store, now - upload_grace, only, dry_run=dry_run)
    deleted = 0
    expired: dict[str, int] = {}
    if not dry_run:
        deleted = await _delete_condemned(database, store, clock, now - grace, only)
        if only is None:
            async with database.transaction("remove what has expired") as conn:
                expired = await delete_expired(
                    conn,
                    pushes_before=now - timedelta(days=settings.push_keep_days),
                    tokens_before=now - TOKENS_KEEP,
                    now=now,
                )
    return GcReport(dry_run, done, orphans, deleted, expired, remains)


async def _finish_deletions(database: Database, *, dry_run: bool) -> int:
    """Remove rows of repositories that are gone; their packs are keys that no row names."""
    async with database.read("find remains") as conn:
        remains = await find_remains(conn)
    for repository_id in remains if not dry_run else ():
        await remove_rows(database, repository_id)
    return len(remains)


async def _find_orphans(
    database: Database, store: Store, cutoff: datetime, only: int | None, *, dry_run: bool
) -> Orphans:
    """Condemn keys older than `cutoff` that no row names, and give up uploads as old."""
    prefix = "packs/" if only is None else f"packs/{only}/"
    keys = size_bytes = uploads = 0
    async for batch in _in_batches(store.list(prefix)):
        by_repository: dict[int, list[tuple[bytes, int]]] = {}
        for item in batch:
            parsed = parse_pack_key(item.key)
            if parsed is not None and item.stored_at < cutoff:
                by_repository.setdefault(parsed[0], []).append((parsed[1], item.size_bytes))
        for repository_id, found in by_repository.items():
            digests = [digest for digest, _size in found]
            async with database.transaction("condemn orphans") as conn:
                await load_state(conn, repository_id, lock=True)  # None if it was deleted: then nobody pushes
                unnamed = await find_unnamed_digests(conn, repository_id, digests)
                orphans = [(digest, size) for digest, size in found if digest in unnamed]
                if not dry_run:
                    # They are older than the grace already.
                    await condemn_packs(conn, repository_id, [digest for digest, _size in orphans], cutoff)
            keys += len(orphans)
            size_bytes += sum(size for _digest, size in orphans)
    async for upload in store.list_uploads(prefix):
        if upload.started_at < cutoff:
            uploads += 1
            if not dry_run:
                await store.abort_upload(upload.key, upload.upload)
    return Orphans(keys, size_bytes, uploads)


async def _in_batches(items: AsyncIterator[StoredObject]) -> AsyncIterator[Sequence[StoredObject]]:
    batch: list[StoredObject] = []
    async for item in items:
        batch.append(item)
        if len(batch) >= KEYS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _delete_condemned(
    database: Database, store: Store, clock: Clock, before: datetime, only: int | None
) -> int:
    deleted = 0
    while True:
        now = clock()
        async with database.read("list condemned") as conn:
            found = await list_condemned(conn, before, now, only, KEYS_AT_ONCE)
        if not found:
            return deleted
        by_repository: dict[int, list[bytes]] = {}
        for repository_id, digest in found:
            by_repository.setdefault(repository_id, []).append(digest)
        for repository_id, digests in by_repository.items():
            async with database.transaction("lease condemned") as conn:
                await load_state(conn, repository_id, lock=True)
                recorded = await find_packs(conn, repository_id, digests)
                if recorded:  # a push recorded them again
                    await forget_condemned(conn, repository_id, [pack.digest for pack in recorded])
                until = now + timedelta(seconds=LEASE_S)
                leased = await lease_condemned(conn, repository_id, digests, now, until)
            if not leased:
                continue
            await delete_leased(database, store, repository_id, leased, LEASE_S)
            deleted += len(leased)
