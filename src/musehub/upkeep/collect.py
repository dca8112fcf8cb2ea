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
from muse.objects.ids import Kind
from muse.objects.references import iter_references
from muse.packs.pack import PackWriter
from muse.packs.record import Record, encode_object
from musehub.db.checks import keep_missing
from musehub.db.engine import Database
from musehub.db.objects import BlobRow, load_blob_rows
from musehub.db.refs import list_refs
from musehub.db.state import Totals, add_to_totals, load_state, note_healed, take_back_pack
from musehub.db.sweep import (
    PackFacts,
    condemn_packs,
    delete_blobs,
    delete_packs,
    delete_records,
    find_last_position,
    iter_blob_rows,
    iter_record_places,
    list_blobs_after,
    list_pack_facts,
    list_records_after,
    replace_record,
    sum_payloads,
    switch_pack,
)
from musehub.repos.objects import ObjectReader, parse_stored, record_size
from musehub.storage.port import Store, pack_key
from musehub.upkeep.marks import Marks

WALK_AT_ONCE = 500
REMOVE_AT_ONCE = 2_000
"""Rows of one transaction: some 50 ms."""
ENCODE_AT_ONCE = 100
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
    """One clean-up of one repository; `cutoff` is since when everything is kept. Close it."""

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
        self._cutoff = cutoff
        self._now = now
        self._marks = Marks()
        self._refs: set[tuple[int, bytes]] = set()
        self._write_count = 0
        self._last_position = 0
        self._packs: dict[int, PackFacts] = {}
        self._last_pack = 0
        self._absent_blobs: set[bytes] = set()
        self._rewritten = 0
        self._removed_packs = 0
        self._freed = 0

    def close(self) -> None:
        self._marks.close()

    async def run(self, *, dry_run: bool) -> Collected:
        """Mark and sweep. A repository that is damaged or being deleted is left alone."""
        objects: dict[str, int] = {}
        try:
            await self._mark()
            objects = await asyncio.to_thread(self._marks.count_dead_by_kind)
            if dry_run:
                await self._estimate()
            else:
                await self._sweep()
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

    # ---- mark

    async def _mark(self) -> None:
        async with self._database.transaction("begin clean-up") as conn:
            state = await load_state(conn, self._id, lock=True)
            if state is None:
                raise NotFound("repository-not-found", "it was deleted")
            self._write_count = state.write_count
            self._last_position = await find_last_position(conn, self._id)
            packs = await list_pack_facts(conn, self._id)
            refs = await list_refs(conn, self._id)
        self._packs = {pack.id: pack for pack in packs}
        self._last_pack = max(self._packs, default=0)
        async for page in iter_record_places(self._database, self._id):
            young = [place.recorded_at >= self._cutoff for place in page]
            await asyncio.to_thread(self._marks.add_records, page, young)
        async for rows in iter_blob_rows(self._database, self._id):
            live = [self._is_young(row.pack_id) for row in rows]
            await asyncio.to_thread(self._marks.add_blobs, rows, map(record_size, rows), live)
        self._refs = {(int(ref.kind), ref.target) for ref in refs.values()}
        await self._mark_keys(self._refs)
        await self._walk()
        await asyncio.to_thread(self._marks.keep_bases)

    def _is_young(self, pack_id: int) -> bool:
        pack = self._packs.get(pack_id)
        return pack is None or pack.created_at >= self._cutoff

    async def _mark_keys(self, keys: set[tuple[int, bytes]]) -> None:
        self._check_absent(await asyncio.to_thread(self._marks.mark, keys))

    def _check_absent(self, absent: set[tuple[int, bytes]]) -> None:
        # Blobs that a check found missing are noted as such; a record that is named must be there.
        self._absent_blobs.update(object_id for kind, object_id in absent if kind == Kind.BLOB)
        damaged = [key for key in absent if key[0] != Kind.BLOB]
        if damaged:
            kind, object_id = damaged[0]
            raise CorruptStore(
                "missing-object", f"the {Kind(kind).name.lower()} {object_id.hex()} is named and not there"
            )

    async def _walk(self) -> None:
        """Mark all that live records name.

        Commits are read all, dead ones too, in the order in which they were recorded: following them from the
        newest to the oldest would be one question each.
        """
        reader = ObjectReader(self._database, self._store, self._id)
        last = 0
        while page := await asyncio.to_thread(self._marks.list_commits, last, WALK_AT_ONCE):
            loaded = await reader.load_many(Kind.COMMIT, [object_id for _position, object_id in page])
            await asyncio.to_thread(self._add_edges, loaded)
            last = page[-1][0]
        while True:
            self._check_absent(await asyncio.to_thread(self._marks.spread))
            todo = await asyncio.to_thread(self._marks.take_todo, WALK_AT_ONCE)
            if not todo:
                return
            for kind, ids in todo.items():
                loaded = await reader.load_many(kind, ids)
                named = await asyncio.to_thread(_find_named, kind, list(loaded.values()))
                await self._mark_keys(named)

    def _add_edges(self, loaded: dict[bytes, bytes]) -> None:
        self._marks.add_edges(
            (commit_id, int(kind), object_id)
            for commit_id, data in loaded.items()
            for kind, object_id in iter_references(Kind.COMMIT, data)
        )

    async def _catch_up(self) -> None:
        """Mark what was recorded, and where refs moved to, since this clean-up last looked."""
        async with self._database.read("look again") as conn:
            state = await load_state(conn, self._id)
            if state is None:
                raise NotFound("repository-not-found", "it was deleted")
            if state.write_count == self._write_count:
                return
            refs = await list_refs(conn, self._id)
            places = await list_records_after(conn, self._id, self._last_position)
            packs = await list_pack_facts(conn, self._id, self._last_pack)
            rows = await list_blobs_after(conn, self._id, self._last_pack) if packs else []
        self._packs |= {pack.id: pack for pack in packs}
        await asyncio.to_thread(self._marks.add_records, places, [True] * len(places))
        await asyncio.to_thread(self._marks.add_blobs, rows, map(record_size, rows), [True] * len(rows))
        moved = {(int(ref.kind), ref.target) for ref in refs.values()} - self._refs
        # What is based on something needs it, and all that this names, to stay.
        bases = {(place.kind, place.base) for place in places if place.base is not None}
        await self._mark_keys(moved | bases)
        await self._walk()
        await asyncio.to_thread(self._marks.keep_bases)
        self._refs |= moved
        self._write_count = state.write_count
        self._last_position = max((place.position for place in places), default=self._last_position)
        self._last_pack = max((pack.id for pack in packs), default=self._last_pack)

    # ---- sweep

    async def _sweep(self) -> None:
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
            await self._catch_up()
            async with self._database.transaction(name) as conn:
                state = await load_state(conn, self._id, lock=True)
                if state is None:
                    raise NotFound("repository-not-found", "it was deleted")
                if state.write_count != self._write_count:
                    continue
                freed = await work(conn)
                if freed is None:
                    return False
                await add_to_totals(conn, self._id, -freed.bytes, -freed.objects, removed=True)
                if not self._database.is_postgresql:
                    self._last_position = await find_last_position(conn, self._id)
            self._write_count += 1
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
        empty = [pack for pack in self._packs.values() if pack.id not in live and not self._is_young(pack.id)]
        empty = empty[:REMOVE_AT_ONCE]
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
        await keep_missing(conn, self._id, sorted(self._absent_blobs))
        await note_healed(conn, self._id)
        return Totals(0, 0)

    async def _choose_half_dead(self) -> list[PackFacts]:
        live = await asyncio.to_thread(self._marks.sum_packs)
        return [
            pack
            for pack in self._packs.values()
            if not self._is_young(pack.id)
            and pack.id in live
            and 2 * live[pack.id][1] < pack.size_bytes
            # What is dead may be less than the index: nothing is won then.
            and live[pack.id][0] < pack.object_count
        ]

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
        for pack in self._packs.values():
            if self._is_young(pack.id):
                continue
            count, size_bytes = live.get(pack.id, (0, 0))
            if not count:
                self._removed_packs += 1
                self._freed += pack.size_bytes
            elif 2 * size_bytes < pack.size_bytes and count < pack.object_count:
                self._rewritten += 1
                self._freed += pack.size_bytes - size_bytes - 36 * count
        async with self._database.read("measure records") as conn:
            self._freed += await _measure_dead(conn, self._id, self._marks)


async def _measure_dead(conn: AsyncConnection, repository_id: int, marks: Marks) -> int:
    total = 0
    for kind, ids in marks.iter_dead(REMOVE_AT_ONCE):
        total += await sum_payloads(conn, repository_id, kind, ids)
    return total


def _find_named(kind: Kind, objects: list[bytes]) -> set[tuple[int, bytes]]:
    return {(int(of), object_id) for data in objects for of, object_id in iter_references(kind, data)}


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
