"""Packs on their way into the database: they lie in the store before, and must still lie there after.

docs/decisions/0010-collecting-beside-pushes.md says how a clean-up and a push agree about a key of the store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from muse.errors import NotFound
from muse.packs.pack import PackWriter
from muse.packs.record import Record
from musehub.db.blobs import PackColumns, insert_pack_blobs
from musehub.db.condemned import take_back_pack
from musehub.db.instants import to_micros
from musehub.db.packs import insert_pack
from musehub.db.state import RepositoryState, Totals

Result = TypeVar("Result")


class SealedPack(NamedTuple):
    digest: bytes
    parts: list[bytes | memoryview]
    """Its bytes, in order."""
    size_bytes: int
    blobs: PackColumns


def seal_blobs(blobs: Sequence[tuple[bytes, Record]]) -> SealedPack:
    """Make a pack of blobs, as they are; bytes are hashed, so call it in a worker thread."""
    writer = PackWriter()
    rows = []
    for object_id, record in blobs:
        rows.append(
            (
                object_id,
                writer.size_bytes,
                len(record.payload),
                record.raw_size,
                int(record.encoding),
                record.base,
            )
        )
        writer.add(object_id, record)
    digest, parts = writer.seal()
    rows.sort()  # by id
    return SealedPack(digest, parts, sum(map(len, parts)), PackColumns(*zip(*rows, strict=True)))


class PackInDoubt(Exception):
    """A clean-up deleted keys since a pack was seen in the store: look again, then record it."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch


async def record_when_certain(
    record: Callable[[int], Awaitable[Result]], seen_epoch: int, look_again: Callable[[], Awaitable[None]]
) -> Result:
    """Run `record`, a transaction that calls `record_pack`, until its pack is certain to stay.

    `record` is given the repository's `gc_epoch` from before the pack was seen in the store. Whenever that is
    not the present one, `look_again` must see the pack there once more or put it there.
    """
    while True:
        try:
            return await record(seen_epoch)
        except PackInDoubt as doubt:
            seen_epoch = doubt.epoch
            await look_again()


async def record_pack(
    conn: AsyncConnection,
    state: RepositoryState,
    push_id: bytes,
    digest: bytes,
    size_bytes: int,
    blobs: PackColumns,
    *,
    seen_epoch: int,
    now: datetime,
) -> Totals:
    """Record a pack and where its blobs lie; returns what of that is new. The repository is locked.

    Raises PackInDoubt (see `record_when_certain`), and `pack-not-found` with `retry` while somebody deletes
    the pack.
    """
    if seen_epoch != state.gc_epoch:
        raise PackInDoubt(state.gc_epoch)
    if not await take_back_pack(conn, state.id, digest, now):
        raise NotFound(
            "pack-not-found",
            "a clean-up is deleting this very pack from the store",
            hint="send it again in a moment",
            retry=True,
            details={"retry_after_s": 2},
        )
    pack_id, is_new = await insert_pack(
        conn, state.id, digest, size_bytes, len(blobs.id), push_id, to_micros(now)
    )
    new_blobs = await insert_pack_blobs(conn, state.id, pack_id, blobs)
    return Totals(size_bytes if is_new else 0, new_blobs)
