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
from musehub.db.records import find_positions
from musehub.repos.objects import ObjectReader

LOAD_AT_ONCE = 500
ASK_AT_ONCE = 50_000
MAX_COMPARED = 5_000_000
"""Names looked up on the had side, a second of work; beyond it what is had is sent again instead."""

Place = tuple[Kind, str]
"""What is named, and by which name."""


class Group:
    """Objects of one kind at one place, in all the wanted commits and in all that are had."""

    __slots__ = ("below", "haves", "kind", "want_blobs", "wants")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.wants: set[bytes] = set()
        self.haves: set[bytes] = set()
        self.want_blobs: set[bytes] = set()
        self.below: dict[Place, Group] = {}
        """What the wanted objects name, where something is had at their place."""


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
    other side certainly has among all that was looked at. `compared` counts names looked up."""

    def __init__(self, database: Database, reader: ObjectReader, repository_id: int) -> None:
        self._database = database
        self._reader = reader
        self._repository_id = repository_id
        self._wanted: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set()}
        self.compared = 0
        self.records: list[tuple[int, Kind, bytes]] = []
        self.blobs: set[bytes] = set()
        self.had: dict[Kind, set[bytes]] = {Kind.TREE: set(), Kind.CHUNKS: set(), Kind.BLOB: set()}

    async def run(self, wants: Iterable[bytes], haves: Iterable[bytes]) -> None:
        """Walk from root trees; raises CorruptStore("missing-object")."""
        root = Group(Kind.TREE)
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
        anywhere: dict[Kind, Group] = {}  # what is wanted where nothing is had
        had: dict[bytes, Children] = {}
        for kind in (Kind.TREE, Kind.CHUNKS):
            of_want = {
                object_id: group for group in groups if group.kind is kind for object_id in group.wants
            }
            haves = {object_id for group in groups if group.kind is kind for object_id in group.haves}
            for batch in await self._order(kind, of_want.keys() | haves, of_want.keys()):
                for object_id, children in (await self._load_children(kind, batch)).items():
                    if (wanting := of_want.get(object_id)) is not None:
                        _add_wanted(wanting, children, anywhere)
                    if object_id in haves:
                        had[object_id] = children
                        self.had[Kind.BLOB] |= children.blobs
        await asyncio.to_thread(self._compare, groups, had)
        return [*anywhere.values(), *(below for group in groups for below in group.below.values())]

    def _compare(self, groups: Iterable[Group], had: Mapping[bytes, Children]) -> None:
        """Put what is had beside what is wanted.

        Costs what is wanted for each had object, or what that names if it is less: an object may be had at
        any number of places.
        """
        by_place: dict[bytes, dict[Place, list[bytes]]] = {}
        for group in groups:
            lacking = group.want_blobs
            for object_id in group.haves:
                if lacking:
                    lacking = lacking - had[object_id].blobs  # not -=, which goes through what is had
                    self.compared += 1
                if not group.below or self.compared > MAX_COMPARED:
                    continue
                named = by_place.get(object_id)
                if named is None:
                    named = by_place[object_id] = {}
                    for kind, name, child in had[object_id].metadata:
                        named.setdefault((kind, name), []).append(child)
                shorter = named if len(named) < len(group.below) else group.below
                self.compared += len(shorter)
                for place in shorter:
                    if place in named and place in group.below:
                        group.below[place].haves.update(named[place])
            self.blobs |= lacking

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


def _add_wanted(group: Group, children: Children, anywhere: dict[Kind, Group]) -> None:
    group.want_blobs |= children.blobs
    for kind, name, object_id in children.metadata:
        if not group.haves:
            below = anywhere.setdefault(kind, Group(kind))
        else:
            below = group.below.setdefault((kind, name), Group(kind))
        below.wants.add(object_id)


def _read_all_children(kind: Kind, loaded: Mapping[bytes, bytes]) -> dict[bytes, Children]:
    return {object_id: read_children(kind, data) for object_id, data in loaded.items()}
