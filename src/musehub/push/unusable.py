"""Deletes what lies under a pack's key and is not that pack: the next attempt would find it again."""

from __future__ import annotations

from datetime import timedelta

from musehub.db.condemned import condemn_packs, lease_condemned
from musehub.db.state import load_state
from musehub.push.service import PushService
from musehub.repos.disposal import delete_leased

LEASE_S = 60.0
"""Whoever brings the same pack meanwhile is told to try again."""


async def drop_unusable(service: PushService, repository_id: int, digest: bytes) -> None:
    """Delete the bytes, unless somebody brought the right ones meanwhile and they are recorded.

    By way of a row in `condemned_packs`, as a clean-up does (`musehub.repos.disposal`): whoever has seen the
    key and is about to record the pack looks again.
    """
    now = service.clock()
    async with service.database.transaction("condemn pack") as conn:
        if await load_state(conn, repository_id, lock=True) is None:
            return
        await condemn_packs(conn, repository_id, [digest], now)
        until = now + timedelta(seconds=LEASE_S)
        leased = await lease_condemned(conn, repository_id, [digest], now, until)
    if leased:  # else it is recorded, or somebody is deleting it already
        await delete_leased(service.database, service.store, repository_id, leased, LEASE_S)
