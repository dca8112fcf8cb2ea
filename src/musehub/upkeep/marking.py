"""Finds what of one repository is reachable, and what of it came to be so since one last looked."""

from __future__ import annotations

import asyncio
from datetime import datetime

from muse.errors import CorruptStore, NotFound
from muse.objects.ids import Kind
from muse.objects.references import iter_references
from musehub.db.engine import Database
from musehub.db.refs import list_refs
from musehub.db.state import load_state
from musehub.db.sweep import (
    PackFacts,
    find_last_position,
    iter_blob_rows,
    iter_record_places,
    list_blobs_after,
    list_pack_facts,
    list_records_after,
)
from musehub.repos.objects import ObjectReader, record_size
from musehub.storage.port import Store
from musehub.upkeep.marks import Marks

WALK_AT_ONCE = 500


class Marking:
    """What a clean-up has seen of a repository. Everything recorded since `cutoff` is live. Close it.

    `write_count` and `last_position` say up to where it has seen; `absent_blobs` are those that something
    live names and that are not there.
    """

    def __init__(self, database: Database, store: Store, repository_id: int, cutoff: datetime) -> None:
        self._database = database
        self._store = store
        self._id = repository_id
        self._cutoff = cutoff
        self._refs: set[tuple[int, bytes]] = set()
        self._last_pack = 0
        self.marks = Marks()
        self.packs: dict[int, PackFacts] = {}
        self.absent_blobs: set[bytes] = set()
        self.write_count = 0
        self.last_position = 0

    def close(self) -> None:
        self.marks.close()

    async def begin(self) -> None:
        """Look at all of the repository; raises `repository-not-found`, `missing-object`."""
        async with self._database.transaction("begin clean-up") as conn:
            state = await load_state(conn, self._id, lock=True)
            if state is None:
                raise NotFound("repository-not-found", "it was deleted")
            self.write_count = state.write_count
            self.last_position = await find_last_position(conn, self._id)
            packs = await list_pack_facts(conn, self._id)
            refs = await list_refs(conn, self._id)
        self.packs.update((pack.id, pack) for pack in packs)
        self._last_pack = max(self.packs, default=0)
        async for page in iter_record_places(self._database, self._id):
            young = [place.recorded_at >= self._cutoff for place in page]
            await asyncio.to_thread(self.marks.add_records, page, young)
        async for rows in iter_blob_rows(self._database, self._id):
            live = [self.is_young(row.pack_id) for row in rows]
            await asyncio.to_thread(self.marks.add_blobs, rows, map(record_size, rows), live)
        self._refs = {(int(ref.kind), ref.target) for ref in refs.values()}
        await self._mark_keys(self._refs)
        await self._walk()
        await asyncio.to_thread(self.marks.keep_bases)

    def is_young(self, pack_id: int) -> bool:
        pack = self.packs.get(pack_id)
        return pack is None or pack.created_at >= self._cutoff

    async def _mark_keys(self, keys: set[tuple[int, bytes]]) -> None:
        self._check_absent(await asyncio.to_thread(self.marks.mark, keys))

    def _check_absent(self, absent: set[tuple[int, bytes]]) -> None:
        # Blobs that a check found missing are noted as such; a record that is named must be there.
        self.absent_blobs.update(object_id for kind, object_id in absent if kind == Kind.BLOB)
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
        while page := await asyncio.to_thread(self.marks.list_commits, last, WALK_AT_ONCE):
            loaded = await reader.load_many(Kind.COMMIT, [object_id for _position, object_id in page])
            await asyncio.to_thread(self._add_edges, loaded)
            last = page[-1][0]
        while True:
            self._check_absent(await asyncio.to_thread(self.marks.spread))
            todo = await asyncio.to_thread(self.marks.take_todo, WALK_AT_ONCE)
            if not todo:
                return
            for kind, ids in todo.items():
                loaded = await reader.load_many(kind, ids)
                named = await asyncio.to_thread(_find_named, kind, list(loaded.values()))
                await self._mark_keys(named)

    def _add_edges(self, loaded: dict[bytes, bytes]) -> None:
        self.marks.add_edges(
            (commit_id, int(kind), object_id)
            for commit_id, data in loaded.items()
            for kind, object_id in iter_references(Kind.COMMIT, data)
        )

    async def catch_up(self) -> None:
        """Mark what was recorded, and where refs moved to, since this clean-up last looked."""
        async with self._database.read("look again") as conn:
            state = await load_state(conn, self._id)
            if state is None:
                raise NotFound("repository-not-found", "it was deleted")
            if state.write_count == self.write_count:
                return
            refs = await list_refs(conn, self._id)
            places = await list_records_after(conn, self._id, self.last_position)
            packs = await list_pack_facts(conn, self._id, self._last_pack)
            rows = await list_blobs_after(conn, self._id, self._last_pack) if packs else []
        self.packs.update((pack.id, pack) for pack in packs)
        await asyncio.to_thread(self.marks.add_records, places, [True] * len(places))
        await asyncio.to_thread(self.marks.add_blobs, rows, map(record_size, rows), [True] * len(rows))
        moved = {(int(ref.kind), ref.target) for ref in refs.values()} - self._refs
        # What is based on something needs it, and all that this names, to stay.
        bases = {(place.kind, place.base) for place in places if place.base is not None}
        await self._mark_keys(moved | bases)
        await self._walk()
        await asyncio.to_thread(self.marks.keep_bases)
        self._refs |= moved
        self.write_count = state.write_count
        self.last_position = max((place.position for place in places), default=self.last_position)
        self._last_pack = max((pack.id for pack in packs), default=self._last_pack)


def _find_named(kind: Kind, objects: list[bytes]) -> set[tuple[int, bytes]]:
    return {(int(of), object_id) for data in objects for of, object_id in iter_references(kind, data)}
