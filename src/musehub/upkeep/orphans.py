"""Keys of the store that nothing names: found, condemned, and a grace later deleted.

docs/decisions/0010-collecting-beside-pushes.md says why no push can lose a pack by this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
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
from musehub.db.instants import Clock
from musehub.db.packs import find_packs
from musehub.db.state import load_state
from musehub.repos.disposal import LEASE_S, delete_leased
from musehub.storage.port import Store, StoredObject, parse_pack_key

KEYS_AT_ONCE = 500


class Orphans(NamedTuple):
    """Keys of the store that no row names: `condemned` by a clean-up, or left behind by a push that died."""

    keys: int
    size_bytes: int
    uploads: int


async def condemn_orphans(
    database: Database, store: Store, cutoff: datetime, only: int | None, *, dry_run: bool
) -> Orphans:
    """Condemn keys that no row names, and give up uploads, if older than `cutoff`; `dry_run` only counts."""
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


async def delete_condemned(
    database: Database, store: Store, clock: Clock, before: datetime, only: int | None
) -> int:
    """Delete from the store what was condemned at `before` at the latest; returns how many packs."""
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
            if leased and await delete_leased(database, store, repository_id, leased, LEASE_S):
                deleted += len(leased)
