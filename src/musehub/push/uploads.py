"""Packs of a large push: an address to upload to, and the proof that what lies there is what was meant."""

from __future__ import annotations

import logging

from muse.errors import InvalidData, LimitReached, MuseError, NotFound
from muse.objects.ids import Kind
from muse.wire.uploads import ConfirmRequest, ConfirmResult, PresignAnswer, PresignRequest
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.objects import find_present_objects
from musehub.db.packs import find_pack
from musehub.db.pushes import DONE, begin_push, finish_push, lock_push
from musehub.db.repositories import RepositoryRow
from musehub.db.state import Totals
from musehub.db.transaction import Meter, metered
from musehub.push.heads import open_standing
from musehub.push.ledger import Uploads
from musehub.push.packs import record_pack, record_when_certain
from musehub.push.parts import finish_parts, open_parts
from musehub.push.room import begin_recording, check_room, end_recording
from musehub.push.service import PushService
from musehub.push.timeline import HEADS, RECORD, STORE, WAIT, Timeline
from musehub.push.unusable import drop_unusable
from musehub.push.verify import AGAIN, VerifiedPack, verify_upload
from musehub.repos.access import get_repository
from musehub.storage.metering import StoreMeter, store_metered
from musehub.storage.port import pack_key

logger = logging.getLogger("musehub.push")


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
        if known is not None:
            if request.upload is not None:
                await service.store.abort_upload(pack_key(repository.id, request.digest), request.upload)
            return ConfirmResult(request.digest, known.object_count, known.size_bytes, 0, stored=True)
        with timeline.phase(WAIT):
            await service.confirming.acquire()
        try:
            verified = await _complete_and_verify(service, repository.id, request, timeline)
        finally:
            service.confirming.release()
        assert actor.user_id is not None
        with timeline.phase(RECORD):
            epoch = await _record(service, repository, actor.user_id, request, verified)
    blobs = verified.blobs
    service.memories.note_blobs((repository.id, request.push_id), epoch, blobs.id, blobs.raw_size)
    objects = len(blobs.id)
    await _note_upload(service, repository.id, request, objects, timeline, meter, store_meter)
    return ConfirmResult(request.digest, objects, request.size_bytes, verified.raw_bytes, stored=False)


async def _complete_and_verify(
    service: PushService, repository_id: int, request: ConfirmRequest, timeline: Timeline
) -> VerifiedPack:
    """Make the pack of its parts if it came in parts, and read it; what is not that pack does not stay."""
    try:
        if request.upload is not None:
            with timeline.phase(STORE):
                key = pack_key(repository_id, request.digest)
                await finish_parts(service.store, key, request, service.settings.store_put_max_bytes)
        return await verify_upload(service, repository_id, request, timeline)
    except InvalidData as error:
        if error.code == "wrong-hash":
            await drop_unusable(service, repository_id, request.digest)
        raise
    except NotFound as error:
        # A store may say that it has what it has not: to be uploaded again, so worth another attempt.
        error.hint, error.retry = AGAIN, True
        raise


async def _record(
    service: PushService,
    repository: RepositoryRow,
    user_id: int,
    request: ConfirmRequest,
    verified: VerifiedPack,
) -> int:
    """Record a verified pack; returns the repository's epoch."""

    async def record(seen_epoch: int) -> int:
        now = service.clock()
        async with service.database.transaction("record pack", turn=repository.id) as conn:
            state = await begin_recording(
                conn, repository, repository.gc_epoch, lambda: {Kind.BLOB: verified.bases}
            )
            added = await record_pack(
                conn,
                state,
                request.push_id,
                request.digest,
                request.size_bytes,
                verified.blobs,
                seen_epoch=seen_epoch,
                now=now,
            )
            await begin_push(conn, repository.id, request.push_id, user_id, now)
            await end_recording(conn, service.settings, state, added)
        return state.gc_epoch

    async def look_again() -> None:
        if await service.store.head(pack_key(repository.id, request.digest)) is None:
            raise NotFound("pack-not-found", "a clean-up deleted the pack", hint="send it again", retry=True)

    # The repository was looked up before the pack was read.
    return await record_when_certain(record, repository.gc_epoch, look_again)


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
