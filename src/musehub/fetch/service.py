"""Answers a fetch: all that is reachable from what is wanted, less what is had (docs/formats/wire.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from muse.errors import CorruptStore, NotFound
from muse.objects.commit import decode_tag
from muse.objects.ids import ID_BYTES, Kind
from muse.packs.record import Record, encode_object
from muse.wire.fetch import FetchHeader, FetchRequest, PackAddress
from muse.wire.frames import BLOBS, COMMITS, HEADER, PACKS, TREES, RecordBatch, encode_json
from muse.wire.refnames import is_ref_name
from muse.wire.refs import Ref
from muse.wire.stream import Progress
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.engine import Database
from musehub.db.history import find_generations, find_trees
from musehub.db.objects import find_present_objects
from musehub.db.packs import PackRow, find_packs
from musehub.db.records import find_positions
from musehub.db.refs import find_refs, list_refs
from musehub.db.repositories import RepositoryRow
from musehub.fetch.blobs import iter_blob_records, plan_blobs
from musehub.fetch.trees import ASK_AT_ONCE, TreeWalk
from musehub.fetch.whole import WholeWalk
from musehub.repos.access import get_repository
from musehub.repos.limits import limits_of
from musehub.repos.objects import ObjectReader
from musehub.repos.reach import find_reach
from musehub.settings import Settings
from musehub.storage.port import Store, pack_key

MAX_HAVE_TREES = 32
"""Heads of the other side whose trees are compared besides those right below the wanted commits."""
SEND_AT_ONCE = 500
KEEP_RECORDS_BYTES = 8 << 20
"""Records seen while looking for what is missing that need not be read again to be sent."""
PACKS_PER_FRAME = 1_000

Send = Callable[[bytes], Awaitable[None]]


class FetchEvent(NamedTuple):
    """A fetch that ended, for logs and metrics; `outcome` is ok, failed or cancelled."""

    repository: RepositoryRow
    actor: Actor
    outcome: str
    code: str | None
    counts: dict[str, int]
    seconds: float


class Named(NamedTuple):
    """What names and ids stand for, tags followed to their targets; commits with their generations."""

    commits: dict[bytes, int]
    tags: set[bytes]
    trees: set[bytes]
    blobs: set[bytes]


class FetchService:
    """Of one hub process."""

    def __init__(self, database: Database, store: Store, settings: Settings) -> None:
        self.database = database
        self.store = store
        self.settings = settings
        self.limits = limits_of(settings)
        self.observers: list[Callable[[FetchEvent], None]] = []

    async def open(self, actor: Actor, owner: str, name: str) -> RepositoryRow:
        """Raises `repository-not-found`."""
        async with self.database.read("open fetch") as conn:
            return await get_repository(conn, actor, Action.READ, owner, name)

    async def presign(self, repository_id: int, packs: Iterable[PackRow]) -> list[PackAddress]:
        ttl_s = self.settings.presign_ttl_s
        return [
            PackAddress(
                pack.digest,
                pack.size_bytes,
                pack.object_count,
                await self.store.presign_get(pack_key(repository_id, pack.digest), ttl_s),
            )
            for pack in packs
        ]

    async def presign_again(
        self, actor: Actor, owner: str, name: str, digests: list[bytes]
    ) -> list[PackAddress]:
        """Fresh addresses for packs of a repository; raises `pack-not-found`."""
        async with self.database.read("find packs") as conn:
            repository = await get_repository(conn, actor, Action.READ, owner, name)
            packs = await find_packs(conn, repository.id, digests)
        absent = set(digests).difference(pack.digest for pack in packs)
        if absent:
            raise NotFound("pack-not-found", f"this repository has no pack {min(absent).hex()}")
        return await self.presign(repository.id, packs)


class FetchAnswer:
    """One answer: `begin`, then `run`; `progress` says what goes on meanwhile."""

    def __init__(self, service: FetchService, repository: RepositoryRow, request: FetchRequest) -> None:
        self._service = service
        self._database = service.database
        self._repository = repository
        self._request = request
        self._reader = ObjectReader(
            service.database, service.store, repository.id, keep_records_bytes=KEEP_RECORDS_BYTES
        )
        self.progress = Progress("find what is missing", 0, None)
        self.counts: dict[str, int] = {}
        self._wanted = Named({}, set(), set(), set())

    async def begin(self, send: Send) -> None:
        """Send H, once the wanted names are known to exist; raises `unknown-revision` before that."""
        refs = await self._load_refs()
        self._wanted = await self._resolve_wants(refs)
        header = FetchHeader(
            self._repository.full_name, self._repository.default_branch, refs, self._service.limits
        )
        await send(encode_json(HEADER, header.to_json()))

    async def run(self, send: Send) -> None:
        """Send all frames after H but E, whose counts are in `counts` then.

        No database connection is held while the client or the store is waited for.
        """
        wanted = self._wanted
        had = await self._resolve_haves()
        reach = await find_reach(self._database, self._repository.id, wanted.commits, had.commits)
        wanted_trees = await self._find_trees(reach.commits) | wanted.trees
        beside = list(reach.boundary) + list(had.commits)[:MAX_HAVE_TREES]
        had_trees = await self._find_trees(beside) | had.trees
        walk: TreeWalk | WholeWalk
        if had_trees:
            walk = TreeWalk(self._database, self._reader, self._repository.id)
            await walk.run(wanted_trees, had_trees)
        else:
            walk = WholeWalk(self._database, self._reader, self._repository.id)
            await walk.run(wanted_trees)
        walk.had[Kind.BLOB] |= had.blobs
        blobs = (walk.blobs | wanted.blobs) - walk.had[Kind.BLOB]
        total = len(blobs) + len(walk.records) + len(reach.commits)
        self.progress = Progress("send", 0, total)

        await self._send_blobs(sorted(blobs), walk.had[Kind.BLOB], send)
        await self._send_records(TREES, walk.records, walk.had, send)
        commits = await self._positions(Kind.COMMIT, reach.commits)
        commits += await self._positions(Kind.TAG, sorted(wanted.tags - had.tags))
        await self._send_records(COMMITS, commits, {}, send)

    # ---- what is wanted and had

    async def _load_refs(self) -> dict[str, Ref]:
        """All of this moment, or those wanted by name where others are not asked for."""
        wants = self._request.wants
        async with self._database.read("load refs") as conn:
            if wants is None or self._request.all_refs:
                return await list_refs(conn, self._repository.id)
            return await find_refs(conn, self._repository.id, list(filter(is_ref_name, wants)))

    async def _resolve_wants(self, refs: Mapping[str, Ref]) -> Named:
        targets: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}
        names = self._request.wants if self._request.wants is not None else list(refs)
        for name in names:
            ref = refs.get(name)
            if ref is not None:
                targets[ref.kind].add(ref.target)
            else:
                targets[Kind.COMMIT].add(_parse_commit_id(name))
        tags: set[bytes] = set()
        fresh = targets[Kind.TAG]
        while fresh:
            tags |= fresh
            loaded = await self._reader.load_many(Kind.TAG, sorted(fresh))
            fresh = set()
            for data in loaded.values():
                tag = decode_tag(data)
                (fresh if tag.target_kind is Kind.TAG else targets[tag.target_kind]).add(tag.target)
            fresh -= tags
        async with self._database.read("find wants") as conn:
            commits = await find_generations(conn, self._repository.id, sorted(targets[Kind.COMMIT]))
        if absent := targets[Kind.COMMIT].difference(commits):
            raise NotFound("unknown-revision", f"this repository has no commit {min(absent).hex()}")
        return Named(commits, tags, targets[Kind.TREE], targets[Kind.BLOB])

    async def _resolve_haves(self) -> Named:
        """What this repository knows of the haves; a tag stands for its target, too."""
        haves = sorted(set(self._request.haves))
        async with self._database.read("find haves") as conn:
            commits = await find_generations(conn, self._repository.id, haves)
            tags = await find_present_objects(
                conn, self._repository.id, Kind.TAG, [have for have in haves if have not in commits]
            )
        targets: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}
        if tags:
            loaded = await self._reader.load_many(Kind.TAG, sorted(tags))
            for tag in map(decode_tag, loaded.values()):
                targets[tag.target_kind].add(tag.target)
            async with self._database.read("find haves") as conn:
                commits |= await find_generations(conn, self._repository.id, sorted(targets[Kind.COMMIT]))
        return Named(commits, tags | targets[Kind.TAG], targets[Kind.TREE], targets[Kind.BLOB])

    async def _find_trees(self, commits: list[bytes]) -> set[bytes]:
        trees: set[bytes] = set()
        for start in range(0, len(commits), ASK_AT_ONCE):
            async with self._database.read("find trees") as conn:
                found = await find_trees(conn, self._repository.id, commits[start : start + ASK_AT_ONCE])
            trees |= set(found.values())
        return trees

    async def _positions(self, kind: Kind, ids: list[bytes]) -> list[tuple[int, Kind, bytes]]:
        found: list[tuple[int, Kind, bytes]] = []
        for start in range(0, len(ids), ASK_AT_ONCE):
            async with self._database.read("find records") as conn:
                places = await find_positions(
                    conn, self._repository.id, kind, ids[start : start + ASK_AT_ONCE]
                )
            found += ((position, kind, object_id) for position, object_id in places)
        if len(found) != len(ids):
            raise CorruptStore("missing-object", f"a {kind.name.lower()} of this repository is not there")
        return found

    # ---- sending

    async def _send_blobs(self, blobs: list[bytes], had: set[bytes], send: Send) -> None:
        settings = self._service.settings
        never = len(blobs) + 1, 1 << 62
        least = (
            (settings.stream_max_objects, settings.stream_max_size_bytes) if self._request.packs else never
        )
        plan = await plan_blobs(
            self._database, self._repository.id, blobs, min_objects=least[0], min_bytes=least[1]
        )
        for start in range(0, len(plan.packs), PACKS_PER_FRAME):
            batch = plan.packs[start : start + PACKS_PER_FRAME]
            addresses = await self._service.presign(self._repository.id, batch)
            await send(encode_json(PACKS, {"packs": [address.to_json() for address in addresses]}))
            self._count(PACKS, len(batch), sum(pack.object_count for pack in batch))
        if not plan.rest:
            return
        usable = set(had)
        if plan.packs:
            rest = {object_id for _pack, _offset, object_id in plan.rest}
            usable.update(blob for blob in blobs if blob not in rest)
        records = iter_blob_records(
            self._database, self._service.store, self._reader, self._repository.id, plan.rest, usable
        )
        frames = RecordBatch(BLOBS)
        async for batch_of_records in records:
            await self._send_batch(frames, batch_of_records, send)
            self._count(BLOBS, len(batch_of_records))
        await _flush(frames, send)

    async def _send_records(
        self,
        frame_type: bytes,
        found: list[tuple[int, Kind, bytes]],
        had: dict[Kind, set[bytes]],
        send: Send,
    ) -> None:
        """Send records in the order in which they were recorded: every base comes before its deltas."""
        found.sort()
        sent = {kind: set(had.get(kind, ())) for kind in Kind}
        frames = RecordBatch(frame_type)
        for start in range(0, len(found), SEND_AT_ONCE):
            batch = found[start : start + SEND_AT_ONCE]
            loaded: dict[tuple[Kind, bytes], Record] = {}
            for kind in {kind for _position, kind, _id in batch}:
                ids = [object_id for _position, of_kind, object_id in batch if of_kind is kind]
                rows = await self._reader.load_records(kind, ids)
                loaded |= {(kind, object_id): record for object_id, record in rows.items()}
            records = []
            for _position, kind, object_id in batch:
                record = loaded[kind, object_id]
                if record.base is not None and record.base not in sent[kind]:
                    data = await self._reader.load(kind, object_id)
                    record = await asyncio.to_thread(encode_object, kind, data)
                sent[kind].add(object_id)
                records.append(record)
            await self._send_batch(frames, records, send)
            self._count(frame_type, len(records))
        await _flush(frames, send)

    async def _send_batch(self, frames: RecordBatch, records: list[Record], send: Send) -> None:
        for record in records:
            if (frame := frames.add(record)) is not None:
                await send(frame)

    def _count(self, frame_type: bytes, count: int, objects: int | None = None) -> None:
        name = frame_type.decode()
        self.counts[name] = self.counts.get(name, 0) + count
        done = self.progress.done + (count if objects is None else objects)
        self.progress = self.progress._replace(done=done)


async def _flush(frames: RecordBatch, send: Send) -> None:
    if (frame := frames.flush()) is not None:
        await send(frame)


def _parse_commit_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != ID_BYTES:
        raise NotFound("unknown-revision", f"no branch or tag {text[:300]!r}")
    return found
