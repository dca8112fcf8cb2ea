"""Checks that batches are closed and records them, bytes before facts.

What arrives is collected up to a few megabytes and then recorded in one short transaction: small pushes cost
one, large ones one for every few thousand objects. Blobs of a small push become a pack, which is durable in
the store before that transaction begins.
"""

from __future__ import annotations

import asyncio

from muse.errors import LimitReached
from muse.objects.ids import Kind
from muse.packs.record import Record
from musehub.db.engine import Database
from musehub.db.history import insert_commits
from musehub.db.instants import Clock, to_micros
from musehub.db.objects import find_present_objects
from musehub.db.pushes import begin_push
from musehub.db.records import insert_records
from musehub.db.repositories import RepositoryRow
from musehub.db.state import RepositoryState, Totals
from musehub.db.transaction import metered
from musehub.push.closure import check_closed
from musehub.push.decode import Batch
from musehub.push.heads import incomplete_repository
from musehub.push.known import Wanted
from musehub.push.memory import MAX_KNOWN, Memory
from musehub.push.pace import Pace
from musehub.push.packs import SealedPack, record_pack, record_when_certain, seal_blobs
from musehub.push.pending import Pending
from musehub.push.room import begin_recording, end_recording
from musehub.push.timeline import CLOSURE, RECORD, STORE, Timeline
from musehub.settings import Settings
from musehub.storage.port import Store, pack_key

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
        self._database = database
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self._settings = settings
        self._repository = repository
        self._repository_id = repository.id
        self._push_id = push_id
        self._user_id = user_id
        self._memory = memory
        self._pace = pace
        self._started_at = clock()
        self._max_blob_bytes = settings.stream_max_size_bytes + settings.frame_max_bytes
        self._blob_bytes = 0
        self._pending = Pending()
        self.begun = False
        """Whether the push has a row in the database."""
        self.known = memory.known
        self.known.trusts_bases = not repository.is_incomplete
        self.decoder = memory.decoder

    @property
    def batch_rows(self) -> int:
        """How many records a batch should have now."""
        return self._pace.rows

    async def add(self, batch: Batch) -> None:
        """Take a decoded batch; raises `missing-objects` unless it is closed, `too-large`."""
        with self._timeline.phase(CLOSURE):
            await check_closed(self._database, self._repository_id, batch.claims, self.known)
        with self._timeline.phase(RECORD):
            self._collect(batch)
        if self._blob_bytes > self._max_blob_bytes:
            raise LimitReached(
                "too-large",
                f"more than {self._max_blob_bytes} bytes of blobs in one stream",
                hint="upload them as packs",
            )
        if self._pending.is_full(self._pace.rows):
            await self.flush()

    def _collect(self, batch: Batch) -> None:
        by_kind: dict[int, dict[bytes, Record]] = {}
        for object_id, record in batch.objects:
            by_kind.setdefault(record.kind, {})[object_id] = record
        for kind, records in by_kind.items():
            self.decoder.offer(kind, records)
        self._blob_bytes += self._pending.add_blobs(by_kind.pop(_BLOB, {}))
        if by_kind:  # no frame holds blobs and something else
            self._pending.add_records(batch.objects)
        self._pending.add_commits(self._repository_id, batch.commits, self.known.generations)

    async def flush(self) -> None:
        """Make everything taken so far durable."""
        pack = await self._store_blobs() if self._pending.blobs else None
        if pack is None and not self._pending.records:
            return

        async def record(seen_epoch: int) -> RepositoryState:
            with self._timeline.phase(RECORD):
                return await self._record(pack, seen_epoch)

        async def put_again() -> None:
            if pack is not None:
                await self._put(pack)

        # The memory's epoch is from before the pack was put into the store.
        state = await record_when_certain(record, self._memory.epoch, put_again)
        self._memory.epoch = state.gc_epoch
        self.begun = True
        self._pending = Pending()
        self.decoder.withdraw()
        if len(self.known) > MAX_KNOWN:
            self.known.clear()

    async def _store_blobs(self) -> SealedPack | None:
        """Put those blobs that are not recorded yet into a pack in the store."""
        blobs = self._pending.blobs
        with self._timeline.phase(CLOSURE):
            async with self._database.read("find blobs") as conn:
                present = await find_present_objects(conn, self._repository_id, Kind.BLOB, blobs)
        fresh = [(object_id, record) for object_id, record in blobs.items() if object_id not in present]
        if not fresh:
            return None
        with self._timeline.phase(STORE):
            pack = await asyncio.to_thread(seal_blobs, fresh)
        await self._put(pack)
        return pack

    async def _put(self, pack: SealedPack) -> None:
        with self._timeline.phase(STORE):
            await self._store.put(pack_key(self._repository_id, pack.digest), pack.parts, pack.digest)

    async def _record(self, pack: SealedPack | None, seen_epoch: int) -> RepositoryState:
        """One transaction; how long it took decides how many rows the next one has."""
        pending, now = self._pending, self._clock()
        rows = pending.record_rows + (len(pack.blobs.id) if pack is not None else 0)
        with metered() as meter:
            async with self._database.transaction("record batch", turn=self._repository_id) as conn:
                state = await begin_recording(
                    conn, self._repository, self._memory.epoch, lambda: self._relied_on(pack)
                )
                if state.is_incomplete and self.known.trusts_bases:  # since this stream began
                    raise incomplete_repository()
                if not self.begun:
                    await begin_push(
                        conn, self._repository_id, self._push_id, self._user_id, self._started_at
                    )
                added = Totals(0, 0)
                if pack is not None:
                    added = await record_pack(
                        conn,
                        state,
                        self._push_id,
                        pack.digest,
                        pack.size_bytes,
                        pack.blobs,
                        seen_epoch=seen_epoch,
                        now=now,
                    )
                records = await insert_records(
                    conn, self._repository_id, self._push_id, pending.records, to_micros(now)
                )
                await insert_commits(conn, pending.commit_rows, pending.parent_rows)
                added = Totals(added.bytes + records.bytes, added.objects + records.objects)
                await end_recording(conn, self._settings, state, added)
        self._pace.note(rows, meter.held_s)
        return state

    def _relied_on(self, pack: SealedPack | None) -> Wanted:
        """What this push found recorded, or recorded itself, and does not bring now."""
        brought: Wanted = {kind: set() for kind in Kind}
        relied = self.known.ids()
        for object_id, record in self._pending.records:
            brought[Kind(record.kind)].add(object_id)
            if record.base is not None:
                relied[Kind(record.kind)].add(record.base)
        if pack is not None:
            brought[Kind.BLOB].update(pack.blobs.id)
            relied[Kind.BLOB].update(base for base in pack.blobs.base if base is not None)
        return {kind: ids - brought[kind] for kind, ids in relied.items() if ids - brought[kind]}
