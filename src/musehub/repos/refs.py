"""The branches and tags of one repository as somebody looks at them; nothing reads all of very many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from muse.objects.commit import Tag, decode_tag
from muse.objects.ids import Kind
from muse.wire.refnames import HEADS, TAGS
from muse.wire.refs import Ref
from musehub.db.engine import Database
from musehub.db.ref_pages import (
    RefAt,
    RefCounts,
    count_refs,
    list_annotated_tags,
    list_names,
    list_refs_at,
    list_refs_page,
)
from musehub.db.refs import find_refs, list_refs
from musehub.repos.objects import ObjectReader

_MAX_TAG_CHAIN = 16


class PeeledTag(NamedTuple):
    """A tag with what it finally names; `tag` is its own object if it is an annotated one."""

    name: str
    tag: Tag | None
    target: bytes
    kind: Kind


class RefSummary(NamedTuple):
    """How many there are, if not very many, and the first of them; names without their prefix."""

    counts: RefCounts
    branches: list[str]
    tags: list[str]
    """The last by name, backwards: mostly the newest."""
    has_default: bool
    ambiguous: frozenset[str]
    """Those of the tags whose names branches have, too."""


NO_REFS = RefSummary(RefCounts(0, 0), [], [], False, frozenset())


class Refs:
    """Made by `open_browser`, which has checked the permission."""

    def __init__(self, database: Database, repository_id: int, reader: ObjectReader) -> None:
        self._database = database
        self._id = repository_id
        self._reader = reader

    async def load_all(self) -> dict[str, Ref]:
        """Every one, by full name: for machines."""
        async with self._database.read("list refs") as conn:
            return await list_refs(conn, self._id)

    async def find(self, names: Sequence[str]) -> dict[str, Ref]:
        """Those of these full names that exist."""
        async with self._database.read("find refs") as conn:
            return await find_refs(conn, self._id, names)

    async def summarize(self, default_branch: str, limit: int) -> RefSummary:
        """What the frame of every page shows; counts up to `musehub.db.ref_pages.COUNTED_MAX`."""
        async with self._database.read("summarize refs") as conn:
            counts = await count_refs(conn, self._id)
            branches = await list_names(conn, self._id, HEADS, limit) if counts.branches else []
            tags = await list_names(conn, self._id, TAGS, limit, last=True) if counts.tags else []
            plain = [name.removeprefix(TAGS) for name in tags]
            asked = [HEADS + default_branch, *(HEADS + name for name in plain)]
            found = await find_refs(conn, self._id, asked) if counts.branches else {}
        return RefSummary(
            counts,
            [name.removeprefix(HEADS) for name in branches],
            plain,
            HEADS + default_branch in found,
            frozenset(name for name in plain if HEADS + name in found),
        )

    async def find_ambiguous(self, tags: Iterable[str]) -> frozenset[str]:
        """Those of these tags whose names branches have, too."""
        found = await self.find([HEADS + name for name in tags])
        return frozenset(name.removeprefix(HEADS) for name in found)

    async def list_branches(
        self, *, first: str, search: str, target: bytes | None, limit: int, offset: int
    ) -> list[tuple[str, Ref]]:
        """The branch `first`, then those of the newest commits."""
        async with self._database.read("list branches") as conn:
            rows = await list_refs_page(
                conn,
                self._id,
                HEADS,
                first=HEADS + first,
                search=search,
                target=target,
                limit=limit,
                offset=offset,
            )
        return [(name.removeprefix(HEADS), ref) for name, ref in rows]

    async def list_tags(
        self, *, search: str = "", target: bytes | None = None, limit: int, offset: int = 0
    ) -> list[PeeledTag]:
        """Those of the newest commits, then annotated ones, those moved last first; chains are followed."""
        async with self._database.read("list tags") as conn:
            rows = await list_refs_page(
                conn, self._id, TAGS, search=search, target=target, limit=limit, offset=offset
            )
        return await self._peel(rows)

    async def list_annotated(self, limit: int) -> list[PeeledTag]:
        """The annotated tags by name; none if they are more than `limit`: each is an object to read."""
        async with self._database.read("list tags") as conn:
            rows = await list_annotated_tags(conn, self._id, limit + 1)
        return await self._peel(sorted(rows)) if len(rows) <= limit else []

    async def list_at(self, ids: Sequence[bytes], limit: int) -> list[RefAt]:
        """See `musehub.db.ref_pages.list_refs_at`."""
        async with self._database.read("list refs at commits") as conn:
            return await list_refs_at(conn, self._id, ids, limit)

    async def follow(self, ref: Ref) -> tuple[bytes, Kind]:
        """What a ref finally names."""
        if ref.kind is not Kind.TAG:
            return ref.target, ref.kind
        return _follow(await self._load_tags([ref.target]), ref)

    async def _peel(self, rows: Sequence[tuple[str, Ref]]) -> list[PeeledTag]:
        annotated = await self._load_tags(ref.target for _name, ref in rows if ref.kind is Kind.TAG)
        peeled = []
        for name, ref in rows:
            own = annotated.get(ref.target) if ref.kind is Kind.TAG else None
            target, kind = _follow(annotated, ref)
            peeled.append(PeeledTag(name.removeprefix(TAGS), own, target, kind))
        return peeled

    async def _load_tags(self, ids: Iterable[bytes]) -> dict[bytes, Tag]:
        """These annotated tags and those that they name."""
        found: dict[bytes, Tag] = {}
        wanted = set(ids)
        for _ in range(_MAX_TAG_CHAIN):
            if not wanted:
                break
            objects = await self._reader.load_many(Kind.TAG, list(wanted))
            found |= {object_id: decode_tag(data) for object_id, data in objects.items()}
            named = {found[key].target for key in wanted if found[key].target_kind is Kind.TAG}
            wanted = named - found.keys()
        return found


def _follow(tags: Mapping[bytes, Tag], ref: Ref) -> tuple[bytes, Kind]:
    target, kind = ref.target, ref.kind
    for _ in range(_MAX_TAG_CHAIN):
        tag = tags.get(target) if kind is Kind.TAG else None
        if tag is None:
            break
        target, kind = tag.target, tag.target_kind
    return target, kind
