"""One repository as somebody looks at it: its refs, revisions, commits and pushes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from muse.errors import NotFound
from muse.objects.commit import Commit, Tag, decode_commit, decode_tag
from muse.objects.ids import ID_BYTES, Kind
from muse.wire.messages import Ref
from muse.wire.refnames import HEADS, TAGS
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.engine import Database
from musehub.db.history import CommitRow, find_by_prefix, find_commits
from musehub.db.pushes import PushRow, find_push, list_pushes
from musehub.db.refs import list_refs
from musehub.db.repositories import RepositoryRow, list_repositories
from musehub.repos.access import get_repository
from musehub.repos.objects import ObjectReader
from musehub.repos.walk import HistoryPage, load_history
from musehub.storage.port import Store

MIN_PREFIX_DIGITS = 6
_HEX = re.compile(r"[0-9a-f]+")
_MAX_TAG_CHAIN = 16
_CACHE_BYTES = 8 << 20


class Revision(NamedTuple):
    """What the first part of an address names; `ref` is the full name of a branch or tag, if it is one."""

    text: str
    ref: str | None
    commit: CommitRow


class PeeledTag(NamedTuple):
    """A tag with what it finally names; `tag` is its own object if it is an annotated one."""

    name: str
    tag: Tag | None
    target: bytes
    kind: Kind


class Browser:
    """One repository for one request; made by `open_browser`, which has checked the permission."""

    def __init__(
        self, database: Database, store: Store, repository: RepositoryRow, refs: Mapping[str, Ref]
    ) -> None:
        self.repository = repository
        self.refs = refs
        self.reader = ObjectReader(database, store, repository.id, cache_bytes=_CACHE_BYTES)
        self._database = database

    async def resolve(self, text: str) -> tuple[Revision, str]:
        """Take the revision off the beginning of `text`, which is a revision, a slash and a path.

        The longest branch or tag wins, a branch before a tag; then an id of a commit or the beginning of it.
        Raises NotFound("unknown-revision", "ambiguous-revision").
        """
        parts = text.split("/")
        for count in range(len(parts), 0, -1):
            name = "/".join(parts[:count])
            for full in (HEADS + name, TAGS + name, name):
                if full in self.refs:
                    commit = await self._load_target(name, full)
                    return Revision(name, full, commit), "/".join(parts[count:])
        commit = await self._find_commit(parts[0])
        return Revision(commit.id.hex(), None, commit), "/".join(parts[1:])

    async def get_commit(self, text: str) -> tuple[CommitRow, Commit]:
        """A commit by its id, or the beginning of one, with all it says; raises NotFound."""
        row = await self._find_commit(text)
        return row, decode_commit(await self.reader.load(Kind.COMMIT, row.id))

    async def find_commits(self, ids: Iterable[bytes]) -> dict[bytes, CommitRow]:
        """Those of the commits that this repository has."""
        async with self._database.read("find commits") as conn:
            return await find_commits(conn, self.repository.id, list(ids))

    async def load_history(self, starts: Sequence[bytes], limit: int) -> HistoryPage:
        """See `musehub.repos.walk.load_history`."""
        return await load_history(self._database, self.repository.id, starts, limit)

    async def load_tags(self) -> list[PeeledTag]:
        """All tags by name; chains of annotated tags are followed."""
        tags = {name: ref for name, ref in self.refs.items() if name.startswith(TAGS)}
        annotated = await self._load_tag_objects(ref.target for ref in tags.values() if ref.kind is Kind.TAG)
        peeled = []
        for name, ref in tags.items():
            own = annotated.get(ref.target) if ref.kind is Kind.TAG else None
            target, kind = _follow(annotated, ref)
            peeled.append(PeeledTag(name.removeprefix(TAGS), own, target, kind))
        return peeled

    async def list_pushes(self, *, limit: int, offset: int = 0) -> list[PushRow]:
        """Newest first."""
        async with self._database.read("list pushes") as conn:
            return await list_pushes(conn, self.repository.id, limit=limit, offset=offset)

    async def get_push(self, push_id: str) -> PushRow:
        """Raises NotFound("receipt-not-found")."""
        try:
            raw = bytes.fromhex(push_id)
        except ValueError:
            raw = b""
        async with self._database.read("find push") as conn:
            push = await find_push(conn, self.repository.id, raw) if raw else None
        if push is None:
            raise NotFound("receipt-not-found", f'nothing is recorded about a push "{push_id}"')
        return push

    async def _find_commit(self, text: str) -> CommitRow:
        if not _HEX.fullmatch(text) or not MIN_PREFIX_DIGITS <= len(text) <= 2 * ID_BYTES:
            raise _unknown(text)
        low = bytes.fromhex(text.ljust(2 * ID_BYTES, "0"))
        high = bytes.fromhex(text.ljust(2 * ID_BYTES, "f"))
        async with self._database.read("find commit") as conn:
            ids = await find_by_prefix(conn, self.repository.id, low, high, limit=2)
            if len(ids) > 1:
                raise NotFound("ambiguous-revision", f'more than one commit begins with "{text}"')
            rows = await find_commits(conn, self.repository.id, ids)
        if not rows:
            raise _unknown(text)
        return rows[ids[0]]

    async def _load_target(self, text: str, full: str) -> CommitRow:
        ref = self.refs[full]
        target, kind = ref.target, ref.kind
        if kind is Kind.TAG:
            target, kind = _follow(await self._load_tag_objects([target]), ref)
        rows = await self.find_commits([target]) if kind is Kind.COMMIT else {}
        if target not in rows:
            raise NotFound("unknown-revision", f'"{text}" names a {kind.name.lower()}, not a commit')
        return rows[target]

    async def _load_tag_objects(self, ids: Iterable[bytes]) -> dict[bytes, Tag]:
        """These annotated tags and those that they name."""
        found: dict[bytes, Tag] = {}
        wanted = set(ids)
        for _ in range(_MAX_TAG_CHAIN):
            if not wanted:
                break
            objects = await self.reader.load_many(Kind.TAG, list(wanted))
            found |= {object_id: decode_tag(data) for object_id, data in objects.items()}
            named = {found[key].target for key in wanted if found[key].target_kind is Kind.TAG}
            wanted = named - found.keys()
        return found


async def open_browser(database: Database, store: Store, actor: Actor, owner: str, name: str) -> Browser:
    """Raises NotFound("repository-not-found"), also for what the actor may not see."""
    async with database.read("open repository") as conn:
        repository = await get_repository(conn, actor, Action.READ, owner, name)
        refs = await list_refs(conn, repository.id)
    return Browser(database, store, repository, refs)


async def list_visible(
    database: Database,
    actor: Actor,
    *,
    owner: str | None = None,
    search: str = "",
    limit: int,
    offset: int = 0,
) -> list[RepositoryRow]:
    """Repositories that the actor may see, their own first, then those pushed last.

    `search` is part of a name, of an owner, or of both with a slash between.
    """
    everything = actor.is_admin and actor.has_scope("admin") and actor.repository_id is None
    async with database.read("list repositories") as conn:
        return await list_repositories(
            conn,
            actor.user_id,
            owner=owner,
            everything=everything,
            only_id=actor.repository_id,
            search=search,
            limit=limit,
            offset=offset,
        )


def _follow(tags: Mapping[bytes, Tag], ref: Ref) -> tuple[bytes, Kind]:
    target, kind = ref.target, ref.kind
    for _ in range(_MAX_TAG_CHAIN):
        tag = tags.get(target) if kind is Kind.TAG else None
        if tag is None:
            break
        target, kind = tag.target, tag.target_kind
    return target, kind


def _unknown(text: str) -> NotFound:
    return NotFound("unknown-revision", f'no branch, tag or commit is called "{text}"')
