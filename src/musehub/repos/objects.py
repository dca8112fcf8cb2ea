"""Reads objects of one repository: records from the database, blobs from packs in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate

from muse.errors import CorruptStore, InvalidData, NotFound
from muse.objects.ids import ID_BYTES, Kind, hash_bytes
from muse.packs.record import HEADER, Record, parse_record
from musehub.db.blobs import BlobRow, load_blob_chains, load_blob_places
from musehub.db.engine import Database
from musehub.db.packs import PackRow
from musehub.db.records import load_chains, load_records
from musehub.repos.decoder import DEFAULT_CACHE_BYTES, Decoder, MissingBase
from musehub.storage.port import Store, pack_key

GAP_BYTES = 64 << 10
"""Reading so much that is not wanted costs less than another request."""
RANGE_BYTES = 4 << 20


class ObjectReader:
    """Loads objects of one repository and keeps the last ones decoded; one per request.

    Every method does I/O and none holds a database connection while it waits for the store.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        repository_id: int,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        keep_records_bytes: int = 0,
    ) -> None:
        self._database = database
        self._store = store
        self._repository_id = repository_id
        self._decoder = Decoder(cache_bytes)
        self._keep_left = keep_records_bytes
        self._kept: dict[tuple[Kind, bytes], Record] = {}

    async def load(self, kind: Kind, object_id: bytes) -> bytes:
        """The object's bytes; raises CorruptStore("missing-object" | "corrupt-object")."""
        cached = self._decoder.find_decoded(kind, object_id)
        if cached is not None:
            return cached
        return (await self.load_many(kind, [object_id]))[object_id]

    async def load_many(
        self, kind: Kind, ids: Sequence[bytes], *, max_bytes: int | None = None
    ) -> dict[bytes, bytes]:
        """All these objects, every hash checked; the caller bounds how many.

        With `max_bytes` no more metadata objects than have so many bytes together, but one at least.
        """
        if kind is Kind.BLOB:
            chains = await self.load_chain_records(kind, ids)
            return await asyncio.to_thread(self._decode, kind, list(ids), chains)
        async with self._database.read("load records") as conn:
            rows = await load_records(conn, self._repository_id, kind, ids)
        self._keep(kind, rows)
        chains = dict(rows)
        bases = {record.base for record in chains.values() if record.base is not None}
        outside = [base for base in bases if base not in chains and not self._decoder.knows(kind, base)]
        if outside:
            chains |= await self.load_chain_records(kind, outside)
        found = [object_id for object_id, _record in rows]
        if len(found) != len(set(ids)):
            raise _missing(kind, set(ids).difference(found))
        if max_bytes is not None:
            sums = accumulate(record.raw_size for _object_id, record in rows)
            found = found[: max(1, sum(1 for size_bytes in sums if size_bytes <= max_bytes))]
        while True:
            try:
                return await asyncio.to_thread(self._decode, kind, found, chains)
            except MissingBase as missing:  # pushed out of the cache by the objects before it
                chain = await self.load_chain_records(kind, [missing.base])
                if not chain:
                    raise _missing(kind, {missing.base}) from None
                chains |= chain

    def _keep(self, kind: Kind, rows: Iterable[tuple[bytes, Record]]) -> None:
        if self._keep_left > 0:
            for object_id, record in rows:
                self._kept[kind, object_id] = record
                self._keep_left -= record.size_bytes

    async def load_records(self, kind: Kind, ids: Sequence[bytes]) -> dict[bytes, Record]:
        """The stored records of metadata objects, not decoded; raises CorruptStore("missing-object")."""
        kept = self._kept
        found = {object_id: kept[kind, object_id] for object_id in ids if (kind, object_id) in kept}
        if len(found) < len(ids):
            asked = [object_id for object_id in ids if object_id not in found]
            async with self._database.read("load records") as conn:
                found |= dict(await load_records(conn, self._repository_id, kind, asked))
        if len(found) < len(set(ids)):
            raise _missing(kind, set(ids).difference(found))
        return found

    async def load_chain_records(self, kind: Kind, ids: Sequence[bytes]) -> dict[bytes, Record]:
        """The records with these ids and all that they are deltas of; what is not there is left out."""
        if kind is not Kind.BLOB:
            async with self._database.read("load chains") as conn:
                return await load_chains(conn, self._repository_id, kind, ids)
        async with self._database.read("find blobs") as conn:
            rows, packs = await load_blob_chains(conn, self._repository_id, ids)
        return await read_blob_records(self._database, self._store, self._repository_id, rows.values(), packs)

    def _decode(
        self, kind: Kind, ids: Iterable[bytes], records: Mapping[bytes, Record]
    ) -> dict[bytes, bytes]:
        decoder = self._decoder
        decoder.offer(kind, records)
        found = {}
        try:
            for object_id in ids:
                record = records.get(object_id)
                if record is None:
                    raise _missing(kind, {object_id})
                data, depth = decoder.decode(record)
                if hash_bytes(data) != object_id:
                    raise CorruptStore(
                        "corrupt-object",
                        f"{kind.name.lower()} {object_id.hex()} has other bytes than its id says",
                    )
                decoder.keep(kind, object_id, data, depth)
                found[object_id] = data
        except InvalidData as error:
            raise CorruptStore(
                "corrupt-object", f"a stored {kind.name.lower()} is damaged: {error}"
            ) from error
        finally:
            decoder.withdraw()
        return found


def _missing(kind: Kind, ids: set[bytes]) -> CorruptStore:
    some = sorted(object_id.hex() for object_id in ids)[:20]
    return CorruptStore(
        "missing-object",
        f"objects that should be here are missing: {len(ids)}, such as {kind.name.lower()} {some[0]}",
        details={"missing": [{"kind": kind.name.lower(), "id": object_id} for object_id in some]},
    )


def record_size(row: BlobRow) -> int:
    """Bytes of the whole record in its pack."""
    return HEADER.size + (ID_BYTES if row.base is not None else 0) + row.stored_size


def plan_ranges(rows: Sequence[BlobRow]) -> list[tuple[int, int, list[BlobRow]]]:
    """Group the blobs of one pack, sorted by offset, into (start, size, blobs) worth one read each."""
    plan: list[tuple[int, int, list[BlobRow]]] = []
    for row in rows:
        end = row.offset + record_size(row)
        if plan:
            start, size, group = plan[-1]
            if row.offset - (start + size) <= GAP_BYTES and end - start <= RANGE_BYTES:
                group.append(row)
                plan[-1] = (start, end - start, group)
                continue
        plan.append((row.offset, end - row.offset, [row]))
    return plan


async def read_blob_records(
    database: Database,
    store: Store,
    repository_id: int,
    rows: Collection[BlobRow],
    packs: Mapping[int, PackRow],
) -> dict[bytes, Record]:
    """The records of these blobs, read with one call per pack; payloads are views of what was read.

    Rows and packs come from one transaction. If a clean-up moved the blobs to another pack since then, and
    the old one is gone, they are looked up and read once more.
    """
    try:
        return await _read_records(store, repository_id, rows, packs)
    except (CorruptStore, NotFound):
        async with database.read("find blobs again") as conn:
            fresh, holders = await load_blob_places(conn, repository_id, [row.id for row in rows])
        if _places(fresh, holders) == _places(rows, packs):
            raise
    return await _read_records(store, repository_id, fresh, holders)


def _places(rows: Iterable[BlobRow], packs: Mapping[int, PackRow]) -> set[tuple[bytes, bytes, int]]:
    return {(row.id, packs[row.pack_id].digest, row.offset) for row in rows}


async def _read_records(
    store: Store, repository_id: int, rows: Iterable[BlobRow], packs: Mapping[int, PackRow]
) -> dict[bytes, Record]:
    by_pack: dict[int, list[BlobRow]] = {}
    for row in sorted(rows, key=lambda row: (row.pack_id, row.offset)):
        by_pack.setdefault(row.pack_id, []).append(row)
    records: dict[bytes, Record] = {}
    for pack_id, in_pack in by_pack.items():
        key = pack_key(repository_id, packs[pack_id].digest)
        plan = plan_ranges(in_pack)
        pieces = await store.get_ranges(key, [(start, size) for start, size, _group in plan])
        for (start, _size, group), piece in zip(plan, pieces, strict=True):
            view = memoryview(piece)
            for row in group:
                records[row.id] = parse_stored(view, row.offset - start, row)
    return records


def parse_stored(view: memoryview, offset: int, row: BlobRow) -> Record:
    """Parse the record that the database says begins there; raises `corrupt-object` if it does not."""
    try:
        record, _end = parse_record(view, offset)
    except InvalidData as error:
        raise CorruptStore("corrupt-object", f"the stored blob {row.id.hex()} is damaged: {error}") from error
    found = (record.encoding, record.raw_size, len(record.payload), record.base)
    if record.kind != Kind.BLOB or found != (row.encoding, row.raw_size, row.stored_size, row.base):
        raise CorruptStore("corrupt-object", f"the stored blob {row.id.hex()} is not where it was recorded")
    return record
