"""All trees, chunk lists and blobs below some trees, for somebody who has nothing: a clone.

Nothing has to be compared path by path, so no name is read and what was seen is skipped as a set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from muse.errors import CorruptStore
from muse.objects.chunks import decode_chunks
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, PAGE, read_ids
from musehub.db.engine import Database
from musehub.db.records import find_positions
from musehub.repos.objects import ObjectReader

LOAD_AT_ONCE = 2_000
LOAD_AT_ONCE_BYTES = 8 << 20
ASK_AT_ONCE = 50_000

_BLOBS = frozenset(map(ord, BLOB_KINDS))
_TREES = frozenset((ord(DIRECTORY), ord(PAGE)))
_LETTERS = {Kind.BLOB: _BLOBS, Kind.TREE: _TREES, Kind.CHUNKS: frozenset(map(ord, CHUNKED_KINDS))}
"""The kinds of entries that name each; a submodule names nothing."""


class Below:
    """What some trees and chunk lists name, and what they name without having been seen before."""

    def __init__(self) -> None:
        self.blobs: set[bytes] = set()
        self.seen: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set()}
        self.fresh: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set()}

    def add(self, kind: Kind, ids: Iterable[bytes]) -> None:
        """Note that these are wanted."""
        if kind is Kind.BLOB:
            self.blobs.update(ids)
        elif kind in self.seen:
            new = set(ids) - self.seen[kind]
            self.seen[kind] |= new
            self.fresh[kind] |= new

    def read(self, kind: Kind, loaded: Mapping[bytes, bytes]) -> None:
        """Note what these objects name; they were validated when they were recorded."""
        for data in loaded.values():
            if kind is Kind.CHUNKS:
                node = decode_chunks(data)
                self.add(Kind.CHUNKS if node.level else Kind.BLOB, [chunk.id for chunk in node.chunks])
                continue
            kinds, ids = read_ids(data)
            among = set(kinds)
            if among <= _TREES:
                self.add(Kind.TREE, ids)
            elif among <= _BLOBS:
                self.blobs.update(ids)
            else:
                for target, letters in _LETTERS.items():
                    self.add(target, [one for one, of in zip(ids, kinds, strict=True) if of in letters])

    def take(self, kind: Kind) -> set[bytes]:
        """Return those that were not seen before the last call."""
        fresh, self.fresh[kind] = self.fresh[kind], set()
        return fresh


class WholeWalk:
    """After `run`: what `TreeWalk` offers, for haves that are empty."""

    def __init__(self, database: Database, reader: ObjectReader, repository_id: int) -> None:
        self._database = database
        self._reader = reader
        self._repository_id = repository_id
        self._below = Below()
        self.records: list[tuple[int, Kind, bytes]] = []
        self.had: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set(), Kind.BLOB: set()}

    @property
    def blobs(self) -> set[bytes]:
        return self._below.blobs

    async def run(self, wants: Iterable[bytes]) -> None:
        """Walk from root trees; raises CorruptStore("missing-object")."""
        self._below.add(Kind.TREE, wants)
        while True:
            level = {kind: self._below.take(kind) for kind in (Kind.TREE, Kind.CHUNKS)}
            if not any(level.values()):
                return
            for kind, ids in level.items():
                await self._read(kind, ids)

    async def _read(self, kind: Kind, ids: Iterable[bytes]) -> None:
        """Read in the order of recording: then the base of a delta is one of the objects decoded last."""
        ordered = await self._order(kind, list(ids))
        start, count = 0, LOAD_AT_ONCE
        while start < len(ordered):
            some = ordered[start : start + count]
            loaded = await self._reader.load_many(kind, some, max_bytes=LOAD_AT_ONCE_BYTES)
            await asyncio.to_thread(self._below.read, kind, loaded)
            start += len(loaded)
            if len(loaded) < len(some):
                count = 2 * len(loaded)  # they are large; the records of the rest were read in vain

    async def _order(self, kind: Kind, ids: list[bytes]) -> list[bytes]:
        places: list[tuple[int, bytes]] = []
        for start in range(0, len(ids), ASK_AT_ONCE):
            async with self._database.read("find records") as conn:
                places += await find_positions(
                    conn, self._repository_id, kind, ids[start : start + ASK_AT_ONCE]
                )
        if len(places) != len(ids):
            absent = set(ids).difference(object_id for _position, object_id in places)
            raise CorruptStore(
                "missing-object",
                f"{kind.name.lower()} {min(absent).hex()} is named in this repository and not there",
            )
        places.sort()
        self.records += ((position, kind, object_id) for position, object_id in places)
        return [object_id for _position, object_id in places]
