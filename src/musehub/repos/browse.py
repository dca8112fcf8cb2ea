"""One repository as somebody looks at it: its refs, revisions, commits and pushes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from muse.errors import NotFound
from muse.objects.commit import Commit, decode_commit
from muse.objects.ids import ID_BYTES, Kind
from muse.wire.refnames import HEADS, MAX_REF_NAME_BYTES, TAGS
from muse.wire.refs import Ref
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.engine import Database
from musehub.db.history import CommitRow, find_by_prefix, find_commits
from musehub.db.pushes import PushRow, find_push, list_pushes
from musehub.db.ref_pages import is_storable
from musehub.db.repositories import RepositoryRow, list_repositories
from musehub.repos.access import get_repository
from musehub.repos.objects import ObjectReader
from musehub.repos.refs import Refs
from musehub.repos.walk import HistoryPage, load_history
from musehub.storage.port import Store

MIN_PREFIX_DIGITS = 6
_HEX = re.compile(r"[0-9a-f]+")
_CACHE_BYTES = 8 << 20


class Revision(NamedTuple):
    """What the first part of an address names; `ref` is the full name of a branch or tag, if it is one."""

    text: str
    ref: str | None
    commit: CommitRow


class Browser:
    """One repository for one request; made by `open_browser`, which has checked the permission."""

    def __init__(self, database: Database, store: Store, repository: RepositoryRow) -> None:
        self.repository = repository
        self.reader = ObjectReader(database, store, repository.id, cache_bytes=_CACHE_BYTES)
        self.refs = Refs(database, repository.id, self.reader)
        self._database = database

    async def resolve(self, text: str) -> tuple[Revision, str]:
        """Take the revision off the beginning of `text`, which is a revision, a slash and a path.

        The longest branch or tag wins, a branch before a tag; then an id of a commit or the beginning of it.
        Raises NotFound("unknown-revision", "ambiguous-revision").
        """
        parts = text.split("/")
        begins = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        begins = [name for name in begins if len(name) <= MAX_REF_NAME_BYTES and is_storable(name)]
        found = await self.refs.find([full for name in begins for full in _full_names(name)])
        for name in begins:
            for full in _full_names(name):
                if full in found:
                    commit = await self._load_target(name, found[full])
                    return Revision(name, full, commit), text[len(name) :].removeprefix("/")
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

    async def _load_target(self, text: str, ref: Ref) -> CommitRow:
        target, kind = await self.refs.follow(ref)
        rows = await self.find_commits([target]) if kind is Kind.COMMIT else {}
        if target not in rows:
            raise NotFound("unknown-revision", f'"{text}" names a {kind.name.lower()}, not a commit')
        return rows[target]


async def open_browser(database: Database, store: Store, actor: Actor, owner: str, name: str) -> Browser:
    """Raises NotFound("repository-not-found"), also for what the actor may not see."""
    async with database.read("open repository") as conn:
        repository = await get_repository(conn, actor, Action.READ, owner, name)
    return Browser(database, store, repository)


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


def _full_names(name: str) -> list[str]:
    return [HEADS + name, TAGS + name, *([name] if name.startswith((HEADS, TAGS)) else [])]


def _unknown(text: str) -> NotFound:
    return NotFound("unknown-revision", f'no branch, tag or commit is called "{text}"')
