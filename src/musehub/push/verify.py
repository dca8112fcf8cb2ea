"""Reads an uploaded pack back from the store and believes nothing of it; no database connection is held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from muse.errors import InvalidData, LimitReached
from muse.objects.ids import Kind
from muse.packs.pack import PackedObject, scan_pack, verify_objects
from muse.wire.uploads import ConfirmRequest
from musehub.db.blobs import BlobRow, PackColumns, load_blob_chains
from musehub.db.objects import MAX_CHAIN
from musehub.push.absent import missing_objects
from musehub.push.service import PushService
from musehub.push.timeline import CLOSURE, DECODE, STORE, Timeline
from musehub.repos.decoder import Decoder, MissingBase
from musehub.repos.objects import ObjectReader, read_blob_records
from musehub.storage.port import pack_key

MAX_RAW_BYTES_PER_PACK = 16 << 30
"""What a few megabytes of compressed zeros may cost in time."""
MAX_BASE_BYTES = 32 << 20
"""Stored bytes of bases outside a pack that are read in advance; further ones are read one by one."""
AGAIN = "push again; what was confirmed is not sent twice"


class VerifiedPack(NamedTuple):
    """`bases` are those outside of the pack that something in it stands on."""

    blobs: PackColumns
    raw_bytes: int
    bases: list[bytes]


async def verify_upload(
    service: PushService, repository_id: int, request: ConfirmRequest, timeline: Timeline
) -> VerifiedPack:
    """Check hash, structure, bases and every object id of an uploaded pack.

    Raises `pack-not-found`, `wrong-hash`, `bad-pack`, `bad-record`, `truncated`, `missing-objects`.
    """
    async with AsyncExitStack() as stack:
        with timeline.phase(STORE):
            opening = service.store.open(pack_key(repository_id, request.digest), request.digest)
            view = await stack.enter_async_context(opening)
        if len(view) != request.size_bytes:
            raise InvalidData(
                "wrong-hash",
                f"the uploaded pack has {len(view)} bytes, not {request.size_bytes}",
                hint=AGAIN,
                retry=True,
            )
        with timeline.phase(DECODE):
            limit = service.settings.object_max_bytes
            objects, outside = await asyncio.to_thread(_scan, view, limit)
        timeline.total = len(objects)
        decoder = Decoder()
        if outside:
            with timeline.phase(CLOSURE):
                await _offer_bases(service, repository_id, outside, decoder)
        reader = ObjectReader(service.database, service.store, repository_id)
        loop = asyncio.get_running_loop()

        def wait(load: Coroutine[Any, Any, bytes]) -> bytes:
            return asyncio.run_coroutine_threadsafe(load, loop).result()

        with timeline.phase(DECODE):
            found = await asyncio.to_thread(_verify, view, objects, decoder, reader, wait, timeline)
        return found._replace(bases=sorted(outside))


def _scan(view: memoryview, max_object_bytes: int) -> tuple[list[PackedObject], dict[bytes, int]]:
    """Check what the records announce; return them, the bases outside of the pack, and how long a chain
    stands on each.
    """
    objects = scan_pack(view, max_object_bytes)
    for kind in {one.kind for one in objects} - {int(Kind.BLOB)}:
        raise InvalidData("bad-pack", f"a pack holds a {Kind(kind).name.lower()}; only blobs may be in it")
    if sum(one.raw_size for one in objects) > MAX_RAW_BYTES_PER_PACK:
        raise LimitReached("too-large", "a pack holds too much once inflated", hint="seal packs earlier")
    return objects, _find_outside(objects)


def _find_outside(objects: Sequence[PackedObject]) -> dict[bytes, int]:
    roots: dict[bytes, tuple[bytes | None, int]] = {}
    outside: dict[bytes, int] = {}
    if all(one.base is None for one in objects):
        return outside
    for one in objects:
        root: bytes | None = None
        depth = 0
        if one.base is not None:
            root, depth = roots.get(one.base, (one.base, 0))
            depth += 1
            if root is not None:
                outside[root] = max(outside.get(root, 0), depth)
        roots[one.id] = (root, depth)
    return outside


async def _offer_bases(
    service: PushService, repository_id: int, outside: Mapping[bytes, int], decoder: Decoder
) -> None:
    async with service.database.read("find bases") as conn:
        places, packs = await load_blob_chains(conn, repository_id, sorted(outside))
    absent = [base for base in outside if base not in places]
    if absent:
        raise missing_objects(((Kind.BLOB, base) for base in absent), retry=True)
    for base, above in outside.items():
        below = 0
        following = places[base].base
        while following is not None:
            below += 1
            row = places.get(following)
            following = row.base if row is not None else None
        if below + above > MAX_CHAIN:
            raise InvalidData("bad-pack", f"a pack makes a chain of more than {MAX_CHAIN} bases")
    chosen: list[BlobRow] = []
    size_bytes = 0
    for row in places.values():
        size_bytes += row.stored_size
        if size_bytes > MAX_BASE_BYTES:
            break
        chosen.append(row)
    found = await read_blob_records(service.database, service.store, repository_id, chosen, packs)
    decoder.offer(Kind.BLOB, found)


def _verify(
    view: memoryview,
    objects: list[PackedObject],
    decoder: Decoder,
    reader: ObjectReader,
    wait: Callable[[Coroutine[Any, Any, bytes]], bytes],
    timeline: Timeline,
) -> VerifiedPack:
    def load_base(kind: Kind, object_id: bytes) -> bytes:
        try:
            return decoder.load(kind, object_id)
        except MissingBase:
            return wait(reader.load(kind, object_id))

    def advance(count: int) -> None:
        timeline.done += count

    verify_objects(view, objects, load_base, advance=advance)
    objects.sort()  # by id
    columns = list(zip(*objects, strict=True)) or [()] * len(PackedObject._fields)
    ids, _kinds, offsets, encodings, raw_sizes, stored_sizes, bases = columns
    blobs = PackColumns(ids, offsets, stored_sizes, raw_sizes, encodings, bases)
    return VerifiedPack(blobs, sum(raw_sizes), [])
