"""How the wanted blobs travel: whole packs straight from the store, the rest copied out of packs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from muse.errors import CorruptStore
from muse.objects.ids import Kind
from muse.packs.record import Record, encode_object
from musehub.db.blobs import PackShare, find_blob_places, load_blob_places, sum_blobs_by_pack
from musehub.db.engine import Database
from musehub.db.packs import PackRow, list_packs
from musehub.repos.objects import ObjectReader, read_blob_records
from musehub.storage.port import Store

ASK_AT_ONCE = 50_000
ROWS_AT_ONCE = 1_000
READ_AT_ONCE_BYTES = 8 << 20


class BlobPlan(NamedTuple):
    """`packs` are sent as a whole, in this order; `rest` are (pack id, offset, id), sorted."""

    packs: list[PackRow]
    rest: list[tuple[int, int, bytes]]


async def plan_blobs(
    database: Database, repository_id: int, blobs: Sequence[bytes], *, min_objects: int, min_bytes: int
) -> BlobPlan:
    """Decide how to send `blobs`; whole packs from either minimum on. Raises `missing-object`."""
    shares: list[PackShare] = []
    places: list[tuple[int, int, bytes]] = []
    for start in range(0, len(blobs), ASK_AT_ONCE):
        batch = blobs[start : start + ASK_AT_ONCE]
        async with database.read("plan blobs") as conn:
            shares += await sum_blobs_by_pack(conn, repository_id, batch)
    count = sum(share.blob_count for share in shares)
    if count != len(blobs):
        raise CorruptStore(
            "missing-object", f"{len(blobs) - count} blobs are named in this repository and not there"
        )
    packs: list[PackRow] = []
    if count >= min_objects or sum(share.stored_bytes for share in shares) >= min_bytes:
        async with database.read("list packs") as conn:
            packs = choose_packs(await list_packs(conn, repository_id), shares)
    whole = {pack.id for pack in packs}
    for start in range(0, len(blobs), ASK_AT_ONCE):
        if len(whole) == len({share.pack_id for share in shares}):
            break  # nothing is left over
        async with database.read("find blobs") as conn:
            found = await find_blob_places(conn, repository_id, blobs[start : start + ASK_AT_ONCE])
        places += (place for place in found if place[0] not in whole)
    places.sort()
    return BlobPlan(packs, places)


def choose_packs(packs: Sequence[PackRow], shares: Sequence[PackShare]) -> list[PackRow]:
    """Those packs of which everything is wanted and whose bases lie in the packs chosen before them."""
    wanted: dict[int, int] = {}
    bases: dict[int, set[int]] = {}
    for share in shares:
        wanted[share.pack_id] = wanted.get(share.pack_id, 0) + share.blob_count
        if share.base_pack_id is not None:
            bases.setdefault(share.pack_id, set()).add(share.base_pack_id)
    chosen: dict[int, PackRow] = {}
    for pack in packs:
        outside = bases.get(pack.id, set()) - {pack.id}
        if wanted.get(pack.id) == pack.object_count and outside <= chosen.keys():
            chosen[pack.id] = pack
    return list(chosen.values())


async def iter_blob_records(
    database: Database,
    store: Store,
    reader: ObjectReader,
    repository_id: int,
    rest: Sequence[tuple[int, int, bytes]],
    usable: set[bytes],
) -> AsyncIterator[list[Record]]:
    """Read the records of `rest`, a few megabytes at a time.

    A record stays a delta only if its base is in `usable`, to which every blob is added as it is read;
    otherwise it is encoded anew.
    """
    for start in range(0, len(rest), ROWS_AT_ONCE):
        ids = [object_id for _pack, _offset, object_id in rest[start : start + ROWS_AT_ONCE]]
        async with database.read("load blobs") as conn:
            rows, packs = await load_blob_places(conn, repository_id, ids)
        while rows:
            size_bytes = taken = 0
            while taken < len(rows) and (taken == 0 or size_bytes < READ_AT_ONCE_BYTES):
                size_bytes += rows[taken].stored_size
                taken += 1
            found = await read_blob_records(database, store, repository_id, rows[:taken], packs)
            batch = []
            for row in rows[:taken]:
                record = found[row.id]
                if record.base is not None and record.base not in usable:
                    data = await reader.load(Kind.BLOB, row.id)
                    record = await asyncio.to_thread(encode_object, Kind.BLOB, data)
                usable.add(row.id)
                batch.append(record)
            yield batch
            del rows[:taken]
