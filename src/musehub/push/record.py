"""Checks that batches are closed and records them, bytes before facts.

What arrives is collected up to a few megabytes and then recorded in one short transaction: small pushes cost
one, large ones one for every few thousand objects. Blobs of a small push become a pack, which is durable in
the store before that transaction begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from muse.errors import LimitReached
from muse.objects.ids import Kind
from muse.packs.pack import PackWriter
from muse.packs.record import Record
from musehub.db.engine import Database
from musehub.db.history import find_generations, insert_commits
from musehub.db.instants import Clock, to_micros
from musehub.db.objects import find_present_objects
from musehub.db.packs import BlobRow, find_blob_sizes, insert_blobs, insert_pack
from musehub.db.pushes import begin_push
from musehub.db.records import insert_records
from musehub.db.repositories import RepositoryRow
from musehub.db.state import RepositoryState, Totals
from musehub.db.transaction import metered
from musehub.push.absent import missing_objects
from musehub.push.commits import commit_row, parent_rows
from musehub.push.decode import Batch, bases_of
from musehub.push.heads import incomplete_repository
from musehub.push.known import Claims, Wanted
from musehub.push.memory import MAX_KNOWN, Memory
from musehub.push.pace import Pace
from musehub.push.room import PackInDoubt, begin_recording, end_recording, keep_pack
from musehub.push.timeline import CLOSURE, RECORD, STORE, Timeline
from musehub.settings import Settings
from musehub.storage.port import Store, pack_key

FLUSH_BYTES = 4 << 20
FLUSH_BLOB_BYTES = 16 << 20
CLOSURE_IDS = 20_000
"""Ids that one transaction asks for: a tenth of a second in a repository of a million objects."""
PARENTS_PER_ROW = 4
"""A commit may have 4,096 parents, each a row: so many times the rows of a transaction may be of parents."""

_BLOB = int(Kind.BLOB)


class Recorder:
    """Records the objects of one push. For one task; `flush` must be awaited at the end."""

    def __init__(
        self,
        database: Database,
        store: Store,
        clock: Clock,
        timeline: Timeline,
        settings: Settings,
        *,
        repository: RepositoryRow,
        push_id: bytes,
        user_id: int,
        memory: Memory,
        pace: Pace,
    ) -> None:
        self._pace = pace
        self._memory = memory
        self._database = database
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self._settings = settings
        self._repository = repository
        self._repository_id = repository.id
        self._push_id = push_id
        self._user_id = user_id
        self._max_blob_bytes = settings.stream_max_size_bytes + settings.frame_max_bytes
        self._started_at = clock()
        self._begun = False
        self._blob_bytes = 0
        self._sealed: tuple[bytes, list[bytes | memoryview]] | None = None
        self.known = memory.known
        self.known.trusts_bases = not repository.is_incomplete
        self.decoder = memory.decoder
        self._records: list[tuple[bytes, Record]] = []
        self._blobs: dict[bytes, Record] = {}
        self._commit_rows: list[tuple[Any, ...]] = []
        self._parent_rows: list[tuple[Any, ...]] = []
        self._pending_bytes = 0
        self._pending_blob_bytes = 0

    @property
    def batch_rows(self) -> int:
        """How many records a batch should have now."""
        return self._pace.rows

    @property
    def begun(self) -> bool:
        """Whether the push has a row in the database."""
        return self._begun

    async def add(self, batch: Batch) -> None:
        """Take a decoded batch; raises `missing-objects` unless it is closed, `too-large`."""
        with self._timeline.phase(CLOSURE):
            await self._check_closed(batch.claims)
        with self._timeline.phase(RECORD):
            self._collect(batch)
        if self._blob_bytes > self._max_blob_bytes:
            raise LimitReached(
                "too-large",
                f"more than {self._max_blob_bytes} bytes of blobs in one stream",
                hint="upload them as packs",
            )
        if (
            self._pending_bytes >= FLUSH_BYTES
            or len(self._records) >= self._pace.rows
            or len(self._parent_rows) >= self._pace.rows * PARENTS_PER_ROW
            or self._pending_blob_bytes >= FLUSH_BLOB_BYTES
        ):
            await self.flush()

    def _collect(self, batch: Batch) -> None:
        own: dict[int, dict[bytes, Record]] = {}
        for object_id, record in batch.objects:
            own.setdefault(record.kind, {})[object_id] = record
        for kind, records in own.items():
            self.decoder.offer(kind, records)
        for object_id, record in own.pop(_BLOB, {}).items():
            if object_id not in self._blobs:
                self._blobs[object_id] = record
                self._blob_bytes += record.size_bytes
                self._pending_blob_bytes += record.size_bytes
        if own:
            self._records += batch.objects
            self._pending_bytes += sum(len(record.payload) for _id, record in batch.objects)
        self._add_commits(batch)

    async def flush(self) -> None:
        """Make everything taken so far durable."""
        pack = await self._store_blobs() if self._blobs else None
        if pack is None and not self._records:
            return
        seen_epoch = self._memory.epoch  # from before the pack was put into the store
        while True:
            try:
                with self._timeline.phase(RECORD):
                    state = await self._record(pack, seen_epoch)
                break
            except PackInDoubt as doubt:
                seen_epoch = doubt.epoch
                await self._put_again()
        self._memory.epoch = state.gc_epoch
        self._begun = True
        self._sealed = None
        self._records.clear()
        self._blobs.clear()
        self._commit_rows.clear()
        self._parent_rows.clear()
        self._pending_bytes = self._pending_blob_bytes = 0
        self.decoder.withdraw()
        if len(self.known) > MAX_KNOWN:
            self.known.clear()

    async def _record(
        self, pack: tuple[bytes, int, list[BlobRow]] | None, seen_epoch: int
    ) -> RepositoryState:
        rows = len(self._records) + (len(pack[2]) if pack is not None else 0)
        rows += max(0, len(self._parent_rows) - len(self._records))
        with metered() as meter:
            state = await self._record_rows(pack, seen_epoch)
        self._pace.note(rows, meter.held_s)
        return state

    async def _record_rows(
        self, pack: tuple[bytes, int, list[BlobRow]] | None, seen_epoch: int
    ) -> RepositoryState:
        async with self._database.transaction("record batch", turn=self._repository_id) as conn:
            state = await begin_recording(
                conn, self._repository, self._memory.epoch, lambda: self._relied_on(pack)
            )
            if state.is_incomplete and self.known.trusts_bases:  # since this stream began
                raise incomplete_repository()
            await self._begin(conn)
            now = self._clock()
            added = Totals(0, 0)
            if pack is not None:
                digest, size_bytes, rows = pack
                await keep_pack(conn, state, digest, now, seen_epoch)
                pack_id, is_new = await insert_pack(
                    conn,
                    self._repository_id,
                    digest,
                    size_bytes,
                    len(rows),
                    self._push_id,
                    to_micros(now),
                )
                blobs = await insert_blobs(
                    conn, self._repository_id, [row._replace(pack_id=pack_id) for row in rows]
                )
                added = Totals(size_bytes if is_new else 0, blobs)
            records = await insert_records(
                conn, self._repository_id, self._push_id, self._records, to_micros(now)
            )
            await insert_commits(conn, self._commit_rows, self._parent_rows)
            added = Totals(added.bytes + records.bytes, added.objects + records.objects)
            await end_recording(conn, self._settings, state, added)
        return state

    def _relied_on(self, pack: tuple[bytes, int, list[BlobRow]] | None) -> Wanted:
        """What this push found recorded, or recorded itself, and does not bring now."""
        brought: Wanted = {kind: set() for kind in Kind}
        for object_id, record in self._records:
            brought[Kind(record.kind)].add(object_id)
        relied = self.known.ids()
        for kind in Kind:
            relied[kind] |= bases_of([record for _id, record in self._records if record.kind == kind])
        if pack is not None:
            brought[Kind.BLOB] = {row.id for row in pack[2]}
            relied[Kind.BLOB].update(row.base for row in pack[2] if row.base is not None)
        return {kind: ids - brought[kind] for kind, ids in relied.items() if ids - brought[kind]}

    async def _begin(self, conn: Any) -> None:
        if not self._begun:
            await begin_push(conn, self._repository_id, self._push_id, self._user_id, self._started_at)

    async def _check_closed(self, claims: Claims) -> None:
        asked = {kind: sorted(ids) for kind, ids in claims.ids.items() if ids}
        if claims.blobs:
            asked[Kind.BLOB] = sorted(claims.ids[Kind.BLOB].union(claims.blobs))
        if not asked:
            return
        missing: list[tuple[Kind, bytes]] = []
        sizes: dict[bytes, int] = {}
        for part in _cut(asked):
            async with self._database.read("check closure") as conn:
                for kind, ids in part.items():
                    present: Collection[bytes]
                    if kind is Kind.COMMIT:
                        present = found = await find_generations(conn, self._repository_id, ids)
                        self.known.generations |= found
                    elif kind is Kind.BLOB:
                        present = blobs = await find_blob_sizes(conn, self._repository_id, ids)
                        sizes |= blobs
                    else:
                        present = await find_present_objects(conn, self._repository_id, kind, ids)
                        self.known.add_found(kind, present)
                    if len(present) < len(ids):
                        missing += ((kind, object_id) for object_id in ids if object_id not in present)
        if missing:
            raise missing_objects(missing)
        self.known.add_sizes(claims.blobs, sizes)

    def _add_commits(self, batch: Batch) -> None:
        generations = self.known.generations
        for object_id, commit in batch.commits:
            parents = (generations[parent] for parent in commit.parents)
            generation = 1 + max(parents, default=0)
            generations[object_id] = generation
            self._commit_rows.append(commit_row(self._repository_id, object_id, commit, generation))
            self._parent_rows += parent_rows(self._repository_id, object_id, commit, generations)

    async def _store_blobs(self) -> tuple[bytes, int, list[BlobRow]] | None:
        """Put those blobs that are not recorded yet into a pack in the store."""
        with self._timeline.phase(CLOSURE):
            async with self._database.read("find blobs") as conn:
                present = await find_present_objects(conn, self._repository_id, Kind.BLOB, self._blobs)
        fresh = [(object_id, record) for object_id, record in self._blobs.items() if object_id not in present]
        if not fresh:
            return None
        with self._timeline.phase(STORE):
            digest, parts, rows = await asyncio.to_thread(_seal, fresh)
            self._sealed = digest, parts
            await self._store.put(pack_key(self._repository_id, digest), parts, digest)
        return digest, sum(map(len, parts)), rows

    async def _put_again(self) -> None:
        assert self._sealed is not None
        digest, parts = self._sealed
        with self._timeline.phase(STORE):
            await self._store.put(pack_key(self._repository_id, digest), parts, digest)


def _seal(blobs: list[tuple[bytes, Record]]) -> tuple[bytes, list[bytes | memoryview], list[BlobRow]]:
    writer = PackWriter()
    rows = []
    for object_id, record in blobs:
        rows.append(
            BlobRow(
                object_id,
                0,
                writer.size_bytes,
                len(record.payload),
                record.raw_size,
                record.encoding,
                record.base,
            )
        )
        writer.add(object_id, record)
    digest, parts = writer.seal()
    return digest, parts, rows


def _cut(asked: Mapping[Kind, Sequence[bytes]]) -> Iterator[Mapping[Kind, Sequence[bytes]]]:
    """Yield all ids in parts of at most `CLOSURE_IDS`, as one if they are no more than that."""
    if sum(map(len, asked.values())) <= CLOSURE_IDS:
        yield asked
        return
    for kind, ids in asked.items():
        for start in range(0, len(ids), CLOSURE_IDS):
            yield {kind: ids[start : start + CLOSURE_IDS]}
