"""Deletes what lies under a pack's key and is not that pack: the next attempt would find it again."""

from __future__ import annotations

from datetime import timedelta

from musehub.db.state import add_to_totals, load_state
from musehub.db.sweep import condemn_packs, forget_condemned, lease_condemned
from musehub.push.service import PushService
from musehub.storage.port import pack_key

LEASE_S = 60.0
"""Who brings the same pack meanwhile is told to try again."""


async def drop_unusable(service: PushService, repository_id: int, digest: bytes) -> None:
    """Delete the bytes, unless somebody brought the right ones meanwhile and they are recorded.

    By way of a row in `condemned_packs`, as a clean-up does (docs/decisions/0010-…):
    who has seen the key and is about to record the pack looks again.
    """
    now = service.clock()
    async with service.database.transaction("condemn pack") as conn:
        if await load_state(conn, repository_id, lock=True) is None:
            return
        await condemn_packs(conn, repository_id, [digest], now)
        until = now + timedelta(seconds=LEASE_S)
        leased = await lease_condemned(conn, repository_id, [digest], now, until)
        if not leased:  # recorded, or somebody is deleting it already
            return
    await service.store.delete([pack_key(repository_id, digest)])
    async with service.database.transaction("forget condemned") as conn:
        if await load_state(conn, repository_id, lock=True) is not None:
            await forget_condemned(conn, repository_id, leased)
            await add_to_totals(conn, repository_id, 0, 0, removed=True)
