"""Which trees, chunk lists and blobs somebody lacks: wanted and had trees are walked side by side by levels.

Trees at the same path are compared, so the walk costs what differs. Each level is a handful of set queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from muse.errors import CorruptStore
from muse.objects.chunks import decode_chunks
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, DIRECTORY, read_columns
from musehub.db.engine import Database
from musehub.db.objects import find_positions
from musehub.repos.objects import ObjectReader

LOAD_AT_ONCE = 500
ASK_AT_ONCE = 50_000

Key = tuple[int, str] | None
"""Where a tree stands: number of the group it was found in, and name. None: nothing there is had."""


class Group:
    """Objects of one kind at one place, in all the wanted commits and in all that are had."""

    __slots__ = ("had_blobs", "haves", "kind", "number", "want_blobs", "wants")

    def __init__(self, kind: Kind, number: int) -> None:
        self.kind = kind
        self.number = number
        self.wants: set[bytes] = set()
        self.haves: set[bytes] = set()
        self.want_blobs: set[bytes] = set()
        self.had_blobs: set[bytes] = set()


class Children(NamedTuple):
    """What a tree or chunk list names; pages and lower nodes of a list have the empty name."""

    metadata: list[tuple[Kind, str, bytes]]
    blobs: set[bytes]


def read_children(kind: Kind, data: bytes) -> Children:
    if kind is Kind.CHUNKS:
        node = decode_chunks(data)
        if node.level:
            return Children([(Kind.CHUNKS, "", chunk.id) for chunk in node.chunks], set())
        return Children([], {chunk.id for chunk in node.chunks})
    level, kinds, ids, names = read_columns(data)
    if level:
        return Children([(Kind.TREE, "", object_id) for object_id in ids], set())
    if BLOB_KINDS.issuperset(kinds):
        return Children([], set(ids))
    metadata: list[tuple[Kind, str, bytes]] = []
    blobs: set[bytes] = set()
    for entry_kind, object_id, name in zip(kinds, ids, names, strict=True):
        if entry_kind in BLOB_KINDS:
            blobs.add(object_id)
        elif entry_kind == DIRECTORY:
            metadata.append((Kind.TREE, name, object_id))
        elif entry_kind in CHUNKED_KINDS:
            metadata.append((Kind.CHUNKS, name, object_id))
    return Children(metadata, blobs)


class TreeWalk:
    """After `run`: `records` are (position, kind, id) of what is lacking, `blobs` the blobs, `had` what the
    other side certainly has among all that was looked at."""

    def __init__(self, database: Database, reader: ObjectReader, repository_id: int) -> None:
        self._database = database
        self._reader = reader
        self._repository_id = repository_id
        self._wanted: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set()}
        self._numbers = 0
        self.records: list[tuple[int, Kind, bytes]] = []
        self.blobs: set[bytes] = set()
        self.had: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set(), Kind.BLOB: set()}

    async def run(self, wants: Iterable[bytes], haves: Iterable[bytes]) -> None:
        """Walk from root trees; raises CorruptStore("missing-object")."""
        root = Group(Kind.TREE, 0)
        root.wants.update(wants)
        root.haves.update(haves)
        level = [root]
        while level:
            level = await self._descend(level)
        # What turned up as had elsewhere, such as a moved file, need not be sent after all.
        self.blobs -= self.had[Kind.BLOB]
        self.records = [found for found in self.records if found[2] not in self.had[found[1]]]

    async def _descend(self, level: list[Group]) -> list[Group]:
        groups = [group for group in level if self._settle(group)]
        below: dict[tuple[Kind, Key], Group] = {}
        had_below: dict[tuple[Kind, Key], set[bytes]] = {}
        for kind in (Kind.TREE, Kind.CHUNKS):
            of_want = {
                object_id: group for group in groups if group.kind is kind for object_id in group.wants
            }
            of_have: dict[bytes, list[Group]] = {}
            for group in groups:
                if group.kind is kind:
                    for object_id in group.haves:
                        of_have.setdefault(object_id, []).append(group)
            for batch in await self._order(kind, of_want.keys() | of_have.keys(), of_want.keys()):
                for object_id, children in (await self._load_children(kind, batch)).items():
                    if (wanting := of_want.get(object_id)) is not None:
                        self._add_wanted(wanting, children, below)
                    for group in of_have.get(object_id, ()):
                        _add_had(group, children, had_below)
        for group in groups:
            self.blobs |= group.want_blobs - group.had_blobs
            self.had[Kind.BLOB] |= group.had_blobs
        for key, group in below.items():
            group.haves = had_below.get(key, set())
        return list(below.values())

    def _settle(self, group: Group) -> bool:
        """Take out what is had or was seen elsewhere; False when nothing is left to do."""
        group.wants -= group.haves
        group.wants -= self.had[group.kind]
        group.wants -= self._wanted[group.kind]
        if not group.wants:
            return False
        self._wanted[group.kind] |= group.wants
        self.had[group.kind] |= group.haves
        return True

    async def _order(self, kind: Kind, ids: Iterable[bytes], wants: Iterable[bytes]) -> list[list[bytes]]:
        """Batches in the order of recording: then the base of a delta is one of the objects decoded last."""
        listed = list(ids)
        places: list[tuple[int, bytes]] = []
        for start in range(0, len(listed), ASK_AT_ONCE):
            async with self._database.read("find records") as conn:
                places += await find_positions(
                    conn, self._repository_id, kind, listed[start : start + ASK_AT_ONCE]
                )
        if len(places) != len(listed):
            absent = set(listed).difference(object_id for _position, object_id in places)
            raise CorruptStore(
                "missing-object",
                f"{kind.name.lower()} {min(absent).hex()} is named in this repository and not there",
            )
        places.sort()
        wanted = set(wants)
        self.records += ((position, kind, object_id) for position, object_id in places if object_id in wanted)
        ordered = [object_id for _position, object_id in places]
        return [ordered[start : start + LOAD_AT_ONCE] for start in range(0, len(ordered), LOAD_AT_ONCE)]

    async def _load_children(self, kind: Kind, ids: list[bytes]) -> dict[bytes, Children]:
        loaded = await self._reader.load_many(kind, ids)
        return await asyncio.to_thread(_read_all_children, kind, loaded)

    def _add_wanted(self, group: Group, children: Children, below: dict[tuple[Kind, Key], Group]) -> None:
        group.want_blobs |= children.blobs
        for kind, name, object_id in children.metadata:
            key = (group.number, name) if group.haves else None
            found = below.get((kind, key))
            if found is None:
                self._numbers += 1
                found = below[kind, key] = Group(kind, self._numbers)
            found.wants.add(object_id)


def _add_had(group: Group, children: Children, had_below: dict[tuple[Kind, Key], set[bytes]]) -> None:
    group.had_blobs |= children.blobs
    for kind, name, object_id in children.metadata:
        had_below.setdefault((kind, (group.number, name)), set()).add(object_id)


def _read_all_children(kind: Kind, loaded: Mapping[bytes, bytes]) -> dict[bytes, Children]:
    return {object_id: read_children(kind, data) for object_id, data in loaded.items()}
