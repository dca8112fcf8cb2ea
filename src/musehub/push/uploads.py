"""Packs of a large push: an address to upload to, and the proof that what lies there is what was meant."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from muse.errors import InvalidData, LimitReached, MuseError, NotFound
from muse.objects.ids import Kind
from muse.packs.pack import PackedObject, iter_records, verify_pack
from muse.wire.messages import ConfirmRequest, ConfirmResult, PresignAnswer, PresignRequest
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.instants import to_micros
from musehub.db.objects import (
    MAX_CHAIN,
    BlobRow,
    find_pack,
    find_present_objects,
    insert_blobs,
    insert_pack,
    load_blob_chains,
)
from musehub.db.pushes import DONE, begin_push, finish_push, lock_push
from musehub.db.repositories import RepositoryRow
from musehub.db.state import Totals
from musehub.db.transaction import Meter, metered
from musehub.push.absent import missing_objects
from musehub.push.heads import open_standing
from musehub.push.ledger import Uploads
from musehub.push.parts import drop_unusable, finish_parts, open_parts
from musehub.push.room import PackInDoubt, begin_recording, check_room, end_recording, keep_pack
from musehub.push.service import PushService
from musehub.push.timeline import CLOSURE, DECODE, HEADS, RECORD, STORE, WAIT, Timeline
from musehub.repos.access import get_repository
from musehub.repos.decoder import Decoder, MissingBase
from musehub.repos.objects import ObjectReader, read_blob_records
from musehub.storage.metering import StoreMeter, store_metered
from musehub.storage.port import pack_key

logger = logging.getLogger("musehub.push")

MAX_RAW_BYTES_PER_PACK = 16 << 30
"""What a few megabytes of compressed zeros may cost in time."""
AGAIN = "push again; what was confirmed is not sent twice"
MAX_BASE_BYTES = 32 << 20
"""Stored bytes of bases outside a pack that are read in advance; further ones are read one by one."""


async def presign_pack(
    service: PushService, actor: Actor, owner: str, name: str, request: PresignRequest
) -> PresignAnswer:
    """Say how to upload a pack, or that it need not be; raises `too-large` and what `open_standing` does."""
    if request.size_bytes > service.settings.pack_max_bytes:
        raise LimitReached(
            "too-large",
            f"a pack of {request.size_bytes} bytes is over the limit of {service.settings.pack_max_bytes}",
            hint="seal packs earlier",
            details={"limits": service.limits.to_json()},
        )
    standing = await open_standing(
        service.database,
        actor,
        owner,
        name,
        push_id=request.push_id,
        ref_names=[],
        create=request.create,
        limits=service.limits,
        now=service.clock(),
    )
    repository_id = standing.repository.id
    in_flight = service.in_flight.of(repository_id, request.digest)
    async with service.database.read("find pack") as conn:
        if await find_pack(conn, repository_id, request.digest) is not None:
            return PresignAnswer(stored=True, uploaded=True, request=None)
        added = Totals(request.size_bytes + in_flight, 1)
        await check_room(conn, service.settings, standing.repository, added)
    service.in_flight.add(repository_id, request.digest, request.size_bytes)
    key = pack_key(repository_id, request.digest)
    lying = await service.store.head(key)
    if lying is not None and lying.size_bytes == request.size_bytes:
        return PresignAnswer(stored=False, uploaded=True, request=None)
    part_size = service.settings.store_put_max_bytes
    if request.size_bytes > part_size:
        multipart = await open_parts(service.store, key, request, part_size)
        return PresignAnswer(stored=False, uploaded=False, request=None, multipart=multipart)
    signed = await service.store.presign_put(
        key, request.size_bytes, request.digest, service.settings.presign_ttl_s
    )
    return PresignAnswer(stored=False, uploaded=False, request=signed)


async def confirm_pack(
    service: PushService, actor: Actor, owner: str, name: str, request: ConfirmRequest, timeline: Timeline
) -> ConfirmResult:
    """Read an uploaded pack back, verify all of it, and record it.

    Raises `pack-not-found`, `wrong-hash`, `bad-pack`, `bad-record`, `truncated`, `missing-objects`.
    """
    with metered() as meter, store_metered() as store_meter:
        with timeline.phase(HEADS):
            async with service.database.read("find pack") as conn:
                repository = await get_repository(conn, actor, Action.WRITE, owner, name)
                known = await find_pack(conn, repository.id, request.digest)
            # Known or refused, it is not under way any more.
            service.in_flight.remove(repository.id, request.digest)
        key = pack_key(repository.id, request.digest)
        if known is not None:
            if request.upload is not None:
                await service.store.abort_upload(key, request.upload)
            return ConfirmResult(request.digest, known.object_count, known.size_bytes, 0, stored=True)
        with timeline.phase(WAIT):
            await service.confirming.acquire()
        try:
            if request.upload is not None:
                with timeline.phase(STORE):
                    part_size = service.settings.store_put_max_bytes
                    await finish_parts(service.store, key, request, part_size)
            objects, outside = await _verify(service, repository.id, request, timeline)
        except InvalidData as error:
            await drop_unusable(service.store, key, error)
            raise
        except NotFound as error:
            # A store may say that it has what it has not: to be uploaded again, so worth another attempt.
            error.hint, error.retry = AGAIN, True
            raise
        finally:
            service.confirming.release()
        assert actor.user_id is not None
        with timeline.phase(RECORD):
            rows = await asyncio.to_thread(_blob_rows, objects)
            seen_epoch = repository.gc_epoch  # from before the pack was read
            while True:
                try:
                    await _record_pack(service, repository, actor.user_id, request, rows, outside, seen_epoch)
                    break
                except PackInDoubt as doubt:
                    seen_epoch = doubt.epoch
                    if await service.store.head(key) is None:
                        raise NotFound(
                            "pack-not-found", "a clean-up deleted the pack", hint="send it again", retry=True
                        ) from None
    await _note_upload(service, repository.id, request, len(objects), timeline, meter, store_meter)
    raw_bytes = sum(packed.raw_size for packed in objects)
    return ConfirmResult(request.digest, len(objects), request.size_bytes, raw_bytes, stored=False)


async def _record_pack(
    service: PushService,
    repository: RepositoryRow,
    user_id: int,
    request: ConfirmRequest,
    rows: list[BlobRow],
    bases: list[bytes],
    seen_epoch: int,
) -> None:
    now = service.clock()
    async with service.database.transaction("record pack") as conn:
        state = await begin_recording(conn, repository, repository.gc_epoch, lambda: {Kind.BLOB: bases})
        await keep_pack(conn, state, request.digest, now, seen_epoch)
        pack_id, is_new = await insert_pack(
            conn,
            repository.id,
            request.digest,
            request.size_bytes,
            len(rows),
            request.push_id,
            to_micros(now),
        )
        blobs = await insert_blobs(conn, repository.id, [row._replace(pack_id=pack_id) for row in rows])
        await begin_push(conn, repository.id, request.push_id, user_id, now)
        added = Totals(request.size_bytes if is_new else 0, blobs)
        await end_recording(conn, service.settings, state, added)


async def _note_upload(
    service: PushService,
    repository_id: int,
    request: ConfirmRequest,
    objects: int,
    timeline: Timeline,
    meter: Meter,
    store_meter: StoreMeter,
) -> None:
    """Add this pack's figures to those of its push, in the database: another hub may get the next request."""
    try:
        async with service.database.transaction("note upload") as conn:
            push = await lock_push(conn, repository_id, request.push_id)
            if push is None or push.state == DONE:
                return
            uploads = Uploads.of(push.timeline)
            uploads.add(request.size_bytes, objects, timeline, meter, store_meter)
            values = {"timeline": (push.timeline or {}) | {"uploads": uploads.to_json()}}
            await finish_push(conn, repository_id, request.push_id, values)
    except MuseError as error:  # the pack is recorded; only its figures are lost
        logger.warning("the figures of a pack were not kept: %s", error)


async def find_missing(
    service: PushService, actor: Actor, owner: str, name: str, kind: Kind, ids: list[bytes]
) -> list[bytes]:
    """Those of `ids` that are not recorded in the repository, in their order; one set query."""
    async with service.database.read("find missing") as conn:
        repository = await get_repository(conn, actor, Action.WRITE, owner, name)
        present = await find_present_objects(conn, repository.id, kind, ids)
    return [object_id for object_id in ids if object_id not in present]


async def _verify(
    service: PushService, repository_id: int, request: ConfirmRequest, timeline: Timeline
) -> tuple[list[PackedObject], list[bytes]]:
    """What the pack holds, and the bases outside of it that it stands on."""
    key = pack_key(repository_id, request.digest)
    with timeline.phase(STORE):
        opening = service.store.open(key)
        view = await opening.__aenter__()
    try:
        if len(view) != request.size_bytes:
            raise InvalidData(
                "wrong-hash",
                f"the uploaded pack has {len(view)} bytes, not {request.size_bytes}",
                hint=AGAIN,
                retry=True,
            )
        with timeline.phase(DECODE):
            outside = await asyncio.to_thread(_check_and_list_bases, view, request.digest)
        reader = ObjectReader(service.database, service.store, repository_id)
        decoder = Decoder()
        if outside:
            with timeline.phase(CLOSURE):
                await _offer_bases(service, repository_id, outside, decoder)
        loop = asyncio.get_running_loop()

        def wait(load: Coroutine[Any, Any, bytes]) -> bytes:
            return asyncio.run_coroutine_threadsafe(load, loop).result()

        limit = service.settings.object_max_bytes
        with timeline.phase(DECODE):
            found = await asyncio.to_thread(_verify_objects, view, decoder, reader, wait, limit, timeline)
        return found, sorted(outside)
    finally:
        await opening.__aexit__(None, None, None)


def _check_and_list_bases(view: memoryview, digest: bytes) -> dict[bytes, int]:
    """Check the hash; return the bases outside of the pack, and how long a chain stands on each."""
    if hashlib.sha256(view).digest() != digest:
        raise InvalidData("wrong-hash", "the uploaded pack does not have its SHA-256", hint=AGAIN, retry=True)
    roots: dict[bytes, tuple[bytes | None, int]] = {}
    outside: dict[bytes, int] = {}
    for object_id, _offset, record in iter_records(view):
        root: bytes | None = None
        depth = 0
        if record.base is not None:
            root, depth = roots.get(record.base, (record.base, 0))
            depth += 1
            if root is not None:
                outside[root] = max(outside.get(root, 0), depth)
        roots[object_id] = (root, depth)
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
    decoder.offer(Kind.BLOB, await read_blob_records(service.store, repository_id, chosen, packs))


def _verify_objects(
    view: memoryview,
    decoder: Decoder,
    reader: ObjectReader,
    wait: Callable[[Coroutine[Any, Any, bytes]], bytes],
    max_object_bytes: int,
    timeline: Timeline,
) -> list[PackedObject]:
    raw_bytes = 0

    def load_base(kind: Kind, object_id: bytes) -> bytes:
        try:
            return decoder.load(kind, object_id)
        except MissingBase:
            return wait(reader.load(kind, object_id))

    def visit(kind: Kind, _object_id: bytes, data: bytes) -> None:
        nonlocal raw_bytes
        if kind is not Kind.BLOB:
            raise InvalidData("bad-pack", f"a pack holds a {kind.name.lower()}; only blobs may be in it")
        raw_bytes += len(data)
        if raw_bytes > MAX_RAW_BYTES_PER_PACK:
            raise LimitReached("too-large", "a pack holds too much once inflated", hint="seal packs earlier")
        timeline.done += 1

    return verify_pack(view, load_base, max_object_bytes, visit)


def _blob_rows(objects: list[PackedObject]) -> list[BlobRow]:
    """Sorted by id: rows go in fastest in the order of their key."""
    return sorted(BlobRow(o.id, 0, o.offset, o.stored_size, o.raw_size, o.encoding, o.base) for o in objects)
