"""Collects one repository: finds what nothing reaches, and removes it beside running pushes.

docs/decisions/0010-collecting-beside-pushes.md gives the argument. In short: every removal locks the
repository and goes on only if nothing was recorded and no ref moved since this clean-up last looked; else
it looks again first. What names something is removed before it: whatever remains is closed at every moment.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from muse.errors import CorruptStore, NotFound
from muse.packs.pack import INDEX_ENTRY, PackWriter
from muse.packs.record import Record, encode_object
from musehub.db.blobs import BlobRow, load_blob_rows
from musehub.db.checks import keep_missing
from musehub.db.condemned import condemn_packs, take_back_pack
from musehub.db.engine import Database
from musehub.db.state import Totals, add_to_totals, load_state, note_healed
from musehub.db.sweep import (
    PackFacts,
    delete_blobs,
    delete_packs,
    delete_records,
    find_last_position,
    replace_record,
    sum_payloads,
    switch_pack,
)
from musehub.repos.objects import ObjectReader, parse_stored
from musehub.storage.port import Store, pack_key
from musehub.upkeep.marking import Marking
from musehub.upkeep.marks import Marks

REMOVE_AT_ONCE = 2_000
"""Rows of one transaction: some 50 ms."""
ENCODE_AT_ONCE = 100
_NOTHING = (0, 0)
MAX_ATTEMPTS = 20
"""So often a removal is put off because of pushes before the rest is left to the next clean-up."""


class Collected(NamedTuple):
    """What was removed from a repository, or would be. `left` says why it was not, or not all."""

    repository: str
    objects: dict[str, int]
    packs: int
    rewritten_packs: int
    freed_bytes: int
    left: str | None = None


class _Busy(Exception):
    """Pushes came faster than this clean-up could look at them."""


class Collector:
    """One clean-up of one repository: what was recorded at `cutoff` or later is kept. Close it."""

    def __init__(
        self,
        database: Database,
        store: Store,
        repository_id: int,
        name: str,
        *,
        cutoff: datetime,
        now: datetime,
    ) -> None:
        self._database = database
        self._store = store
        self._id = repository_id
        self._name = name
        self._now = now
        self._seen = Marking(database, store, repository_id, cutoff)
        self._marks = self._seen.marks
        self._packs = self._seen.packs
        self._rewritten = 0
        self._removed_packs = 0
        self._freed = 0

    def close(self) -> None:
        self._seen.close()

    async def run(self, *, dry_run: bool) -> Collected:
        """Mark and sweep. A repository that is damaged or being deleted is left alone."""
        objects: dict[str, int] = {}
        try:
            await self.mark()
            objects = await asyncio.to_thread(self._marks.count_dead_by_kind)
            if dry_run:
                await self._estimate()
            else:
                await self.sweep()
        except _Busy:
            return self._collected(
                objects, "it is being pushed to all the time; the rest is left for the next time"
            )
        except CorruptStore as error:
            return self._collected(objects, f"{error.message}; run `musehub fsck {self._name}`")
        except NotFound as error:
            return self._collected(objects, error.message)
        return self._collected(objects, None)

    def _collected(self, objects: dict[str, int], left: str | None) -> Collected:
        return Collected(self._name, objects, self._removed_packs, self._rewritten, self._freed, left)

    async def mark(self) -> None:
        """Find what is reachable."""
        await self._seen.begin()

    # ---- sweep

    async def sweep(self) -> None:
        """Remove what is not reachable, whatever is pushed meanwhile; `mark` came before."""
        await self._free_live_records()
        while await self._alone("remove records", self._remove_records):
            pass
        while await self._alone("remove blobs", self._remove_blobs):
            pass
        while await self._alone("remove packs", self._remove_packs):
            pass
        for pack in await self._choose_half_dead():
            await self._rewrite(pack)
        await self._alone("forget missing objects", self._forget_missing)

    async def _alone(self, name: str, work: Callable[[AsyncConnection], Awaitable[Totals | None]]) -> bool:
        """Run `work` in a transaction that sees exactly what was marked; False when it has nothing to do."""
        for attempt in range(MAX_ATTEMPTS):
            await self._seen.catch_up()
            async with self._database.transaction(name) as conn:
                state = await load_state(conn, self._id, lock=True)
                if state is None:
                    raise NotFound("repository-not-found", "it was deleted")
                if state.write_count != self._seen.write_count:
                    continue
                freed = await work(conn)
                if freed is None:
                    return False
                await add_to_totals(conn, self._id, -freed.bytes, -freed.objects, removed=True)
                if not self._database.is_postgresql:
                    self._seen.last_position = await find_last_position(conn, self._id)
            self._seen.write_count += 1
            self._freed += freed.bytes
            await asyncio.sleep(0.01 * attempt)  # let those who wait for the lock have it
            return True
        raise _Busy

    async def _free_live_records(self) -> None:
        """Encode those live records anew whose base is not: else they would keep all that it names."""
        reader = ObjectReader(self._database, self._store, self._id)
        while keys := await asyncio.to_thread(self._marks.find_based_on_dead, ENCODE_AT_ONCE):
            encoded: list[tuple[bytes, Record]] = []
            for kind, object_id in keys:
                data = await reader.load(kind, object_id)
                encoded.append((object_id, await asyncio.to_thread(encode_object, kind, data)))

            async def replace(
                conn: AsyncConnection, encoded: Sequence[tuple[bytes, Record]] = encoded
            ) -> Totals:
                grown = [
                    await replace_record(conn, self._id, object_id, record) for object_id, record in encoded
                ]
                return Totals(-sum(grown), 0)

            await self._alone("encode records anew", replace)
            await asyncio.to_thread(self._marks.forget_base, keys)

    async def _remove_records(self, conn: AsyncConnection) -> Totals | None:
        dead = self._marks.next_dead_records(REMOVE_AT_ONCE)
        if not dead:
            return None
        freed = [await delete_records(conn, self._id, kind, ids) for kind, ids in dead.items()]
        self._marks.forget_records(dead)
        return Totals(sum(each.bytes for each in freed), sum(each.objects for each in freed))

    async def _remove_blobs(self, conn: AsyncConnection) -> Totals | None:
        dead = self._marks.next_dead_blobs(REMOVE_AT_ONCE)
        if not dead:
            return None
        count = await delete_blobs(conn, self._id, dead)
        self._marks.forget_blobs(dead)
        return Totals(0, count)

    async def _remove_packs(self, conn: AsyncConnection) -> Totals | None:
        live = self._marks.sum_packs()
        empty = [pack for pack in self._old_packs() if pack.id not in live][:REMOVE_AT_ONCE]
        if not empty:
            return None
        size_bytes = await delete_packs(conn, self._id, [pack.id for pack in empty])
        await condemn_packs(conn, self._id, [pack.digest for pack in empty], self._now)
        for pack in empty:
            del self._packs[pack.id]
        self._removed_packs += len(empty)
        return Totals(size_bytes, 0)

    async def _forget_missing(self, conn: AsyncConnection) -> Totals | None:
        """Nobody need bring back what nothing names any more."""
        state = await load_state(conn, self._id)
        if state is None or not state.is_incomplete:
            return None
        await keep_missing(conn, self._id, sorted(self._seen.absent_blobs))
        await note_healed(conn, self._id)
        return Totals(0, 0)

    async def _choose_half_dead(self) -> list[PackFacts]:
        live = await asyncio.to_thread(self._marks.sum_packs)
        return [pack for pack in self._old_packs() if _is_half_dead(pack, live.get(pack.id, _NOTHING))]

    def _old_packs(self) -> list[PackFacts]:
        return [pack for pack in self._packs.values() if not self._seen.is_young(pack.id)]

    async def _rewrite(self, pack: PackFacts) -> None:
        """Put what is live of a pack into a new one, under the same number: the order of packs stays."""
        ids = await asyncio.to_thread(self._marks.list_live_in, pack.id)
        async with self._database.read("load blobs") as conn:
            rows = [row for row in await load_blob_rows(conn, self._id, ids) if row.pack_id == pack.id]
        async with self._store.open(pack_key(self._id, pack.digest)) as view:
            parts, new, moved = await asyncio.to_thread(_copy_live, view, pack, rows)
        await self._store.put(pack_key(self._id, new.digest), parts, new.digest)

        async def switch(conn: AsyncConnection) -> Totals | None:
            if not await take_back_pack(conn, self._id, new.digest, self._now):
                return None
            if not await switch_pack(conn, self._id, pack, new, moved):
                return None
            await condemn_packs(conn, self._id, [pack.digest], self._now)
            return Totals(pack.size_bytes - new.size_bytes, 0)

        if await self._alone("switch packs", switch):
            self._packs[pack.id] = new
            self._rewritten += 1

    # ---- preview

    async def _estimate(self) -> None:
        live = await asyncio.to_thread(self._marks.sum_packs)
        for pack in self._old_packs():
            count, size_bytes = live.get(pack.id, _NOTHING)
            if not count:
                self._removed_packs += 1
                self._freed += pack.size_bytes
            elif _is_half_dead(pack, (count, size_bytes)):
                self._rewritten += 1
                self._freed += pack.size_bytes - size_bytes - INDEX_ENTRY.size * count
        async with self._database.read("measure records") as conn:
            self._freed += await _measure_dead(conn, self._id, self._marks)


def _is_half_dead(pack: PackFacts, live: tuple[int, int]) -> bool:
    """Whether writing it anew is worth it; `live` is how many objects of it are, and their bytes."""
    count, size_bytes = live
    # What is dead may be less than the index: nothing is won then.
    return 0 < count < pack.object_count and 2 * size_bytes < pack.size_bytes


async def _measure_dead(conn: AsyncConnection, repository_id: int, marks: Marks) -> int:
    total = 0
    for kind, ids in marks.iter_dead(REMOVE_AT_ONCE):
        total += await sum_payloads(conn, repository_id, kind, ids)
    return total


def _copy_live(
    view: memoryview, pack: PackFacts, rows: list[BlobRow]
) -> tuple[list[bytes | memoryview], PackFacts, list[BlobRow]]:
    """A new pack with these blobs in their order; raises `corrupt-segment` unless the old one is whole."""
    if hashlib.sha256(view).digest() != pack.digest:
        raise CorruptStore("corrupt-segment", f"the pack {pack.digest.hex()} is damaged")
    writer = PackWriter()
    moved = []
    for row in sorted(rows, key=lambda row: row.offset):
        record = parse_stored(view, row.offset, row)
        moved.append(row._replace(offset=writer.size_bytes))
        writer.add(row.id, record._replace(payload=bytes(record.payload)))
    digest, parts = writer.seal()
    size_bytes = sum(map(len, parts))
    return parts, pack._replace(digest=digest, size_bytes=size_bytes, object_count=len(moved)), moved
