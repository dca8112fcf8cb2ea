"""Packs that outgrow a single PUT of the store: an address for each part, and the whole made of them."""

from __future__ import annotations

from muse.errors import InvalidData, NotFound
from muse.wire.uploads import ConfirmRequest, Multipart, PartRequest, PresignRequest, SignedRequest
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.push.service import PushService
from musehub.repos.access import get_repository
from musehub.storage.port import Store, pack_key


async def open_parts(store: Store, key: str, request: PresignRequest, part_size_bytes: int) -> Multipart:
    """Begin an upload in parts, or take up one that was cut off; parts that are there need not be sent."""
    sizes = part_sizes(request.size_bytes, part_size_bytes)
    upload = await store.open_upload(key)
    try:
        there = await store.list_parts(key, upload)
    except NotFound:  # finished or given up by somebody else a moment ago
        upload = await store.open_upload(key)
        there = {}
    stored = [number for number, size in enumerate(sizes, start=1) if there.get(number) == size]
    return Multipart(upload, part_size_bytes, stored)


async def presign_part(
    service: PushService, actor: Actor, owner: str, name: str, request: PartRequest
) -> SignedRequest:
    """An address for one part, bound to its hash and its length."""
    async with service.database.read("open part") as conn:
        repository = await get_repository(conn, actor, Action.WRITE, owner, name)
    sizes = part_sizes(request.size_bytes, service.settings.store_put_max_bytes)
    if not 1 <= request.number <= len(sizes) or request.size_bytes > service.settings.pack_max_bytes:
        raise InvalidData("bad-frame", f"there is no part {request.number} of {len(sizes)}")
    return await service.store.presign_part(
        pack_key(repository.id, request.digest),
        request.upload,
        request.number,
        sizes[request.number - 1],
        request.sha256,
        service.settings.presign_ttl_s,
    )


async def finish_parts(store: Store, key: str, request: ConfirmRequest, part_size_bytes: int) -> None:
    """Make the pack of its parts; done already is fine, and nothing that is there is ever replaced.

    Parts that do not fit are dropped, so that another attempt starts afresh: raises `truncated` then.
    """
    assert request.upload is not None
    sizes = part_sizes(request.size_bytes, part_size_bytes)
    lying = await store.head(key)
    if lying is not None and lying.size_bytes == request.size_bytes:  # another request of somebody was faster
        await store.abort_upload(key, request.upload)
        return
    try:
        there = await store.list_parts(key, request.upload)
        fitting = [there.get(number) == size for number, size in enumerate(sizes, start=1)]
        if not all(fitting) or len(request.parts) != len(sizes):
            raise InvalidData(
                "truncated", "not all parts of the pack are there", hint="push again", retry=True
            )
        await store.finish_upload(key, request.upload, request.parts)
    except NotFound:
        if await store.head(key) is None:
            raise
    except InvalidData:
        await store.abort_upload(key, request.upload)
        raise


def part_sizes(size_bytes: int, part_size_bytes: int) -> list[int]:
    """Sizes of the parts: all alike but the last."""
    whole, rest = divmod(size_bytes, part_size_bytes)
    return [part_size_bytes] * whole + [rest] * (rest > 0)
